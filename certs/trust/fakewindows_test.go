package trust

import (
	"context"
	"crypto/x509"
	"encoding/hex"
	"fmt"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"
)

// fakeWindows is Windows as its programs show it, to a Windows program or to one
// under WSL. Their words come from testdata.
type fakeWindows struct {
	t          *testing.T
	wsl        bool
	certs      []*x509.Certificate // the current user's trusted roots
	disallowed []*x509.Certificate
	missing    map[string]bool   // programs that are not there
	says       map[string]string // by program or certutil's command: an answer of testdata instead
	lies       bool              // what should change does not, and says that it did
	hangs      map[string]bool
	encode     func(string) []byte // how the console writes
	korean     bool
	root       *x509.Certificate // whom the answers are about
	ran        []string
	limits     map[string]time.Duration // how long each program could have taken, by its arguments
}

func newWindows(t *testing.T, wsl bool, root *x509.Certificate) (*fakeWindows, Machine) {
	t.Helper()
	f := &fakeWindows{t: t, wsl: wsl, root: root, missing: map[string]bool{}, says: map[string]string{}, hangs: map[string]bool{}, limits: map[string]time.Duration{},
		encode: func(s string) []byte { return []byte(s) }}
	m := testMachine(t)
	m.Run, m.Journal, m.WSL, m.UID, m.OS = f.run, t.TempDir(), wsl, -1, "windows"
	if wsl {
		m.OS, m.UID = "linux", 1000
	}
	m.LookPath = func(program string) (string, error) {
		if f.missing[base(program)] || !strings.HasPrefix(program, windowsStore{m}.system32()) {
			return "", exec.ErrNotFound
		}
		return program, nil
	}
	return f, m
}

