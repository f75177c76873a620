package trust

import (
	"bytes"
	"context"
	"crypto/x509"
	"encoding/pem"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
)

// systemStore is the store of a Linux system, which curl, Go, Python and most
// command-line programs read, and no browser.
type systemStore struct{ m Machine }

// systemStores returns the operating system's own stores. Under WSL there are two
// operating systems.
func (m Machine) systemStores() []Store {
	switch {
	case m.OS == "darwin":
		return m.keychainStores()
	case m.OS == "windows":
		return []Store{windowsStore{m}}
	case m.OS == "linux" && m.WSL:
		return []Store{systemStore{m}, windowsStore{m}}
	}
	return []Store{systemStore{m}}
}

func (systemStore) Name() string { return "system" }
func (systemStore) Kind() string { return KindSystem }

// Path returns the folder of the roots that the administrator adds, or "" where
// there is no store.
func (s systemStore) Path() string {
	l, err := s.layout()
	if err != nil {
		return "/"
	}
	return l.anchors
}

// layout says where a Linux distribution keeps its store.
type layout struct {
	anchors string // folder for roots the administrator adds
	ext     string // the file name extension its tool looks for
	tool    string // the program that rebuilds the bundle
	args    []string
	bundle  string // what programs read
	links   string // OpenSSL folder whose links the tool forgets to remove, or ""
	hooks   string // programs the tool tells of a removed root, or ""
}

// command is the tool with its arguments, as a person runs it.
func (l layout) command() string { return strings.Join(append([]string{l.tool}, l.args...), " ") }

// layouts are the distributions' documented stores, in the order smallstep/truststore
// looks for them: update-ca-trust(8) of Fedora, update-ca-certificates(8)
// of Debian (also Alpine), the same of SUSE, update-ca-trust(8) of Arch. On SUSE
// truststore takes /usr/share/pki/trust/anchors, which belongs to packages and may
// not be written where /usr is read-only; p11-kit reads both.
func layouts() []layout {
	return []layout{
		{anchors: "/etc/pki/ca-trust/source/anchors", ext: ".pem", tool: "update-ca-trust", args: []string{"extract"},
			bundle: "/etc/pki/ca-trust/extracted/pem/tls-ca-bundle.pem"},
		{anchors: "/usr/local/share/ca-certificates", ext: ".crt", tool: "update-ca-certificates",
			bundle: "/etc/ssl/certs/ca-certificates.crt", links: "/etc/ssl/certs", hooks: "/etc/ca-certificates/update.d"},
		{anchors: "/etc/pki/trust/anchors", ext: ".crt", tool: "update-ca-certificates",
			bundle: "/var/lib/ca-certificates/ca-bundle.pem"},
		{anchors: "/etc/ca-certificates/trust-source/anchors", ext: ".crt", tool: "update-ca-trust", args: []string{"extract"},
			bundle: "/etc/ssl/certs/ca-certificates.crt"},
	}
}

// layout finds this machine's store. Its paths have m.Root before them.
func (s systemStore) layout() (layout, error) {
	if s.m.OS != "linux" {
		return layout{}, fault("add the root by hand, as this system's manual says: rtcdev certs export prints it",
			"changing the system store of %s: %w", s.m.OS, ErrUnsupported)
	}
	for _, l := range layouts() {
		for _, p := range []*string{&l.anchors, &l.bundle, &l.links, &l.hooks} {
			if *p != "" {
				*p = filepath.Join(s.m.Root, *p)
			}
		}
		if isDir(l.anchors) {
			return l, nil
		}
	}
	return layout{}, fault("install the package ca-certificates", "changing the system store of this distribution: %w", ErrUnsupported)
}

// tool finds the program that rebuilds the bundle. It is needed for a change
// only. The system's folders for administrators are looked in, too: Debian
// leaves them out of an ordinary user's PATH, and su keeps that PATH for root.
func (s systemStore) tool(l layout) (string, error) {
	for _, dir := range []string{"", "/usr/sbin", "/sbin"} {
		if path, err := s.m.LookPath(filepath.Join(dir, l.tool)); err == nil {
			return path, nil
		}
	}
	return "", fault("install the package ca-certificates", "looking for %s: %w", l.tool, ErrToolMissing)
}

// anchor is the file that holds root. Its name is the one that truststore
// builds from its prefix and the serial number; it is safe in any shell.
func (l layout) anchor(root *x509.Certificate) string {
	return filepath.Join(l.anchors, anchorPrefix(root)+root.SerialNumber.String()+l.ext)
}

func anchorPrefix(root *x509.Certificate) string { return anchorStem + id(root) + "_" }

const anchorStem = "rtcdev_local_authority_"

