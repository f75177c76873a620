package trust

import (
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"crypto/x509/pkix"
	"errors"
	"fmt"
	"math/big"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/rogpeppe/go-internal/txtar"
)

// newOwnRoot is a root with the subject of package certs's.
func newOwnRoot(t *testing.T, suffix string) *x509.Certificate {
	t.Helper()
	return newSubjectRoot(t, pkix.Name{Organization: []string{"rtcdev"}, CommonName: nickPrefix + "(" + suffix + ", 2026-11-22, 3f9a2c)"})
}

func newSubjectRoot(t *testing.T, subject pkix.Name) *x509.Certificate {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	must(t, err)
	serial, err := rand.Int(rand.Reader, big.NewInt(1<<62))
	must(t, err)
	template := &x509.Certificate{
		SerialNumber: serial, Subject: subject, NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(time.Hour),
		IsCA: true, BasicConstraintsValid: true, KeyUsage: x509.KeyUsageCertSign,
	}
	der, err := x509.CreateCertificate(rand.Reader, template, template, key.Public(), key)
	must(t, err)
	cert, err := x509.ParseCertificate(der)
	must(t, err)
	return cert
}

// ended is the error of a program that ran and failed.
type ended int64

func (e ended) Error() string { return fmt.Sprintf("exit status %d", int(e)) }
func (e ended) ExitCode() int { return int(e) }

// answer is one of testdata's, about a root.
func answer(t *testing.T, name string, root *x509.Certificate) (stdout, stderr []byte, err error) {
	t.Helper()
	archive, readErr := txtar.ParseFile(filepath.Join("testdata", name+".txt"))
	must(t, readErr)
	header := strings.Split(strings.TrimSpace(string(archive.Comment)), "\n")
	var code int
	if _, scanErr := fmt.Sscanf(header[len(header)-1], "exit %d", &code); scanErr != nil || len(header) < 2 {
		t.Fatalf("testdata/%s.txt must say where its form is from, and then the exit status", name)
	}
	if len(archive.Files) != 2 || archive.Files[0].Name != "stdout" || archive.Files[1].Name != "stderr" {
		t.Fatalf("testdata/%s.txt must have stdout and stderr", name)
	}
	if code != 0 {
		err = ended(code)
	}
	return fill(archive.Files[0].Data, root), fill(archive.Files[1].Data, root), err
}

func fill(template []byte, root *x509.Certificate) []byte {
	hash := thumbprint(root)
	var pairs []string
	for pair := range slices.Chunk([]byte(strings.ToLower(hash)), 2) {
		pairs = append(pairs, string(pair))
	}
	return []byte(strings.NewReplacer("{{SHA1}}", hash, "{{sha1}}", strings.ToLower(hash),
		"{{s h a 1}}", strings.Join(pairs, " "), "{{CN}}", root.Subject.CommonName).Replace(string(template)))
}

// hang is a program that waits for a person who does not come.
func hang(ctx context.Context) ([]byte, []byte, error) {
	<-ctx.Done()
	return nil, nil, ctx.Err()
}

// remaining is how long a program may take, rounded.
func remaining(ctx context.Context) time.Duration {
	deadline, ok := ctx.Deadline()
	if !ok {
		return 0
	}
	return time.Until(deadline).Round(10 * time.Second)
}

// wellSaid checks that a fault has what failed and the next step, as a person reads them.
func wellSaid(t *testing.T, err error) {
	t.Helper()
	var f *Fault
	if !errors.As(err, &f) || f.Fix == "" {
		t.Errorf("there is no next step: %v", err)
		return
	}
	if strings.ContainsAny(f.Error()+f.Fix, "\n\r") || !strings.Contains(f.Error(), ":") {
		t.Errorf("it is not one plain line: %q, next: %q", f.Error(), f.Fix)
	}
	t.Logf("%s\n  next: %s", f.Error(), f.Fix)
}

// same compares two listings of what is below a folder.
func same(t *testing.T, want, got map[string]string) {
	t.Helper()
	for path := range want {
		if got[path] != want[path] {
			t.Errorf("%s was %q and is %q", path, want[path], got[path])
		}
	}
	for path := range got {
		if _, ok := want[path]; !ok {
			t.Errorf("%s (%s) is left over", path, got[path])
		}
	}
}

