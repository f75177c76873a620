package trust

import (
	"crypto/x509"
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"testing"
)

// checkRoots compares what Roots finds, in any order.
func checkRoots(t *testing.T, got []*x509.Certificate, want ...*x509.Certificate) {
	t.Helper()
	for _, root := range want {
		if !slices.ContainsFunc(got, root.Equal) {
			t.Errorf("the root %s was not found", id(root))
		}
	}
	if len(got) != len(want) {
		t.Errorf("found %d roots, want %d", len(got), len(want))
	}
}

func TestRootsAreFoundWithoutTheirAuthority(t *testing.T) {
	need(t, "certutil", "libnss3-tools")
	m, ctx := testMachine(t), t.Context()
	one, two := newRoot(t).cert, newRoot(t).cert // both have the same subject
	old, current := makeDB(t, filepath.Join(m.Home, ".pki/nssdb")), makeDB(t, filepath.Join(m.DataHome, "pki/nssdb"))
	certutil(t, old, "-A", "-n", "somebody else", "-t", "CT,C,C", "-i", pemFile(t, newRoot(t)))
	certutil(t, old, "-A", "-n", nickname(newRoot(t).cert), "-t", "C,,", "-i", pemFile(t, newRoot(t)))
	certutil(t, current, "-A", "-n", nickPrefix+"of a colleague", "-t", "C,,", "-i", pemFile(t, newRoot(t)))
	find := func() []*x509.Certificate {
		t.Helper()
		roots, err := m.Roots(ctx, KindNSS)
		must(t, err)
		return roots
	}
	checkRoots(t, find())

	m.Install(ctx, one, KindNSS)
	checkRoots(t, find(), one) // it is in both databases
	m.Install(ctx, two, KindNSS)
	checkRoots(t, find(), one, two)
	for _, db := range []string{old, current} {
		certutil(t, db, "-M", "-n", nickname(one), "-t", ",,")
	}
	checkRoots(t, find(), one, two)

	for _, root := range find() { // as a caller does who has forgotten both
		for _, r := range m.Remove(ctx, root, KindNSS) {
			if r.Err != nil || r.State != StateAbsent {
				t.Errorf("%+v", r)
			}
		}
	}
	checkRoots(t, find())
}

func TestRootsOfOtherStoresAreReturnedWithAnError(t *testing.T) {
	need(t, "certutil", "libnss3-tools")
	m, root, ctx := testMachine(t), newRoot(t).cert, t.Context()
	old := makeDB(t, filepath.Join(m.Home, ".pki/nssdb"))
	makeDB(t, filepath.Join(m.DataHome, "pki/nssdb"))
	m.Install(ctx, root, KindNSS)
	must(t, os.Truncate(filepath.Join(old, "cert9.db"), 0))
	roots, err := m.Roots(ctx)
	checkRoots(t, roots, root)
	var f *Fault
	if !errors.Is(err, ErrDatabase) || !errors.As(err, &f) || f.Fix == "" {
		t.Errorf("the damaged database passes for empty: %v", err)
	}
	t.Log(err)

	m.LookPath = func(string) (string, error) { return "", exec.ErrNotFound }
	if roots, err := m.Roots(ctx, KindNSS); !errors.Is(err, ErrToolMissing) || len(roots) != 0 {
		t.Errorf("without certutil: %d roots, error %v", len(roots), err)
	}
}

func TestOrphans(t *testing.T) {
	need(t, "certutil", "libnss3-tools")
	m, one, two, ctx := journalled(t), newRoot(t).cert, newRoot(t).cert, t.Context()
	if found := m.Orphans(ctx, KindNSS); len(found) != 0 {
		t.Errorf("a fresh account: %+v", found)
	}
	old := makeDB(t, filepath.Join(m.Home, ".pki/nssdb"))
	current := makeDB(t, filepath.Join(m.DataHome, "pki/nssdb"))
	checkAll(t, m.Install(ctx, one, KindNSS), StateTrusted)
	checkAll(t, m.Install(ctx, two, KindNSS), StateTrusted)
	for _, root := range []*x509.Certificate{one, two} {
		certutil(t, current, "-D", "-n", nickname(root))
	}
	found := m.Orphans(ctx, KindNSS)
	if len(found) != 1 || found[0].State != StateStale || found[0].Stale != 2 || found[0].Path != old || found[0].Browser != BrowserChromium || found[0].Since.IsZero() {
		t.Errorf("%+v", found)
	}
	must(t, os.Truncate(filepath.Join(old, "cert9.db"), 0))
	if found = m.Orphans(ctx, KindNSS); len(found) != 1 || found[0].State != StateUnknown || found[0].Fix == "" {
		t.Errorf("one that cannot be read: %+v", found)
	}
}

// TestRootsOfAFreshAccount needs no tool and is no error, except on Windows, whose
// store is always there.
func TestRootsOfAFreshAccount(t *testing.T) {
	for _, goos := range []string{"linux", "darwin"} {
		m := testMachine(t)
		m.OS = goos
		m.LookPath = func(string) (string, error) { return "", exec.ErrNotFound }
		if roots, err := m.Roots(t.Context()); err != nil || len(roots) != 0 {
			t.Errorf("%s: %d roots, error %v", goos, len(roots), err)
		}
		if _, err := m.Roots(t.Context(), "browser"); !errors.Is(err, ErrUnsupported) {
			t.Errorf("%s: an unknown kind: error %v", goos, err)
		}
	}
}

func TestRootsInTheSystemStore(t *testing.T) {
	for _, l := range layouts() {
		t.Run(l.tool+" "+l.anchors, func(t *testing.T) {
			m, one, two, foreign := testMachine(t), newRoot(t).cert, newRoot(t).cert, newRoot(t).cert
			fakeStore(t, &m, l)
			m.UID = 1000
			m.LookPath = func(string) (string, error) { return "", exec.ErrNotFound }
			l, err := systemStore{m}.layout()
			must(t, err)
			for path, content := range map[string][]byte{
				l.anchor(one):     pemBytes(one),
				l.anchor(two):     pemBytes(two),
				l.anchor(foreign): pemBytes(newRoot(t).cert), // not what its name says
				filepath.Join(l.anchors, "by-hand"+l.ext):            pemBytes(newRoot(t).cert),
				filepath.Join(l.anchors, anchorStem+"garbage"+l.ext): []byte("no certificate"),
			} {
				must(t, os.WriteFile(path, content, 0o644))
			}
			must(t, os.Mkdir(filepath.Join(l.anchors, anchorStem+"folder"+l.ext), 0o755))
			roots, err := m.Roots(t.Context(), KindSystem)
			must(t, err)
			checkRoots(t, roots, one, two)
		})
	}
}

// TestNSSImportedByChromium: its name for our root begins as ours does.
func TestNSSImportedByChromium(t *testing.T) {
	need(t, "certutil", "libnss3-tools")
	m, root, ctx := testMachine(t), newRoot(t), t.Context()
	db := makeDB(t, filepath.Join(m.Home, ".pki/nssdb"))
	certutil(t, db, "-A", "-n", "rtcdev local authority (desk, 2026-11-22, 3f9a2c) - rtcdev", "-t", "C,,", "-i", pemFile(t, root))
	if got := m.Status(ctx, root.cert); !Trusted(got) {
		t.Errorf("it is trusted, and Status says %+v", got)
	}
	if r := byName(t, m.Remove(ctx, root.cert, KindNSS), oldName); r.Err != nil || !r.Changed {
		t.Errorf("%+v", r)
	}
}
