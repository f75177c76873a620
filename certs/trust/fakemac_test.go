package trust

import (
	"context"
	"crypto/x509"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"
)

// fakeMac is a Mac as security(1) shows it. Its words come from testdata.
type fakeMac struct {
	t         *testing.T
	uid       int
	keychains map[string][]*x509.Certificate // by path
	set       map[bool]map[string]string     // by domain (admin) and SHA-1: one of testdata/security/settings
	says      map[string]string              // by command: an answer of testdata instead of success
	lies      map[string]bool                // commands that do nothing and say they did
	hangs     map[string]bool
	root      *x509.Certificate // whom the answers are about
	ran       []string
	limits    map[string]time.Duration // how long each command could have taken
}

func newMac(t *testing.T, uid int, root *x509.Certificate) (*fakeMac, Machine) {
	t.Helper()
	f := &fakeMac{t: t, uid: uid, root: root, keychains: map[string][]*x509.Certificate{}, set: map[bool]map[string]string{false: {}, true: {}},
		says: map[string]string{}, lies: map[string]bool{}, hangs: map[string]bool{}, limits: map[string]time.Duration{}}
	m := testMachine(t)
	m.OS, m.UID, m.Run, m.Journal = "darwin", uid, f.run, t.TempDir()
	m.LookPath = func(program string) (string, error) {
		if program == "/usr/bin/security" {
			return program, nil
		}
		return "", exec.ErrNotFound
	}
	for _, s := range m.keychainStores() {
		must(t, os.MkdirAll(filepath.Dir(s.Path()), 0o755))
		must(t, os.WriteFile(s.Path(), nil, 0o600))
	}
	return f, m
}

func (f *fakeMac) run(ctx context.Context, program string, args ...string) ([]byte, []byte, error) {
	if program != "/usr/bin/security" {
		return nil, nil, fmt.Errorf("%s should not be run on a Mac", program)
	}
	command, last := args[0], args[len(args)-1]
	f.ran = append(f.ran, strings.Join(args, " "))
	f.limits[command] = remaining(ctx)
	if f.hangs[command] {
		return hang(ctx)
	}
	admin := slices.Contains(args, "-d")
	switch command {
	case "find-certificate":
		return f.list(last)
	case "trust-settings-export":
		return f.export(admin, last)
	case "add-trusted-cert":
		if f.lies[command] {
			return nil, nil, nil
		}
		keychain := args[slices.Index(args, "-k")+1]
		if !slices.ContainsFunc(f.keychains[keychain], f.root.Equal) {
			f.keychains[keychain] = append(f.keychains[keychain], f.in(last))
		}
		if name := f.says[command]; name != "" { // the keychain first, then the settings
			return answer(f.t, name, f.root)
		}
		if admin != (f.uid == 0) {
			f.t.Errorf("with UID %d: security %v", f.uid, args)
		}
		f.set[admin][thumbprint(f.in(last))] = "trusted-ssl-basic"
		return nil, nil, nil
	}
	if name := f.says[command]; name != "" || f.lies[command] {
		if name == "" {
			return nil, nil, nil
		}
		return answer(f.t, name, f.root)
	}
	switch command {
	case "remove-trusted-cert":
		delete(f.set[admin], thumbprint(f.in(last)))
		return nil, nil, nil
	case "delete-certificate":
		hash := args[slices.Index(args, "-Z")+1]
		before := len(f.keychains[last])
		f.keychains[last] = slices.DeleteFunc(f.keychains[last], func(c *x509.Certificate) bool { return thumbprint(c) == hash })
		if len(f.keychains[last]) == before {
			return answer(f.t, "security/delete-not-found", f.root)
		}
		return nil, nil, nil
	}
	return nil, nil, fmt.Errorf("security %s should not be run", command)
}

// in reads the certificate that a command was given.
func (f *fakeMac) in(file string) *x509.Certificate {
	held, err := readBundle(file)
	must(f.t, err)
	cert, err := x509.ParseCertificate(held[0])
	must(f.t, err)
	return cert
}

func (f *fakeMac) list(keychain string) ([]byte, []byte, error) {
	var out []byte
	for _, cert := range f.keychains[keychain] {
		out = append(out, pemBytes(cert)...)
	}
	name := f.says["find-certificate"]
	if len(out) == 0 && name == "" {
		name = "security/find-certificate-none"
	}
	if name != "" {
		_, said, err := answer(f.t, name, f.root)
		return out, said, err
	}
	return out, nil, nil
}

func (f *fakeMac) export(admin bool, file string) ([]byte, []byte, error) {
	name := f.says["trust-settings-export"]
	setting, ok := f.set[admin][thumbprint(f.root)]
	if !ok && name == "" {
		name = "security/trust-settings-export-none"
	}
	if name != "" {
		return answer(f.t, name, f.root)
	}
	plist, err := os.ReadFile("testdata/security/settings/" + setting + ".plist")
	must(f.t, err)
	must(f.t, os.WriteFile(file, fill(plist, f.root), 0o644))
	return []byte("...Trust Settings exported successfully.\n"), nil, nil
}

// changes are the commands that were to change something.
func (f *fakeMac) changes() (found []string) {
	for _, ran := range f.ran {
		if !strings.HasPrefix(ran, "find-certificate") && !strings.HasPrefix(ran, "trust-settings-export") {
			found = append(found, ran)
		}
	}
	return found
}
