package trust

import (
	"context"
	"crypto/x509"
	"encoding/base64"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
)

// policyStore is the file by which the administrator of Linux sets up a browser
// for every account: the way to make it trust a root without certutil. The
// browser then says that it is managed by an organization.
//
// Chromium takes certificates from the policy CACertificates, a list of DER in
// base64, in any file of its folder. Of two files with that list it reads one,
// that which is last in the alphabet (seen with Chromium 156): so all roots of
// ours share one file, and beside a list of somebody else we put none. It
// enforces the name constraints in such a root. An earlier Chromium does not
// know the policy, and goes on refusing.
//
// Firefox takes paths of PEM files from the policy Certificates.Install, in one
// file for all policies. It looks for that file in /etc/firefox/policies, and
// only if there is none, beside itself in distribution (seen with Firefox 153).
// At its start it copies the roots into the profile, where they stay when the
// policy goes: removedNote says so.
type policyStore struct {
	m        Machine
	name     string
	browser  string   // Status.Browser
	programs []string // any of them shows that the browser is installed
	file     string   // of policies
	keys     []string // where in the file's JSON the list is
	beside   bool     // the list has paths of files in the folder of file, and not the certificates themselves
}

// policyStores returns the browsers' policy files: those of installed browsers,
// and those whose folder somebody made.
func (m Machine) policyStores() []Store {
	if m.OS != "linux" {
		return m.noPolicy("setting a browser up with a policy file: %w on this system", ErrUnsupported)
	}
	var stores []Store
	for _, b := range []struct {
		name, browser, dir string
		programs           []string
	}{
		{"chromium", BrowserChromium, "/etc/chromium/policies/managed", []string{"chromium", "chromium-browser"}},
		{"chromium snap", BrowserChromium, "/etc/chromium-browser/policies/managed", []string{"/snap/bin/chromium"}},
		{"chrome", BrowserChromium, "/etc/opt/chrome/policies/managed", []string{"google-chrome", "google-chrome-stable"}},
		{"firefox", BrowserFirefox, "/etc/firefox/policies", []string{"firefox", "firefox-esr"}},
	} {
		s := policyStore{m: m, name: b.name, browser: b.browser, programs: b.programs}
		if b.browser == BrowserFirefox {
			s.file, s.keys, s.beside = filepath.Join(m.Root, b.dir, "policies.json"), []string{"policies", "Certificates", "Install"}, true
		} else {
			s.file, s.keys = filepath.Join(m.Root, b.dir, "rtcdev-local-authority.json"), []string{"CACertificates"}
		}
		if s.installed() || isDir(filepath.Dir(s.file)) {
			stores = append(stores, s)
		}
	}
	if len(stores) == 0 {
		return m.noPolicy("looking for Chromium, Chrome and Firefox: %w", ErrToolMissing)
	}
	return stores
}

// noPolicy is for those who named the kind.
func (m Machine) noPolicy(format string, err error) []Store {
	if !slices.Contains(m.asked, KindPolicy) {
		return nil
	}
	return []Store{noStore{m, KindPolicy, fmt.Errorf(format, err)}}
}

// installed reports whether the browser is. A snap has a folder of its own.
func (s policyStore) installed() bool {
	return slices.ContainsFunc(s.programs, func(program string) bool {
		path, err := s.m.LookPath(program)
		return err == nil && (path == program || !strings.HasPrefix(path, "/snap/"))
	})
}

func (s policyStore) Name() string { return "policy " + s.name }
func (s policyStore) Kind() string { return KindPolicy }
func (s policyStore) Path() string { return s.file }

// member is what stands for root in the list.
func (s policyStore) member(root *x509.Certificate) string {
	if s.beside {
		return filepath.Join(filepath.Dir(s.file), policyStem+id(root)+".pem")
	}
	return base64.StdEncoding.EncodeToString(root.Raw)
}

// policyStem begins the names of the files that Install makes.
const policyStem = "rtcdev-local-authority-"

// certificate is what a member of the list stands for, or nil.
func (s policyStore) certificate(member string) *x509.Certificate {
	var der []byte
	if !s.beside {
		der, _ = base64.StdEncoding.DecodeString(member) // what is no base64 is no certificate
	} else if filepath.IsAbs(member) {
		raw, _ := readSmall(member, maxPolicy) // Firefox passes over a file that it cannot read, too
		if blocks := pemBlocks(raw); len(blocks) > 0 {
			raw = blocks[0]
		}
		der = raw
	}
	cert, err := x509.ParseCertificate(der)
	if err != nil {
		return nil
	}
	return cert
}

// maxPolicy bounds what is read of a policy file or a certificate, in bytes.
const maxPolicy = 4 << 20

