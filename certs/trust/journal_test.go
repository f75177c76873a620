package trust

import (
	"context"
	"crypto/x509"
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
)

// journalled is a fresh account whose changes are recorded.
func journalled(t *testing.T) Machine {
	t.Helper()
	need(t, "certutil", "libnss3-tools")
	m := testMachine(t)
	m.Journal = t.TempDir()
	return m
}

// tree lists everything below dir.
func tree(t *testing.T, dir string) []string {
	t.Helper()
	var found []string
	must(t, filepath.WalkDir(dir, func(path string, _ fs.DirEntry, err error) error {
		if path != dir {
			found = append(found, strings.TrimPrefix(path, dir+"/"))
		}
		return err
	}))
	return found
}

func checkAll(t *testing.T, results []Result, state State) {
	t.Helper()
	for _, r := range results {
		if r.Err != nil || (r.State != state && r.State != StateUnused) {
			t.Errorf("want %s: %+v", state, r)
		}
	}
}

func TestJournalIsWrittenBeforeTheChange(t *testing.T) {
	m, root, ctx := journalled(t), newRoot(t).cert, t.Context()
	run, changes := m.Run, 0
	m.Run = func(ctx context.Context, program string, args ...string) ([]byte, []byte, error) {
		if slices.Contains([]string{"-N", "-A"}, args[0]) {
			changes++
			j, err := m.readJournal()
			if err != nil || len(j.Stores) != 1 || string(j.Stores[0].Roots[0].DER) != string(root.Raw) {
				t.Errorf("certutil %s runs, and the journal has %+v, %v", args[0], j, err)
			}
		}
		return run(ctx, program, args...)
	}
	checkAll(t, m.Install(ctx, root, KindNSS), StateTrusted)
	if changes != 2 {
		t.Errorf("%d changes", changes)
	}
	r := byName(t, m.Status(ctx, root, KindNSS), oldName)
	if r.Since.IsZero() || !r.Made {
		t.Errorf("Status does not say what the journal knows: %+v", r)
	}
	info, err := os.Stat(filepath.Join(m.Journal, journalFile))
	if err != nil || info.Mode().Perm() != 0o600 {
		t.Errorf("%v, %v", info, err)
	}
}

// TestRemoveTakesBackWhatInstallMade: a fresh account is what it was.
func TestRemoveTakesBackWhatInstallMade(t *testing.T) {
	for name, before := range map[string]string{"nothing": "", "an empty folder": ".pki", "an empty database folder": ".pki/nssdb", "another folder": ".pki/other"} {
		t.Run(name, func(t *testing.T) {
			m, one, two, ctx := journalled(t), newRoot(t).cert, newRoot(t).cert, t.Context()
			must(t, os.MkdirAll(filepath.Join(m.Home, before), 0o700))
			was := tree(t, m.Home)
			checkAll(t, m.Install(ctx, one, KindNSS), StateTrusted)
			checkAll(t, m.Install(ctx, two, KindNSS), StateTrusted)
			checkAll(t, m.Remove(ctx, one, KindNSS), StateAbsent)
			if r := byName(t, m.Status(ctx, two, KindNSS), oldName); r.State != StateTrusted || !r.Made {
				t.Errorf("the other root went, too: %+v", r)
			}
			checkAll(t, m.Remove(ctx, two, KindNSS), StateAbsent)
			if now := tree(t, m.Home); !slices.Equal(now, was) {
				t.Errorf("was %q, is %q", was, now)
			}
			if left := tree(t, m.Journal); left != nil {
				t.Errorf("left in the journal's folder: %q", left)
			}
		})
	}
}

