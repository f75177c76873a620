package certs

import (
	"bytes"
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

// newStore makes an authority in a folder of its own and returns its root.
func newStore(t testing.TB) (dir string, root *x509.Certificate) {
	t.Helper()
	dir = filepath.Join(t.TempDir(), "home", "authority")
	a, _, err := OpenOrCreate(dir, Options{})
	if err != nil {
		t.Fatal(err)
	}
	return dir, a.Root()
}

// checkReplaced wants a good authority other than old in dir, and nothing else
// beside it.
func checkReplaced(t *testing.T, dir string, a *Authority, old *x509.Certificate) {
	t.Helper()
	present, err := Open(dir)
	if err != nil || a == nil || !present.Root().Equal(a.Root()) || old != nil && a.Root().Equal(old) {
		t.Fatalf("the folder holds another authority than the one returned, or the old one (error %v)", err)
	}
	if _, err := a.Issue([]string{"localhost"}); err != nil {
		t.Errorf("it cannot sign: %v", err)
	}
	for path, want := range map[string]os.FileMode{dir: 0o700, filepath.Join(dir, keyFile): 0o600} {
		if info, err := os.Stat(path); err != nil || info.Mode().Perm() != want {
			t.Errorf("%s: mode %v, error %v; want %v", path, info.Mode().Perm(), err, want)
		}
	}
	for _, folder := range []string{dir, filepath.Dir(dir)} {
		if entries, _ := os.ReadDir(folder); len(entries) != map[bool]int{true: 3, false: 1}[folder == dir] {
			t.Errorf("%s holds %v", folder, entries)
		}
	}
}

// TestReplaceAnything: whatever is wrong with a store, a new one can be had.
func TestReplaceAnything(t *testing.T) {
	for name, damage := range map[string]func(*testing.T, string){
		"in order":             func(*testing.T, string) {},
		"absent":               func(t *testing.T, dir string) { must(t, os.RemoveAll(dir)) },
		"home absent":          func(t *testing.T, dir string) { must(t, os.RemoveAll(filepath.Dir(dir))) },
		"an empty folder":      func(t *testing.T, dir string) { must(t, os.RemoveAll(dir), os.Mkdir(dir, 0o755)) },
		"without a root":       remove(rootFile),
		"without a key":        remove(keyFile),
		"root damaged":         edit(rootFile, func([]byte) []byte { return []byte("x") }),
		"key damaged":          edit(keyFile, func([]byte) []byte { return []byte("x") }),
		"another intermediate": fromOther(intermediateFile),
		"a key of another":     fromOther(keyFile),
		"a folder as key": func(t *testing.T, dir string) {
			remove(keyFile)(t, dir)
			must(t, os.Mkdir(filepath.Join(dir, keyFile), 0o700))
		},
		"key open to others":   func(t *testing.T, dir string) { must(t, os.Chmod(filepath.Join(dir, keyFile), 0o644)) },
		"open to others":       func(t *testing.T, dir string) { must(t, os.Chmod(dir, 0o755)) },
		"changeable by others": func(t *testing.T, dir string) { must(t, os.Chmod(dir, 0o777)) },
		"closed to its owner":  func(t *testing.T, dir string) { must(t, os.Chmod(dir, 0)) },
		"expired": func(t *testing.T, dir string) {
			files, err := newAuthority(Options{}, time.Now().Add(-2*authorityLife))
			must(t, err)
			for file, content := range files {
				edit(file, func([]byte) []byte { return content })(t, dir)
			}
		},
	} {
		t.Run(name, func(t *testing.T) {
			dir, first := newStore(t)
			damage(t, dir)
			old, _ := OpenRoot(dir)
			a, err := Replace(dir, old, Options{Permit: []string{"example.com"}})
			if err != nil {
				t.Fatal(err)
			}
			checkReplaced(t, dir, a, first)
			if err := a.Permits("www.example.com"); err != nil {
				t.Errorf("the options were not looked at: %v", err)
			}
		})
	}
}

func must(t *testing.T, errs ...error) {
	t.Helper()
	if err := errors.Join(errs...); err != nil {
		t.Fatal(err)
	}
}

// TestReplaceRefuses what it would be wrong to replace, and then changes nothing.
func TestReplaceRefuses(t *testing.T) {
	for _, c := range []faultCase{
		{"a foreign file", func(t *testing.T, dir string) {
			must(t, os.WriteFile(filepath.Join(dir, "letter.txt"), []byte("dear"), 0o600))
		}, "letter.txt", "would be lost", "move it to another folder"},
		{"a key elsewhere", func(t *testing.T, dir string) {
			elsewhere := filepath.Join(filepath.Dir(dir), "key")
			if err := os.Rename(filepath.Join(dir, keyFile), elsewhere); err != nil {
				t.Fatal(err)
			}
			if err := os.Symlink(elsewhere, filepath.Join(dir, keyFile)); err != nil {
				t.Skip(err)
			}
		}, keyFile, "key that it leads to would be left", "delete that key"},
		{"a link", func(t *testing.T, dir string) {
			must(t, os.Rename(dir, dir+"-real"))
			if err := os.Symlink(dir+"-real", dir); err != nil {
				t.Skip(err)
			}
		}, ".", "is a link", "put the folder that it leads to in its place"},
		{"a file", func(t *testing.T, dir string) {
			must(t, os.RemoveAll(dir), os.WriteFile(dir, []byte("x"), 0o600))
		}, ".", "not a folder", "move it aside"},
	} {
		t.Run(c.name, func(t *testing.T) {
			dir, old := newStore(t)
			c.damage(t, dir)
			checkUntouched(t, dir, func() error { _, err := Replace(dir, old, Options{}); return err }, c)
		})
	}
	dir, old := newStore(t)
	before := snapshot(t, dir)
	var nameErr *NameError
	if _, err := Replace(dir, old, Options{Permit: []string{"com"}}); !errors.As(err, &nameErr) || snapshot(t, dir) != before {
		t.Errorf("a bad Permit: error %v, changed %v", err, snapshot(t, dir) != before)
	}
}

// checkUntouched wants a fault, and everything as it was.
func checkUntouched(t *testing.T, dir string, replace func() error, want faultCase) {
	t.Helper()
	before := snapshot(t, dir)
	err := replace()
	var fault *StoreError
	if !errors.As(err, &fault) || fault.File != filepath.Join(dir, want.file) || !strings.Contains(fault.Reason, want.reason) || !strings.HasPrefix(fault.Fix, want.fix) {
		t.Fatalf("error %+v", err)
	}
	checkWording(t, fault)
	if after := snapshot(t, dir); before != after {
		t.Errorf("the store was changed:\n%s\nbecame\n%s", before, after)
	}
}

// TestReplaceOnlyTheOneMeant: what another process has made meanwhile is kept.
func TestReplaceOnlyTheOneMeant(t *testing.T) {
	dir, old := newStore(t)
	first, err := Replace(dir, old, Options{})
	must(t, err)
	for _, meant := range []*x509.Certificate{old, nil} {
		second, err := Replace(dir, meant, Options{})
		if err != nil || !second.Root().Equal(first.Root()) {
			t.Errorf("a second command made another one, error %v", err)
		}
	}
	checkUntouched(t, dir, func() error { _, err := Replace(dir, old, Options{Unconstrained: true}); return err },
		faultCase{reason: "by another rtcdev in the meantime", fix: "look at it with rtcdev certs status"})
	checkReplaced(t, dir, first, old)
}

// TestReplaceStepByStep stops after each step, as a process does that is killed.
func TestReplaceStepByStep(t *testing.T) {
	for steps := range 4 {
		t.Run(fmt.Sprint(steps), func(t *testing.T) {
			dir, old := newStore(t)
			key, err := os.ReadFile(filepath.Join(dir, keyFile))
			must(t, err)
			files, err := newAuthority(Options{}, time.Now())
			must(t, err)
			fresh, err := stage(filepath.Dir(dir), files)
			must(t, err)
			if steps > 0 {
				_, err := retire(dir)
				must(t, err)
			}
			if steps > 1 {
				must(t, put(fresh, dir))
			}
			if steps > 2 {
				removeStore(fresh)
			}
			_, openErr := Open(dir)
			root, _ := OpenRoot(dir)
			if none := steps == 1; errors.Is(openErr, ErrNoAuthority) != none || !none && (openErr != nil || root.Equal(old) != (steps == 0)) {
				t.Fatalf("after %d steps: error %v, old %v", steps, openErr, root != nil && root.Equal(old))
			}
			a, created, err := OpenOrCreate(dir, Options{})
			if err != nil || created != (steps == 1) {
				t.Fatalf("the next command: created %v, error %v", created, err)
			}
			if left := findSecret(t, filepath.Dir(dir), key); (left != "") != (steps == 0) {
				t.Errorf("the old key is in %q", left)
			}
			must(t, os.RemoveAll(fresh)) // which OpenOrCreate does after an hour
			if steps > 0 {
				checkReplaced(t, dir, a, old)
			}
		})
	}
}

// TestSwapPutsTheOldOneBack when the new one cannot be put in its place.
func TestSwapPutsTheOldOneBack(t *testing.T) {
	dir, old := newStore(t)
	retired, err := swap(filepath.Join(filepath.Dir(dir), "missing"), dir)
	if a, openErr := Open(dir); err == nil || retired != "" || openErr != nil || !a.Root().Equal(old) {
		t.Errorf("error %v, moved to %q, and then %v", err, retired, openErr)
	}
	must(t, os.RemoveAll(dir))
	if retired, err := swap(filepath.Join(filepath.Dir(dir), "missing"), dir); err == nil || retired != "" {
		t.Errorf("with nothing to replace: error %v, moved to %q", err, retired)
	}
}

// findSecret returns the path of a file below dir that holds data.
func findSecret(t *testing.T, dir string, data []byte) (found string) {
	t.Helper()
	must(t, filepath.WalkDir(dir, func(path string, entry fs.DirEntry, err error) error {
		if err != nil || !entry.Type().IsRegular() {
			return err
		}
		content, err := os.ReadFile(path)
		if bytes.Contains(content, data) {
			found = path
		}
		return err
	}))
	return found
}
