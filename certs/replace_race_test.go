package certs

import (
	"errors"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"
)

func TestReplaceAtOnce(t *testing.T) {
	dir, old := newStore(t)
	results := make([]*Authority, 8)
	var group sync.WaitGroup
	for i := range results {
		group.Go(func() {
			var err error
			if results[i], err = Replace(dir, old, Options{}); err != nil {
				t.Error(err)
			}
		})
	}
	group.Wait()
	for _, a := range results {
		if a == nil || !a.Root().Equal(results[0].Root()) {
			t.Fatal("two calls ended with two authorities")
		}
	}
	checkReplaced(t, dir, results[0], old)
}

// TestReplaceInProcesses is the same for processes, with others that want any
// authority. OpenOrCreate may come between the two renames; then that one stays.
func TestReplaceInProcesses(t *testing.T) {
	for range 3 {
		dir, old := newStore(t)
		var children []*child
		for i := range 8 {
			mode := map[bool]string{true: "once", false: "replace"}[i%4 == 3]
			children = append(children, startChild(t, mode, dir, ""))
		}
		for _, c := range children {
			_ = c.stdin.Close()
		}
		replaced := map[string]bool{}
		for i, c := range children {
			_, fingerprint, _ := strings.Cut(c.finish(t), " ")
			if len(fingerprint) != 95 {
				t.Fatalf("a process failed: %s", fingerprint)
			}
			if i%4 != 3 {
				replaced[fingerprint] = true
			}
		}
		a, err := Open(dir)
		must(t, err)
		if len(replaced) != 1 || !replaced[a.Fingerprint()] {
			t.Errorf("the processes ended with %v, and the folder holds %s", replaced, a.Fingerprint())
		}
		checkReplaced(t, dir, a, old)
	}
}

// TestReadWhileReplaced: whoever reads the store meanwhile finds one authority or
// none, and never a damaged one.
func TestReadWhileReplaced(t *testing.T) {
	dir, old := newStore(t)
	done, wasRead := make(chan struct{}), make(chan struct{})
	go func() {
		defer close(done)
		for range 40 {
			<-wasRead // or a slow reader would meet more stores than it has tries
			a, err := Replace(dir, old, Options{})
			if err != nil {
				t.Error(err)
				return
			}
			old = a.Root()
		}
	}()
	reads := 0
	for running := true; running; reads++ {
		select {
		case <-done:
			running = false
		case wasRead <- struct{}{}:
		default:
		}
		_, err := Open(dir)
		_, rootErr := OpenRoot(dir)
		for _, err := range []error{err, rootErr} {
			if err != nil && !errors.Is(err, ErrNoAuthority) {
				t.Errorf("a reader met %v", err)
			}
		}
	}
	if reads < 40 {
		t.Errorf("only %d reads, which shows nothing", reads)
	}
}

// TestReplaceIsKilled kills processes that replace an authority over and over.
func TestReplaceIsKilled(t *testing.T) {
	deadline := time.Now().Add(time.Minute)
	for caught := map[string]bool{}; len(caught) < 2; { // between two of the steps
		if time.Now().After(deadline) {
			t.Fatalf("only %v was seen", caught)
		}
		dir, _ := newStore(t)
		c := startChild(t, "replace forever", dir, "")
		_ = c.stdin.Close()
		state := ""
		for ; state == "" && time.Now().Before(deadline); state = midway(filepath.Dir(dir)) {
		}
		_ = c.cmd.Process.Kill()
		_, _ = io.Copy(io.Discard, c.output)
		_ = c.cmd.Wait()
		if state = midway(filepath.Dir(dir)); state != "" {
			caught[state] = true
		}
		_, openErr := Open(dir)
		if openErr != nil && !errors.Is(openErr, ErrNoAuthority) {
			t.Fatalf("after a kill: %v", openErr)
		}
		a, created, err := OpenOrCreate(dir, Options{})
		if err != nil || created != errors.Is(openErr, ErrNoAuthority) {
			t.Fatalf("after a kill that left %q: created %v, error %v", state, created, err)
		}
		if left, _ := filepath.Glob(filepath.Join(filepath.Dir(dir), retiredPrefix+"*")); left != nil {
			t.Errorf("left after the next command: %v", left)
		}
		staged, _ := filepath.Glob(filepath.Join(filepath.Dir(dir), temporaryPrefix+"*"))
		for _, path := range staged {
			removeStore(path)
		}
		checkReplaced(t, dir, a, nil)
	}
}

// midway says what a process that replaces has left to do: "none" when no
// authority is in place, "retired" when the old one is still to be deleted.
func midway(home string) string {
	retired, _ := filepath.Glob(filepath.Join(home, retiredPrefix+"*"))
	_, err := os.Stat(filepath.Join(home, "authority"))
	switch {
	case len(retired) == 0:
		return ""
	case errors.Is(err, fs.ErrNotExist):
		return "none"
	}
	return "retired"
}

// TestReplaceIsLocked: a process that does not come to an end is not waited for
// for ever, and nothing that it may need is swept away.
func TestReplaceIsLocked(t *testing.T) {
	dir, old := newStore(t)
	unlock, err := tryLock(filepath.Dir(dir))
	must(t, err)
	retired, err := retire(dir)
	must(t, err)
	sweep(filepath.Dir(dir), time.Now())
	must(t, os.Rename(retired, dir))
	if root, err := OpenRoot(dir); err != nil || !root.Equal(old) {
		t.Fatalf("what was moved away under the lock was swept: %v", err)
	}
	if _, err := tryLock(filepath.Dir(dir)); !errors.Is(err, errLocked) {
		t.Fatalf("two locks at once: %v", err)
	}
	done := make(chan error, 1)
	go func() { _, err := Replace(dir, old, Options{}); done <- err }()
	unlock()
	if err := <-done; err != nil {
		t.Errorf("after the lock was given back: %v", err)
	}
}