// read returns the file's content, nil when there is none, and its list.
func (s policyStore) read() (raw []byte, members []string, err error) {
	raw, err = readSmall(s.file, maxPolicy)
	if errors.Is(err, fs.ErrNotExist) && !exists(s.file) {
		return nil, nil, nil
	}
	if len(raw) > maxPolicy {
		err = errors.New("it is too large")
	}
	if err != nil {
		return nil, nil, fault("sudo ls -la "+quote(s.m.OS, s.file), "reading the policies of %s: %w", s.browser, err)
	}
	if members, err = jsonList(raw, s.keys); err != nil {
		return nil, nil, fault(fmt.Sprintf("sudo mv %s %s", quote(s.m.OS, s.file), quote(s.m.OS, s.file+".damaged")),
			"reading the policies in %s: %w: %w", s.file, ErrDatabase, err)
	}
	return raw, members, nil
}

func (s policyStore) Roots(context.Context) ([]*x509.Certificate, error) {
	_, members, err := s.read()
	var roots []*x509.Certificate
	for _, member := range members {
		if cert := s.certificate(member); cert != nil && s.member(cert) == member {
			roots = append(roots, cert)
		}
	}
	return roots, err
}

// unused says why the store is left alone, "" when it is not: when it was asked
// for, when a root of ours is in it already, and when it is the only way, which
// only root can go.
func (s policyStore) unused() (reason, fix string) {
	roots, err := s.Roots(context.Background())
	if slices.Contains(s.m.asked, KindPolicy) || err == nil && len(roots) > 0 {
		return "", ""
	}
	if _, err := s.m.LookPath("certutil"); err == nil {
		return "not needed: certutil changes the databases of each account's browsers", ""
	}
	switch {
	case !s.installed():
		return "its browser is not installed", ""
	case s.m.UID != 0:
		return "it is the way without certutil, and only root may change it", s.m.RootCommand + " trust --stores policy"
	}
	return "", ""
}

func (s policyStore) Status(_ context.Context, root *x509.Certificate) Status {
	st := Status{Path: s.file, Browser: s.browser, NeedsRoot: s.m.UID != 0}
	if st.Reason, st.Fix = s.unused(); st.Reason != "" {
		st.State = StateUnused
		return st
	}
	_, members, err := s.read()
	if err != nil {
		return unreadable(st, err)
	}
	st.State, st.Reason = StateAbsent, reasonAbsent
	for _, member := range members {
		cert := s.certificate(member)
		switch {
		case cert != nil && cert.Equal(root):
			st.entry, st.State, st.Reason = true, StateTrusted, ""
		case member == s.member(root):
			st.entry, st.Reason = true, "it lists the root's file "+member+", in which the root is not"
		case cert != nil && s.member(cert) == member:
			st.Stale++
		}
	}
	if err := s.conflict(); err != nil {
		return unreadable(st, err)
	}
	if st.State == StateAbsent && st.NeedsRoot {
		st.Reason += "; only root may change it"
		st.Fix = s.m.RootCommand + " trust --stores policy"
	}
	return st
}

// conflict is the fault of another policy file, which ours would hide, or hides
// ours.
func (s policyStore) conflict() error {
	for _, path := range s.others() {
		raw, err := readSmall(path, maxPolicy) // a file that only root can read, the browser cannot read either
		switch {
		case err != nil || s.beside && exists(s.file):
		case s.beside:
			return fault(fmt.Sprintf("sudo install -D -m 0644 %s %s", quote(s.m.OS, path), quote(s.m.OS, s.file)),
				"changing the policies of Firefox: it would no longer read those in %s: %w", path, ErrUnsupported)
		case strings.Contains(string(raw), `"`+s.keys[0]+`"`): // also in a file that only Chromium understands
			return fault("rtcdev certs export --format der | base64 -w 0",
				"changing the policies of %s: %s has a list %s, too, and only one of two is read, so what the next command prints is to be added to that by hand: %w",
				s.browser, path, s.keys[0], ErrUnsupported)
		}
	}
	return nil
}

// others returns the files besides ours that the browser reads policies from.
func (s policyStore) others() []string {
	if !s.beside {
		files, _ := filepath.Glob(filepath.Join(filepath.Dir(s.file), "*")) // fails for a bad pattern only
		return slices.DeleteFunc(files, func(path string) bool {
			info, err := os.Stat(path)
			return path == s.file || err != nil || !info.Mode().IsRegular() || strings.HasPrefix(filepath.Base(path), policyCopies)
		})
	}
	dirs := []string{"/usr/lib/firefox", "/usr/lib/firefox-esr", "/usr/lib64/firefox"}
	for _, program := range s.programs {
		if path, err := s.m.LookPath(program); err == nil {
			if path, err = filepath.EvalSymlinks(filepath.Join(s.m.Root, path)); err == nil {
				dirs = append(dirs, strings.TrimPrefix(filepath.Dir(path), s.m.Root))
			}
		}
	}
	var files []string
	for _, dir := range dirs {
		files = append(files, filepath.Join(s.m.Root, dir, "distribution", "policies.json"))
	}
	return files
}

// removedNote is what to say of Firefox when a root has gone from its policies.
func (s policyStore) removedNote() string {
	if s.browser != BrowserFirefox {
		return ""
	}
	return "A profile of Firefox that was used meanwhile keeps the root: rtcdev certs untrust --stores firefox takes it out, with certutil."
}