func (s systemStore) Status(ctx context.Context, root *x509.Certificate) Status {
	st := Status{NeedsRoot: s.m.OS == "linux" && s.m.UID != 0}
	l, err := s.layout()
	if st.Path = l.bundle; err != nil {
		return unreadable(st, err)
	}
	anchored := exists(l.anchor(root))
	bundled, err := bundleHas(l.bundle, root)
	st.entry = anchored || bundled
	roots, _ := s.Roots(ctx) // those that could be read
	if st.Stale = others(roots, root); err != nil {
		return unreadable(st, err)
	}
	if bundled && (anchored || s.m.UID != 0 || l.otherFile(root) != "") {
		st.State = StateTrusted
		return st
	}
	if _, err := s.tool(l); err != nil {
		return unreadable(st, err)
	}
	st.State, st.Reason = StateAbsent, reasonAbsent
	switch {
	case bundled: // a removal that did not come to its end; root can end or undo it
		st.Reason = fmt.Sprintf("programs trust the root until the next %s, because it is not in %s", l.tool, l.anchors)
	case anchored:
		st.Reason = fmt.Sprintf("the root is in %s, but not in the bundle that programs read", l.anchors)
	}
	if st.NeedsRoot {
		st.Reason += "; only root may change it"
		st.Fix = s.m.RootCommand + " trust --stores system"
	}
	return st
}

func (s systemStore) Install(ctx context.Context, root *x509.Certificate) error {
	l, err := s.layout()
	if err != nil {
		return err
	}
	if s.m.UID != 0 {
		return fault(s.m.RootCommand+" trust --stores system", "changing the system store: %w", ErrNeedsRoot)
	}
	if err := s.update(ctx, l, root, true); err != nil {
		// Best effort: nothing half-done stays; the first error is the one to report.
		_ = s.uninstall(context.WithoutCancel(ctx), l, root)
		return err
	}
	return nil
}

func (s systemStore) Remove(ctx context.Context, root *x509.Certificate) error {
	l, err := s.layout()
	if err != nil {
		if s.m.OS == "linux" && !exists(l.bundle) {
			return nil // there is no store, so nothing is in it
		}
		return err
	}
	bundled, err := bundleHas(l.bundle, root)
	if err != nil {
		return err
	}
	there := bundled || exists(l.anchor(root))
	switch {
	case !there && s.m.UID == 0:
		return s.clean(ctx, l, root)
	case !there:
		return nil // dangling links, which only root could remove, trust nothing
	case s.m.UID != 0:
		return fault(s.m.RootCommand+" untrust --stores system", "changing the system store: %w", ErrNeedsRoot)
	}
	if err := s.uninstall(ctx, l, root); err != nil {
		return err
	}
	if other := l.otherFile(root); other != "" {
		return fault(fmt.Sprintf("sudo rm %s && sudo %s", quote(s.m.OS, other), l.command()),
			"removing the root from the system store: %w: somebody also installed it as %s", ErrNotVerified, other)
	}
	return nil
}

// otherFile is the file under which somebody else installed the same root, or "".
func (l layout) otherFile(root *x509.Certificate) string {
	entries, _ := os.ReadDir(l.anchors) // a folder that cannot be read has no file to name
	for _, e := range entries {
		path := filepath.Join(l.anchors, e.Name())
		if has, err := bundleHas(path, root); err == nil && has {
			return path
		}
	}
	return ""
}

func (s systemStore) uninstall(ctx context.Context, l layout, root *x509.Certificate) error {
	err := s.update(ctx, l, root, false)
	if err != nil && exists(l.anchor(root)) {
		return err
	}
	// Also when the tool failed: it may have made links to a file that is gone now.
	if cleanErr := s.clean(ctx, l, root); err == nil {
		err = cleanErr
	}
	return err
}

// bundleHas reports whether a PEM bundle holds exactly root.
func bundleHas(path string, root *x509.Certificate) (bool, error) {
	held, err := readBundle(path)
	return slices.ContainsFunc(held, func(der []byte) bool { return bytes.Equal(der, root.Raw) }), err
}

// readBundle returns the contents of each PEM block in a file. A bundle that
// does not exist holds nothing.
func readBundle(path string) ([][]byte, error) {
	raw, err := os.ReadFile(path)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	if err != nil {
		return nil, fmt.Errorf("reading the system store: %w", err)
	}
	return pemBlocks(raw), nil
}

func pemBlocks(raw []byte) (contents [][]byte) {
	for block, rest := pem.Decode(raw); block != nil; block, rest = pem.Decode(rest) {
		contents = append(contents, block.Bytes)
	}
	return contents
}

func exists(path string) bool {
	_, err := os.Lstat(path)
	return err == nil
}
