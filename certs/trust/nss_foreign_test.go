package trust

import (
	"context"
	"crypto/x509"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// TestNSSWithManyEntries: a root that is certainly not there is not searched for in
// each entry, and one that is there under another name is found.
func TestNSSWithManyEntries(t *testing.T) {
	need(t, "certutil", "libnss3-tools")
	m, root, other, ctx := testMachine(t), newRoot(t), newRoot(t).cert, t.Context()
	db := makeDB(t, filepath.Join(m.Home, ".pki/nssdb"))
	for i := range 5 {
		certutil(t, db, "-A", "-n", fmt.Sprintf("entry %d", i), "-t", "C,,", "-i", pemFile(t, newRoot(t)))
	}
	certutil(t, db, "-A", "-n", "z by hand", "-t", "C,,", "-i", pemFile(t, root))
	runs, run := 0, m.Run
	m.Run = func(ctx context.Context, program string, args ...string) ([]byte, []byte, error) {
		runs++
		return run(ctx, program, args...)
	}
	for cert, want := range map[*x509.Certificate]State{root.cert: StateTrusted, other: StateAbsent} {
		runs = 0
		if r := byName(t, m.Status(ctx, cert, KindNSS), oldName); r.State != want || want == StateAbsent && runs > 2 {
			t.Errorf("%+v after %d runs", r, runs)
		}
	}
}

// TestNSSMadeByTheBrowserMeanwhile: what a browser has put into a database that
// certutil could not make is not deleted.
func TestNSSMadeByTheBrowserMeanwhile(t *testing.T) {
	need(t, "certutil", "libnss3-tools")
	m, root := testMachine(t), newRoot(t).cert
	db := filepath.Join(m.Home, ".pki/nssdb")
	theirs, run := pemFile(t, newRoot(t)), m.Run
	m.Run = func(ctx context.Context, program string, args ...string) ([]byte, []byte, error) {
		if args[0] == "-N" {
			makeDB(t, db)
			certutil(t, db, "-A", "-n", "theirs", "-t", "C,,", "-i", theirs)
			return nil, nil, errors.New("it failed")
		}
		return run(ctx, program, args...)
	}
	if r := byName(t, m.Install(t.Context(), root, KindNSS), oldName); r.Err == nil {
		t.Errorf("%+v", r)
	}
	if list := certutil(t, db, "-L"); !strings.Contains(list, "theirs") {
		t.Error(list)
	}
}

// TestNSSChangeThatDoesNotShow: certutil -D says that it went well also when the
// database may only be read.
func TestNSSChangeThatDoesNotShow(t *testing.T) {
	need(t, "certutil", "libnss3-tools")
	m, root, ctx := testMachine(t), newRoot(t).cert, t.Context()
	checkAll(t, m.Install(ctx, root, KindNSS), StateTrusted)
	db := filepath.Join(m.Home, ".pki/nssdb")
	unprivileged(t, &m)
	must(t, os.Chmod(db, 0o555))
	t.Cleanup(func() { _ = os.Chmod(db, 0o700) })
	r := byName(t, m.Remove(ctx, root, KindNSS), oldName)
	if !errors.Is(r.Err, ErrNotVerified) || !strings.HasSuffix(r.Err.Error(), "the root is still in it") ||
		!strings.Contains(r.Fix, "ls -ld "+db) || !strings.Contains(r.Fix, "df "+db) {
		t.Errorf("%+v", r)
	}
	t.Logf("%v\n  next: %s", r.Err, r.Fix)
}