// base is filepath.Base for both kinds of paths.
func base(program string) string { return filepath.Base(strings.ReplaceAll(program, `\`, "/")) }

func (f *fakeWindows) run(ctx context.Context, program string, args ...string) ([]byte, []byte, error) {
	name := base(program)
	f.ran = append(f.ran, name+" "+strings.Join(args, " "))
	f.limits[f.ran[len(f.ran)-1]] = remaining(ctx)
	for _, arg := range args {
		if strings.ContainsRune(arg, '"') {
			f.t.Errorf("a double quote does not pass through every kind of quoting: %q", arg)
		}
	}
	switch {
	case f.missing[name]:
		return nil, nil, exec.ErrNotFound
	case f.hangs[name]:
		return hang(ctx)
	case f.says[name] != "":
		return f.speak(f.says[name])
	case name == "wslpath" && f.wsl:
		return []byte(`\\wsl.localhost\Debian` + strings.ReplaceAll(args[1], "/", `\`) + "\n"), nil, nil
	case name == "certutil.exe" && args[0] == "-user" && args[2] == "Root":
		return f.certutil(args[1], args[3])
	case name == "powershell.exe" && args[0] == "-NoProfile" && args[len(args)-2] == "-Command":
		return f.powershell(args[len(args)-1])
	}
	return nil, nil, fmt.Errorf("%s %v should not be run", name, args)
}

// speak is an answer of testdata, in the language and the encoding of the console.
// Linux sees the lowest 8 bits of an exit status.
func (f *fakeWindows) speak(name string) ([]byte, []byte, error) {
	if f.korean && strings.HasPrefix(name, "certutil.exe/") && !strings.HasSuffix(name, "-ko") {
		name += "-ko"
	}
	stdout, stderr, err := answer(f.t, name, f.root)
	if code, failed := exitCode(err); failed && f.wsl {
		err = ended(code & 0xff)
	}
	return f.encode(string(stdout)), f.encode(string(stderr)), err
}

func (f *fakeWindows) certutil(command, operand string) ([]byte, []byte, error) {
	if name := f.says[command]; name != "" {
		return f.speak(name)
	}
	isIt := func(c *x509.Certificate) bool { return thumbprint(c) == operand }
	switch {
	case command == "-store" && slices.ContainsFunc(f.certs, isIt):
		return f.speak("certutil.exe/found")
	case command == "-store":
		return f.speak("certutil.exe/not-found")
	case f.lies:
	case command == "-addstore":
		path := operand
		if f.wsl {
			linux, ok := strings.CutPrefix(operand, `\\wsl.localhost\Debian`)
			if !ok {
				return f.speak("certutil.exe/file-not-found")
			}
			path = strings.ReplaceAll(linux, `\`, "/")
		}
		held, err := readBundle(path)
		must(f.t, err)
		cert, err := x509.ParseCertificate(held[0])
		must(f.t, err)
		f.certs = append(f.certs, cert)
		return f.speak("certutil.exe/added")
	case command == "-delstore":
		f.certs = slices.DeleteFunc(f.certs, isIt)
	}
	korean := f.korean
	f.korean = false // this one has no Korean form
	defer func() { f.korean = korean }()
	return f.speak("certutil.exe/deleted")
}

// powershell does what our scripts say, as far as their text shows it.
func (f *fakeWindows) powershell(script string) ([]byte, []byte, error) {
	if strings.Contains(script, "Get-ChildItem") {
		filter := regexp.MustCompile(`-like '\*(.+)\*' -or \$_\.Thumbprint -eq '([0-9A-F]{40})'`).FindStringSubmatch(script)
		out := "rtcdev{\r\n"
		for i, list := range [][]*x509.Certificate{f.certs, f.disallowed} {
			for _, cert := range list {
				if strings.Contains(cert.Subject.String(), filter[1]) || thumbprint(cert) == filter[2] {
					out += []string{"Root", "Disallowed"}[i] + ":\r\n" + strings.ToUpper(hex.EncodeToString(cert.Raw)) + "\r\n;\r\n"
				}
			}
		}
		return f.encode(out + "}\r\n"), nil, nil
	}
	if f.says["change"] != "" {
		return f.speak(f.says["change"])
	}
	call := regexp.MustCompile(`FromBase64String\('([^']+)'\).*\$s\.(Add|Remove)\(`).FindStringSubmatch(script)
	held := pemBlocks([]byte("-----BEGIN CERTIFICATE-----\n" + call[1] + "\n-----END CERTIFICATE-----\n"))
	cert, err := x509.ParseCertificate(held[0])
	must(f.t, err)
	if f.certs = slices.DeleteFunc(f.certs, cert.Equal); call[2] == "Add" {
		f.certs = append(f.certs, cert)
	}
	return f.encode("rtcdev{00000000}\r\n"), nil, nil
}

// changes are the commands that were to change something.
func (f *fakeWindows) changes() (found []string) {
	for _, ran := range f.ran {
		if strings.Contains(ran, "-addstore") || strings.Contains(ran, "-delstore") || strings.Contains(ran, "X509Store") {
			found = append(found, ran)
		}
	}
	return found
}

// encodings are the ways in which a console of Windows writes to a pipe.
func encodings() map[string]func(string) []byte {
	utf16 := func(s string) (out []byte) {
		for _, r := range s {
			out = append(out, byte(r), byte(r>>8))
		}
		return out
	}
	return map[string]func(string) []byte{
		"UTF-8":           func(s string) []byte { return []byte(s) },
		"UTF-8 with mark": func(s string) []byte { return []byte("\ufeff" + s) },
		"UTF-16":          utf16,
		"UTF-16 with mark": func(s string) []byte {
			return append([]byte{0xff, 0xfe}, utf16(s)...)
		},
		"two bytes a sign, as code page 949": func(s string) (out []byte) {
			for _, r := range s {
				if r < 0x80 {
					out = append(out, byte(r))
				} else {
					out = append(out, 0xb0|byte(r&0x0f), 'A'+byte(r%26)) // the second byte of some signs is a letter
				}
			}
			return out
		},
		"lines broken at 80": func(s string) (out []byte) {
			for i, b := range []byte(s) {
				if out = append(out, b); i%80 == 79 {
					out = append(out, "\r\n"...)
				}
			}
			return out
		},
	}
}