// TestRemoveLeavesWhatOthersUse: a database that was there before, and one that
// somebody else has come to use.
func TestRemoveLeavesWhatOthersUse(t *testing.T) {
	for name, early := range map[string]bool{"there before": true, "used since": false} {
		t.Run(name, func(t *testing.T) {
			m, root, ctx := journalled(t), newRoot(t).cert, t.Context()
			db := filepath.Join(m.Home, ".pki/nssdb")
			if early {
				makeDB(t, db)
			}
			checkAll(t, m.Install(ctx, root, KindNSS), StateTrusted)
			if !early {
				certutil(t, db, "-A", "-n", "theirs", "-t", "C,,", "-i", pemFile(t, newRoot(t)))
			}
			checkAll(t, m.Remove(ctx, root, KindNSS), StateAbsent)
			if list := certutil(t, db, "-L"); strings.Contains(list, "theirs") == early || strings.Contains(list, nickPrefix) {
				t.Error(list)
			}
			if left := tree(t, m.Journal); left != nil {
				t.Errorf("left in the journal's folder: %q", left)
			}
		})
	}
}

// TestKilledAfterTheJournal: what was begun can be completed, and taken back.
func TestKilledAfterTheJournal(t *testing.T) {
	for name, halfMade := range map[string]func(dir string) error{
		"nothing":  func(string) error { return nil },
		"a folder": func(dir string) error { return os.MkdirAll(dir, 0o700) },
		"an empty file": func(dir string) error {
			return errors.Join(os.MkdirAll(dir, 0o700), os.WriteFile(filepath.Join(dir, "cert9.db"), nil, 0o600))
		},
	} {
		for _, complete := range []bool{true, false} {
			t.Run(name, func(t *testing.T) {
				m, root, ctx := journalled(t), newRoot(t).cert, t.Context()
				s := m.nssStores()[0]
				must(t, m.record(ctx, s, root))
				must(t, halfMade(s.Path()))
				if roots, _ := m.Roots(ctx, KindNSS); len(roots) != 1 {
					t.Errorf("a caller who has forgotten the root finds %d", len(roots))
				}
				if complete {
					checkAll(t, m.Install(ctx, root, KindNSS), StateTrusted)
				}
				checkAll(t, m.Remove(ctx, root, KindNSS), StateAbsent)
				if now := append(tree(t, m.Home), tree(t, m.Journal)...); now != nil {
					t.Errorf("left: %q", now)
				}
			})
		}
	}
}

// TestNothingIsChangedWithoutTheJournal: neither when it cannot be written, nor
// when it is damaged; but what is trusted can be removed all the same.
func TestNothingIsChangedWithoutTheJournal(t *testing.T) {
	for name, spoil := range map[string]func(*Machine) error{
		"no folder": func(m *Machine) error { m.Journal = filepath.Join(m.Journal, "gone"); return nil },
		"damaged": func(m *Machine) error {
			return os.WriteFile(filepath.Join(m.Journal, journalFile), []byte(`{"version":`), 0o600)
		},
		"a later form": func(m *Machine) error {
			return os.WriteFile(filepath.Join(m.Journal, journalFile), []byte(`{"version":2}`), 0o600)
		},
		"a folder":      func(m *Machine) error { return os.Mkdir(filepath.Join(m.Journal, journalFile), 0o700) },
		"a broken link": func(m *Machine) error { return os.Symlink("/dev/null/x", filepath.Join(m.Journal, journalFile)) },
	} {
		t.Run(name, func(t *testing.T) {
			m, root, ctx := journalled(t), newRoot(t).cert, t.Context()
			must(t, spoil(&m))
			r := m.Install(ctx, root, KindNSS)[0]
			var f *Fault
			if r.State == StateTrusted || !errors.As(r.Err, &f) || f.Fix == "" {
				t.Errorf("%+v", r)
			}
			t.Logf("%v\n  next: %s", r.Err, r.Fix)
			if now := tree(t, m.Home); now != nil {
				t.Errorf("made without a record: %q", now)
			}

			without := m
			without.Journal = ""
			checkAll(t, without.Install(ctx, root, KindNSS), StateTrusted)
			results := m.Remove(ctx, root, KindNSS)
			if r := byName(t, results, oldName); r.Err != nil || r.State != StateAbsent {
				t.Errorf("%+v", r)
			}
			damaged := results[len(results)-1]
			if name != "no folder" && (damaged.Store != "journal" || damaged.Err == nil) {
				t.Errorf("the journal's fault is not reported: %+v", results)
			}
		})
	}
}

