package certs

import (
	"crypto/x509"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

// TestOpenRootNeedsTheRootAlone: whatever else is wrong with a store, its root
// can be taken out of a machine's stores.
func TestOpenRootNeedsTheRootAlone(t *testing.T) {
	for name, damage := range map[string]func(*testing.T, string){
		"in order":             func(*testing.T, string) {},
		"without a key":        remove(keyFile),
		"key damaged":          edit(keyFile, func([]byte) []byte { return []byte("x") }),
		"without intermediate": remove(intermediateFile),
		"another intermediate": fromOther(intermediateFile),
		"expired": func(t *testing.T, dir string) {
			long := time.Now().Add(-2 * authorityLife)
			files, err := newAuthority(Options{}, long)
			if err != nil {
				t.Fatal(err)
			}
			for file, content := range files {
				edit(file, func([]byte) []byte { return content })(t, dir)
			}
			if _, err := Open(dir); !errors.Is(err, ErrExpired) {
				t.Fatalf("Open says %v, so this shows nothing", err)
			}
		},
	} {
		t.Run(name, func(t *testing.T) {
			dir := filepath.Join(t.TempDir(), "authority")
			if _, _, err := OpenOrCreate(dir, Options{}); err != nil {
				t.Fatal(err)
			}
			damage(t, dir)
			before := snapshot(t, dir)
			root, err := OpenRoot(dir)
			if err != nil {
				t.Fatal(err)
			}
			armoured, err := EncodeRoot(root, FormatPEM)
			if err != nil {
				t.Fatal(err)
			}
			if written, err := os.ReadFile(filepath.Join(dir, rootFile)); err != nil || string(armoured) != string(written) {
				t.Errorf("the root was read as something else (error %v)", err)
			}
			if after := snapshot(t, dir); before != after {
				t.Errorf("the store was changed:\n%s\nbecame\n%s", before, after)
			}
		})
	}
}

func TestOpenRootOfNothing(t *testing.T) {
	empty := t.TempDir()
	for _, dir := range []string{empty, filepath.Join(empty, "missing"), filepath.Join(empty, "a", "b")} {
		if root, err := OpenRoot(dir); !errors.Is(err, ErrNoAuthority) || root != nil {
			t.Errorf("%s: error %v, want ErrNoAuthority", dir, err)
		}
	}
}

func TestOpenRootFaults(t *testing.T) {
	for _, c := range []faultCase{
		{"missing", remove(rootFile), rootFile, "is missing", wayOut},
		{"empty", edit(rootFile, func([]byte) []byte { return nil }), rootFile, "is empty", wayOut},
		{"cut off", edit(rootFile, func(b []byte) []byte { return b[:len(b)/2] }), rootFile, "complete PEM block", wayOut},
		{"twice", edit(rootFile, func(b []byte) []byte { return append(b, b...) }), rootFile, "something follows", wayOut},
		{"a key", edit(rootFile, func([]byte) []byte { return nil }, keyFile), rootFile, "plain block of type CERTIFICATE", wayOut},
		{"no certificate", edit(rootFile, func([]byte) []byte { return encodePEM(blockCertificate, []byte("x")) }), rootFile, "does not hold a certificate", wayOut},
		{"the intermediate", edit(rootFile, func([]byte) []byte { return nil }, intermediateFile), rootFile, "is not a root certificate", wayOut},
		{"a server's certificate", edit(rootFile, func([]byte) []byte {
			pair, err := SelfSigned([]string{"localhost"})
			if err != nil {
				panic(err)
			}
			return encodePEM(blockCertificate, pair.Certificate[0])
		}), rootFile, "is not a root certificate", wayOut},
	} {
		t.Run(c.name, func(t *testing.T) {
			dir := filepath.Join(t.TempDir(), "authority")
			if _, _, err := OpenOrCreate(dir, Options{}); err != nil {
				t.Fatal(err)
			}
			c.damage(t, dir)
			root, err := OpenRoot(dir)
			var fault *StoreError
			if !errors.As(err, &fault) || root != nil {
				t.Fatalf("root %v, error %v; want a *StoreError", root, err)
			}
			if fault.File != filepath.Join(dir, c.file) || !strings.Contains(fault.Reason, c.reason) || !strings.HasPrefix(fault.Fix, c.fix) {
				t.Errorf("wrong fault: %+v", fault)
			}
		})
	}
}

func TestEncodeRoot(t *testing.T) {
	root := newTestAuthority(t, Options{}).Root()
	der, err := EncodeRoot(root, FormatDER)
	if err != nil {
		t.Fatal(err)
	}
	if again, err := x509.ParseCertificate(der); err != nil || FingerprintOf(again) != FingerprintOf(root) {
		t.Errorf("DER: %v", err)
	}
	der[0] = 0
	if root.Raw[0] == 0 {
		t.Error("the caller can change the certificate itself")
	}
	if _, err := EncodeRoot(root, "p12"); err == nil {
		t.Error("an unknown format was accepted")
	}
}
