//go:build darwin || linux

package trust

import (
	"context"
	"crypto/x509"
	"encoding/json"
	"errors"
	"os"
	"path/filepath"
	"slices"
	"syscall"
	"testing"
	"time"
)

// recorded writes a journal in which root was put into stores.
func recorded(t *testing.T, m Machine, root *x509.Certificate, stores ...changed) {
	t.Helper()
	j := journal{Version: journalVersion, Stores: stores}
	for i := range j.Stores {
		j.Stores[i].Roots = []added{{DER: root.Raw}}
	}
	data, err := json.Marshal(j)
	must(t, err)
	must(t, os.WriteFile(filepath.Join(m.Journal, journalFile), data, 0o600))
}

// TestJournalOfOthers: what somebody else wrote into the journal is not what root
// does; and the stores that root is asked for are changed all the same.
func TestJournalOfOthers(t *testing.T) {
	m, root, ctx := journalled(t), newRoot(t).cert, t.Context()
	rootOnly(t, &m)
	db := makeDB(t, filepath.Join(m.Home, "elsewhere/nssdb"))
	profile := filepath.Join(m.Home, "elsewhere/profile")
	recorded(t, m, root, changed{Store: "nss theirs", Kind: KindNSS, Path: db, Made: db}, changed{Store: "firefox theirs", Kind: KindFirefox, Path: profile, Made: profile})
	must(t, os.Chown(m.Journal, nobody, nobody))
	must(t, os.Mkdir(filepath.Join(m.Root, "etc"), 0o755))
	was := tree(t, m.Home)
	run := m.Run
	m.Run = func(ctx context.Context, program string, args ...string) ([]byte, []byte, error) {
		if slices.Contains(args, "sql:"+db) || slices.Contains(args, "sql:"+profile) {
			t.Errorf("root runs certutil %q", args)
		}
		return run(ctx, program, args...)
	}
	for _, name := range []string{"nss theirs", "firefox theirs"} {
		for what, results := range map[string][]Result{"Install": m.Install(ctx, root), "Remove": m.Remove(ctx, root)} {
			r := byName(t, results, name)
			if r.State != StateUnavailable || r.Fix != withoutSudo || errors.Is(r.Err, ErrNotOwner) != (what == "Remove") || r.Changed {
				t.Errorf("%s: %+v", what, r)
			}
		}
	}
	m.Remove(ctx, root, KindNSS, KindFirefox)
	if now := tree(t, m.Home); !slices.Equal(now, was) {
		t.Errorf("was %q, is %q", was, now)
	}
	checkAll(t, m.Install(ctx, root, KindPolicy), StateTrusted)
	checkAll(t, m.Remove(ctx, root, KindPolicy), StateAbsent)
	if j, err := m.readJournal(); err != nil || len(j.Stores) != 2 {
		t.Errorf("%+v, %v", j, err)
	}
}

// TestNothingIsPutWhereOnlyTheJournalSays: such a store is cleaned, not filled.
func TestNothingIsPutWhereOnlyTheJournalSays(t *testing.T) {
	m, old, root, ctx := journalled(t), newRoot(t).cert, newRoot(t).cert, t.Context()
	dir := filepath.Join(m.Home, "elsewhere")
	must(t, os.Mkdir(dir, 0o700))
	recorded(t, m, old, changed{Store: "nss elsewhere", Kind: KindNSS, Path: dir}, changed{Store: "firefox elsewhere", Kind: KindFirefox, Path: dir})
	results := m.Install(ctx, root, KindNSS, KindFirefox)
	for _, name := range []string{"nss ~/elsewhere", "firefox ~/elsewhere"} {
		if r := byName(t, results, name); r.Err != nil || !r.Skipped || r.Browser != "" {
			t.Errorf("%+v", r)
		}
	}
	if made := tree(t, dir); made != nil || !Trusted(results) {
		t.Errorf("made %q, %+v", made, results)
	}
}

func TestRemoveEmptiedStopsAtALink(t *testing.T) {
	top := t.TempDir()
	must(t, os.Mkdir(filepath.Join(top, "real"), 0o700))
	must(t, os.Symlink("real", filepath.Join(top, "link")))
	removeEmptied(filepath.Join(top, "link", "gone"), top)
	if now := tree(t, top); !slices.Equal(now, []string{"link", "real"}) {
		t.Errorf("%q", now)
	}
}

// TestUnreachableStoreIsNotGone: what cannot be looked at may still hold the root.
func TestUnreachableStoreIsNotGone(t *testing.T) {
	m, root, ctx := journalled(t), newRoot(t).cert, t.Context()
	loop := filepath.Join(m.Home, "loop")
	must(t, os.Symlink(loop, loop))
	recorded(t, m, root, changed{Store: "nss far", Kind: KindNSS, Path: filepath.Join(loop, "nssdb")})
	if r := byName(t, m.Status(ctx, root, KindNSS), "nss far"); r.State != StateUnknown || r.Reason == "" || r.Fix == "" {
		t.Errorf("Status: %+v", r)
	}
	if r := byName(t, m.Remove(ctx, root, KindNSS), "nss far"); !errors.Is(r.Err, syscall.ELOOP) || r.State != StateUnknown {
		t.Errorf("Remove: %+v", r)
	}
	if j, err := m.readJournal(); err != nil || len(j.Stores) != 1 {
		t.Errorf("the record is lost: %+v, %v", j, err)
	}
}

// slowStore does something between the record and the change.
type slowStore struct {
	nssStore
	meanwhile func()
}

func (s slowStore) Install(ctx context.Context, root *x509.Certificate) error {
	s.meanwhile()
	return s.nssStore.Install(ctx, root)
}

// TestRemoveWhileAnotherInstalls: the two do not meet between the record and the
// change, and so nothing is trusted that the journal does not know.
func TestRemoveWhileAnotherInstalls(t *testing.T) {
	m, root, ctx := journalled(t), newRoot(t).cert, t.Context()
	removed := make(chan []Result, 1)
	s := slowStore{m.nssStores()[0].(nssStore), func() {
		go func() { removed <- m.Remove(ctx, root, KindNSS) }()
		early := time.NewTimer(500 * time.Millisecond)
		defer early.Stop()
		select {
		case results := <-removed:
			removed <- results
			t.Error("Remove did not wait")
		case <-early.C:
		}
	}}
	if r := m.install(ctx, s, root, true); r.Err != nil || r.State != StateTrusted || !r.Made {
		t.Errorf("%+v", r)
	}
	checkAll(t, <-removed, StateAbsent)
	if now := append(tree(t, m.Home), tree(t, m.Journal)...); now != nil {
		t.Errorf("left: %q", now)
	}
}

// TestNSSFolderThatMayNotBeLookedInto: nobody knows what Chromium reads there.
func TestNSSFolderThatMayNotBeLookedInto(t *testing.T) {
	if os.Geteuid() == 0 {
		t.Skip("root may look into every folder")
	}
	m := journalled(t)
	makeDB(t, filepath.Join(m.Home, ".pki/nssdb"))
	makeDB(t, filepath.Join(m.DataHome, "pki/nssdb"))
	must(t, os.Chmod(filepath.Join(m.Home, ".pki"), 0))
	t.Cleanup(func() { _ = os.Chmod(filepath.Join(m.Home, ".pki"), 0o700) })
	results := m.Install(t.Context(), newRoot(t).cert, KindNSS)
	if r := byName(t, results, oldName); !errors.Is(r.Err, os.ErrPermission) || r.State != StateUnknown || r.Fix == "" || Trusted(results) {
		t.Errorf("%+v", r)
	}
}