func TestEveryAnswerNamesItsSource(t *testing.T) {
	root := newOwnRoot(t, "desk")
	files, err := filepath.Glob("testdata/*/*.txt")
	must(t, err)
	if len(files) < 20 {
		t.Fatalf("found %d answers", len(files))
	}
	for _, file := range files {
		name := strings.TrimSuffix(strings.TrimPrefix(filepath.ToSlash(file), "testdata/"), ".txt")
		stdout, stderr, _ := answer(t, name, root)
		if strings.Contains(string(stdout)+string(stderr), "{{") {
			t.Errorf("%s: something is not filled in", name)
		}
	}
}

func TestWhichStoresBelongToASystem(t *testing.T) {
	for _, test := range []struct {
		goos string
		wsl  bool
		want []string
	}{
		{"linux", false, []string{"system"}},
		{"linux", true, []string{"system", "windows (from WSL)"}},
		{"darwin", false, []string{"system keychain", "login keychain"}},
		{"windows", false, []string{"windows"}},
		{"freebsd", false, []string{"system"}},
	} {
		m := testMachine(t)
		m.OS, m.WSL = test.goos, test.wsl
		var names []string
		for _, s := range m.systemStores() {
			names = append(names, s.Name())
			if s.Kind() != KindSystem || !filepath.IsAbs(s.Path()) {
				t.Errorf("%s: the journal needs a kind and an absolute path, not %q and %q", s.Name(), s.Kind(), s.Path())
			}
		}
		if !slices.Equal(names, test.want) {
			t.Errorf("%s, WSL %t: %v, want %v", test.goos, test.wsl, names, test.want)
		}
	}
}

func TestMadeByUs(t *testing.T) {
	ours := newOwnRoot(t, "desk")
	leaf := *ours
	leaf.IsCA = false
	for _, test := range []struct {
		cert *x509.Certificate
		want bool
	}{
		{ours, true},
		{&leaf, false},
		{newSubjectRoot(t, pkix.Name{CommonName: nickPrefix + "(desk)"}), false},
		{newSubjectRoot(t, pkix.Name{Organization: []string{"rtcdev", "and others"}, CommonName: nickPrefix + "(desk)"}), false},
		{newSubjectRoot(t, pkix.Name{Organization: []string{"rtcdev"}, CommonName: "rtcdev local intermediate (desk)"}), false},
		{newSubjectRoot(t, pkix.Name{Organization: []string{"mkcert development CA"}, CommonName: "mkcert kim@desk"}), false},
	} {
		if got := madeByUs(test.cert); got != test.want {
			t.Errorf("%s: %t", test.cert.Subject, got)
		}
	}
}

// TestRootFileIsReadableByOthers also runs under a strict umask, on Linux.
func TestRootFileIsReadableByOthers(t *testing.T) {
	root := newOwnRoot(t, "desk")
	path, remove, err := rootFile(root)
	must(t, err)
	for name, want := range map[string]os.FileMode{path: 0o644, filepath.Dir(path): 0o755} {
		if info, err := os.Stat(name); err != nil || info.Mode().Perm() != want {
			t.Errorf("%s: %v, %v", name, info.Mode(), err)
		}
	}
	if has, err := bundleHas(path, root); err != nil || !has {
		t.Errorf("the root is not in its file: %v", err)
	}
	if remove(); exists(filepath.Dir(path)) {
		t.Error("it is left over")
	}
}

func TestExitCode(t *testing.T) {
	for _, test := range []struct {
		err   error
		code  int
		ended bool
	}{
		{nil, 0, false},
		{errors.New("exec format error"), 0, false},
		{fmt.Errorf("running x: %w", ended(44)), 44, true},
		{ended(-1), 0, false}, // killed by a signal
		{exec.Command("sh", "-c", "exit 7").Run(), 7, true},
	} {
		if code, ok := exitCode(test.err); code != test.code || ok != test.ended {
			t.Errorf("%v: %d, %t", test.err, code, ok)
		}
	}
}