// TestStoreThatOnlyTheJournalKnows is a database that Stores no longer looks for.
func TestStoreThatOnlyTheJournalKnows(t *testing.T) {
	m, root, ctx := journalled(t), newRoot(t).cert, t.Context()
	before := m
	before.DataHome = filepath.Join(m.Home, "elsewhere")
	dir := makeDB(t, filepath.Join(before.DataHome, "pki/nssdb"))
	gone := makeDB(t, filepath.Join(m.Home, ".pki/nssdb"))
	checkAll(t, before.Install(ctx, root, KindNSS), StateTrusted)
	must(t, os.RemoveAll(filepath.Dir(gone)))

	if r := byName(t, m.Status(ctx, root, KindNSS), "nss ~/elsewhere/pki/nssdb"); r.State != StateTrusted {
		t.Errorf("%+v", r)
	}
	checkAll(t, m.Remove(ctx, root, KindNSS), StateAbsent)
	if list := certutil(t, dir, "-L"); strings.Contains(list, nickPrefix) {
		t.Error(list)
	}
	if left := tree(t, m.Journal); left != nil {
		t.Errorf("left in the journal's folder: %q", left)
	}
}

func TestStaleRoot(t *testing.T) {
	m, old, root, ctx := journalled(t), newRoot(t).cert, newRoot(t).cert, t.Context()
	checkAll(t, m.Install(ctx, old, KindNSS), StateTrusted)
	r := byName(t, m.Status(ctx, root, KindNSS), oldName)
	if r.State != StateStale || r.Stale != 1 || r.Reason == "" || Trusted([]Result{r}) {
		t.Errorf("%+v", r)
	}
	checkAll(t, m.Install(ctx, root, KindNSS), StateTrusted)
	if r := byName(t, m.Status(ctx, root, KindNSS), oldName); r.State != StateTrusted || r.Stale != 1 {
		t.Errorf("%+v", r)
	}
}

func TestJournalOfManyAtOnce(t *testing.T) {
	m, ctx := journalled(t), t.Context()
	s := m.nssStores()[0]
	var all sync.WaitGroup
	for range 20 {
		root := newRoot(t).cert
		all.Go(func() {
			unlock, err := m.lockChange(ctx)
			if err != nil {
				t.Error(err)
				return
			}
			defer unlock()
			if err := m.record(ctx, s, root); err != nil {
				t.Error(err)
			}
		})
	}
	all.Wait()
	j, err := m.readJournal()
	must(t, err)
	if len(j.Stores) != 1 || len(j.Stores[0].Roots) != 20 {
		t.Errorf("%d stores, %d roots", len(j.Stores), len(j.Stores[0].Roots))
	}
}

func FuzzParseJournal(f *testing.F) {
	f.Add([]byte(`{"version":1,"stores":[{"store":"nss ~/.pki/nssdb","kind":"nss","path":"/home/kim/.pki/nssdb","made":"/home/kim/.pki","roots":[{"der":"AAAA","since":"2026-11-22T00:00:00Z"}]}]}`))
	f.Add([]byte(`{"version":1,"stores":[{"kind":"nss","path":"/a","made":"/etc","roots":[]}]}`))
	f.Add([]byte(`{"version":1}`))
	f.Add([]byte(``))
	f.Fuzz(func(t *testing.T, data []byte) {
		j, err := parseJournal(data)
		if err != nil {
			return
		}
		for _, c := range j.Stores {
			if len(c.Roots) == 0 || !filepath.IsAbs(c.Path) || (c.Made != "" && !within(c.Made, c.Path) && filepath.Dir(c.Made) != c.Path) {
				t.Errorf("%+v", c)
			}
			for _, r := range c.Roots {
				if _, err := x509.ParseCertificate(r.DER); err != nil {
					t.Error(err)
				}
			}
		}
	})
}
