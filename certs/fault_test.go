package certs

import (
	"bytes"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

// faultCase damages a good store and says what Open has to report.
type faultCase struct {
	name              string
	damage            func(t *testing.T, dir string)
	file, reason, fix string
}

// wayOut is the command that makes a new authority and retires the old one.
const wayOut = "rtcdev certs new-authority"

func TestFaults(t *testing.T) {
	cases := []faultCase{
		{"an unconstrained intermediate", otherChain(func(c *x509.Certificate) {
			c.PermittedDNSDomains, c.PermittedIPRanges = nil, nil
		}), intermediateFile, "has other name constraints than root.pem", wayOut},
		{"an intermediate that may not sign", otherChain(func(c *x509.Certificate) {
			c.IsCA, c.MaxPathLenZero, c.PermittedDNSDomains, c.PermittedIPRanges = false, false, nil, nil
		}), intermediateFile, "may not sign certificates", wayOut},
		{"an intermediate that has expired", otherChain(func(c *x509.Certificate) {
			c.NotBefore, c.NotAfter = c.NotBefore.Add(-time.Hour), c.NotBefore
		}), intermediateFile, "expired on ", wayOut},
		{"root of another authority", fromOther(rootFile), intermediateFile, "was not signed by root.pem", wayOut},
		{"intermediate of another authority", fromOther(intermediateFile, keyFile), intermediateFile, "was not signed by root.pem", wayOut},
		{"key of another authority", fromOther(keyFile), keyFile, "does not belong to intermediate.pem", wayOut},
		{"intermediate in the root's place", edit(rootFile, func([]byte) []byte { return nil }, intermediateFile), rootFile, "is not a root certificate", wayOut},
		{"key of another kind", edit(keyFile, func([]byte) []byte { return ed25519PEM() }), keyFile, "does not hold a P-256 key", wayOut},
		{"key in another form", edit(keyFile, func(b []byte) []byte {
			return bytes.ReplaceAll(b, []byte("PRIVATE KEY"), []byte("EC PRIVATE KEY"))
		}), keyFile, "plain block of type PRIVATE KEY", wayOut},
	}
	for _, file := range storeFiles() {
		cases = append(cases,
			faultCase{file + " missing", remove(file), file, "is missing", wayOut},
			faultCase{file + " empty", edit(file, func([]byte) []byte { return nil }), file, "is empty", wayOut},
			faultCase{file + " cut off", edit(file, func(b []byte) []byte { return b[:len(b)/2] }), file, "complete PEM block", wayOut},
			faultCase{file + " zeroed", edit(file, func(b []byte) []byte { return make([]byte, len(b)) }), file, "complete PEM block", wayOut},
			faultCase{file + " twice", edit(file, func(b []byte) []byte { return append(b, b...) }), file, "something follows", wayOut},
			faultCase{file + " with junk behind", edit(file, func(b []byte) []byte { return append(b, 'x') }), file, "something follows", wayOut},
			faultCase{file + " with junk before", edit(file, func(b []byte) []byte { return append([]byte("x\n"), b...) }), file, "does not begin with", wayOut},
			faultCase{file + " of the wrong type", edit(file, func([]byte) []byte { return encodePEM("X", []byte("x")) }), file, "plain block of type", wayOut},
			faultCase{file + " with other contents", edit(file, func([]byte) []byte {
				return encodePEM(map[bool]string{true: blockKey, false: blockCertificate}[file == keyFile], []byte("x"))
			}), file, "is damaged: it does not hold a", wayOut},
			faultCase{file + " too large", edit(file, func(b []byte) []byte { return make([]byte, maxStoreFile+1) }), file, "is too large", wayOut},
			faultCase{file + " is a folder", func(t *testing.T, dir string) {
				remove(file)(t, dir)
				if err := os.Mkdir(filepath.Join(dir, file), 0o700); err != nil {
					t.Fatal(err)
				}
			}, file, "is not a regular file", wayOut},
		)
	}
	runFaultCases(t, cases)
}

func runFaultCases(t *testing.T, cases []faultCase) {
	for _, c := range cases {
		t.Run(c.name, func(t *testing.T) {
			dir := filepath.Join(t.TempDir(), "authority")
			if _, _, err := OpenOrCreate(dir, Options{}); err != nil {
				t.Fatal(err)
			}
			c.damage(t, dir)
			before := snapshot(t, dir)
			_, openErr := Open(dir)
			_, created, err := OpenOrCreate(dir, Options{})
			for _, err := range []error{openErr, err} {
				var fault *StoreError
				if !errors.As(err, &fault) {
					t.Fatalf("error %v, want a *StoreError", err)
				}
				if fault.File != filepath.Join(dir, c.file) || !strings.Contains(fault.Reason, c.reason) || !strings.HasPrefix(fault.Fix, c.fix) {
					t.Errorf("wrong fault: %+v", fault)
				}
				checkWording(t, fault)
				if strings.Contains(fault.Reason, "expired") != errors.Is(err, ErrExpired) {
					t.Errorf("errors.Is(ErrExpired) is %v for: %v", errors.Is(err, ErrExpired), err)
				}
			}
			if after := snapshot(t, filepath.Join(dir)); created || before != after {
				t.Errorf("the store was changed:\n%s\nbecame\n%s", before, after)
			}
		})
	}
}

// checkWording is for two lines: "rtcdev: ERROR" and "  next: FIX".
func checkWording(t *testing.T, fault *StoreError) {
	t.Helper()
	if text := fault.Error(); text != fault.File+" "+fault.Reason || strings.Contains(text, fault.Fix) || strings.HasSuffix(text, ".") {
		t.Errorf("the error reads %q", text)
	}
	if first := fault.Fix[:1]; first != strings.ToLower(first) || strings.HasSuffix(fault.Fix, ".") {
		t.Errorf("the next step reads %q", fault.Fix)
	}
}

// snapshot describes everything in and beside the store.
func snapshot(t *testing.T, dir string) string {
	t.Helper()
	var s strings.Builder
	err := filepath.WalkDir(filepath.Dir(dir), func(path string, entry fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		info, err := entry.Info()
		if err != nil {
			return err
		}
		fmt.Fprintf(&s, "%s %v %v", path, info.Mode(), info.ModTime())
		if info.Mode().IsRegular() {
			data, err := os.ReadFile(path)
			if err != nil {
				return err
			}
			fmt.Fprintf(&s, " %q", data)
		}
		s.WriteByte('\n')
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	return s.String()
}

func remove(file string) func(*testing.T, string) {
	return func(t *testing.T, dir string) {
		if err := os.Remove(filepath.Join(dir, file)); err != nil {
			t.Fatal(err)
		}
	}
}

// edit changes a file's contents, or replaces them by those of another.
func edit(file string, change func([]byte) []byte, source ...string) func(*testing.T, string) {
	return func(t *testing.T, dir string) {
		data, err := os.ReadFile(filepath.Join(dir, file))
		if err != nil {
			t.Fatal(err)
		}
		data = change(data)
		for _, name := range source {
			if data, err = os.ReadFile(filepath.Join(dir, name)); err != nil {
				t.Fatal(err)
			}
		}
		if err := os.WriteFile(filepath.Join(dir, file), data, 0o600); err != nil {
			t.Fatal(err)
		}
	}
}

// fromOther replaces files by those of another authority.
func fromOther(files ...string) func(*testing.T, string) {
	return func(t *testing.T, dir string) {
		other, err := newAuthority(Options{}, time.Now())
		if err != nil {
			t.Fatal(err)
		}
		for _, file := range files {
			edit(file, func([]byte) []byte { return other[file] })(t, dir)
		}
	}
}

// otherChain replaces the store by one whose intermediate was changed before it
// was signed.
func otherChain(change func(*x509.Certificate)) func(*testing.T, string) {
	return func(t *testing.T, dir string) {
		limits, err := newConstraints(Options{})
		if err != nil {
			t.Fatal(err)
		}
		rootKey, key := newKey(t), newKey(t)
		root := authorityTemplate("root", limits, time.Now())
		intermediate := authorityTemplate("intermediate", limits, time.Now())
		intermediate.MaxPathLenZero = true
		change(intermediate)
		keyDER, err := x509.MarshalPKCS8PrivateKey(key)
		if err != nil {
			t.Fatal(err)
		}
		for file, content := range map[string][]byte{
			rootFile:         encodePEM(blockCertificate, sign(t, root, root, rootKey, rootKey)),
			intermediateFile: encodePEM(blockCertificate, sign(t, intermediate, root, key, rootKey)),
			keyFile:          encodePEM(blockKey, keyDER),
		} {
			edit(file, func([]byte) []byte { return content })(t, dir)
		}
	}
}

func newKey(t testing.TB) *ecdsa.PrivateKey {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	return key
}

func sign(t testing.TB, template, issuer *x509.Certificate, key, issuerKey *ecdsa.PrivateKey) []byte {
	t.Helper()
	der, err := x509.CreateCertificate(rand.Reader, template, issuer, key.Public(), issuerKey)
	if err != nil {
		t.Fatal(err)
	}
	return der
}

func ed25519PEM() []byte {
	_, key, err := ed25519.GenerateKey(rand.Reader)
	if err != nil {
		panic(err)
	}
	der, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		panic(err)
	}
	return encodePEM(blockKey, der)
}

func TestDates(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "authority")
	if _, _, err := OpenOrCreate(dir, Options{}); err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct {
		offset  time.Duration
		expired bool
		reason  string
	}{
		{-23 * time.Hour, false, ""},
		{-25 * time.Hour, false, "this machine's clock says"},
		{authorityLife - time.Hour, false, ""},
		{authorityLife + time.Hour, true, "expired on"},
	} {
		_, err := open(dir, func() time.Time { return time.Now().Add(c.offset) })
		if errors.Is(err, ErrExpired) != c.expired {
			t.Errorf("%v away: %v, want expired %v", c.offset, err, c.expired)
		}
		if (err == nil) != (c.reason == "") || err != nil && !strings.Contains(err.Error(), c.reason) {
			t.Errorf("%v away: error %v, want %q", c.offset, err, c.reason)
		}
	}
}

// TestPlaces are faults of the folder itself.
func TestPlaces(t *testing.T) {
	write := func(path string) {
		if err := os.WriteFile(path, []byte("x"), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	for _, c := range []struct {
		name    string
		prepare func(home string)
		blocker string // relative to home
	}{
		{"the home is a file", func(home string) { write(home) }, "."},
		{"the folder is a file", func(home string) { _ = os.Mkdir(home, 0o700); write(filepath.Join(home, "authority")) }, "authority"},
		{"the folder is a dangling link", func(home string) {
			_ = os.Mkdir(home, 0o700)
			if err := os.Symlink("nowhere", filepath.Join(home, "authority")); err != nil {
				t.Skip(err)
			}
		}, "authority"},
	} {
		t.Run(c.name, func(t *testing.T) {
			home := filepath.Join(t.TempDir(), "home")
			c.prepare(home)
			dir := filepath.Join(home, "authority")
			before := snapshot(t, home)
			_, openErr := Open(dir)
			_, _, err := OpenOrCreate(dir, Options{})
			for _, err := range []error{openErr, err} {
				var fault *StoreError
				if !errors.As(err, &fault) || fault.File != filepath.Join(home, c.blocker) || !strings.Contains(fault.Reason, "not a folder") {
					t.Fatalf("error %v, want one that names %s", err, filepath.Join(home, c.blocker))
				}
				checkWording(t, fault)
			}
			if after := snapshot(t, home); before != after {
				t.Errorf("changed:\n%s\nbecame\n%s", before, after)
			}
		})
	}
}

// TestLinkToEmptyFolder is a place where the rename cannot work.
func TestLinkToEmptyFolder(t *testing.T) {
	home := t.TempDir()
	dir := filepath.Join(home, "authority")
	if err := os.Symlink(t.TempDir(), dir); err != nil {
		t.Skip(err)
	}
	_, _, err := OpenOrCreate(dir, Options{})
	var fault *StoreError
	if !errors.As(err, &fault) || fault.File != dir || !strings.Contains(fault.Fix, "link") {
		t.Errorf("error %v", err)
	}
	if entries, _ := os.ReadDir(home); len(entries) != 1 {
		t.Errorf("left behind: %v", entries)
	}
}

func TestBadPermitMakesNothing(t *testing.T) {
	home := filepath.Join(t.TempDir(), "home")
	_, _, err := OpenOrCreate(filepath.Join(home, "authority"), Options{Permit: []string{"*.example.com"}})
	var nameErr *NameError
	if !errors.As(err, &nameErr) {
		t.Errorf("error %v, want a *NameError", err)
	}
	if _, err := os.Stat(home); err == nil {
		t.Error("the folder was made all the same")
	}
}

func FuzzOpen(f *testing.F) {
	files, err := newAuthority(Options{}, time.Now())
	if err != nil {
		f.Fatal(err)
	}
	other, err := newAuthority(Options{}, time.Now())
	if err != nil {
		f.Fatal(err)
	}
	f.Add(files[rootFile], files[intermediateFile], files[keyFile])
	f.Add(other[rootFile], files[intermediateFile], files[keyFile])
	f.Add(files[rootFile][:300], files[keyFile], []byte{})
	f.Fuzz(func(t *testing.T, root, intermediate, key []byte) {
		dir := t.TempDir()
		for file, content := range map[string][]byte{rootFile: root, intermediateFile: intermediate, keyFile: key} {
			if err := os.WriteFile(filepath.Join(dir, file), content, 0o600); err != nil {
				t.Fatal(err)
			}
		}
		if err := os.Chmod(dir, 0o700); err != nil {
			t.Fatal(err)
		}
		a, err := Open(dir)
		alone, rootErr := OpenRoot(dir)
		var fault *StoreError
		for _, err := range []error{err, rootErr} {
			if err != nil && !errors.As(err, &fault) {
				t.Fatalf("error %v, want a *StoreError", err)
			}
		}
		if (rootErr == nil) != (alone != nil) {
			t.Fatalf("OpenRoot: %v with error %v", alone, rootErr)
		}
		if err == nil {
			if rootErr != nil || !alone.Equal(a.Root()) {
				t.Fatalf("Open accepts the store, and OpenRoot says %v", rootErr)
			}
			if _, err := a.Issue([]string{"localhost"}); err != nil {
				t.Fatalf("an authority that was accepted cannot sign: %v", err)
			}
		}
	})
}
