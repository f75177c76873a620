//go:build unix

package certs

import (
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// giveAway makes nobody the owner of a store, so that a child without root's
// power is its owner. The folders above stay readable.
func giveAway(t *testing.T, dir string) {
	t.Helper()
	if os.Geteuid() != 0 {
		t.Skip("needs root to give files away")
	}
	for _, name := range append(storeFiles(), ".") {
		must(t, os.Chown(filepath.Join(dir, name), nobody, nobody))
	}
}

// TestReplaceCannotWrite: on a full disk and in a folder that cannot be written
// the old authority stays as it is.
func TestReplaceCannotWrite(t *testing.T) {
	for _, limit := range []string{"disk", "user"} {
		t.Run(limit, func(t *testing.T) {
			home := sharedTempDir(t)
			dir := filepath.Join(home, "authority")
			_, _, err := OpenOrCreate(dir, Options{})
			must(t, err)
			if limit == "user" {
				giveAway(t, dir)
				must(t, os.Chmod(home, 0o555))
			}
			before := snapshot(t, dir)
			out := startChild(t, "replace", dir, limit).finish(t)
			if !strings.HasPrefix(out, "error: "+dir+" cannot be written: ") || !strings.HasSuffix(out, "set RTCDEV_HOME to another folder") {
				t.Errorf("the process said %q", out)
			}
			if after := snapshot(t, dir); stripTimes(before) != stripTimes(after) {
				t.Errorf("changed:\n%s\nbecame\n%s", before, after)
			}
		})
	}
}

// stripTimes takes the first line's time away: that of the folder above, in which
// a temporary folder came and went.
func stripTimes(s string) string {
	_, rest, _ := strings.Cut(s, "\n")
	return rest
}

// TestReplaceAsItsOwner is for faults that root would not meet.
func TestReplaceAsItsOwner(t *testing.T) {
	for name, mode := range map[string]os.FileMode{"in order": 0o700, "closed": 0, "read-only": 0o500} {
		t.Run(name, func(t *testing.T) {
			home := sharedTempDir(t)
			dir := filepath.Join(home, "authority")
			_, _, err := OpenOrCreate(dir, Options{})
			must(t, err)
			giveAway(t, dir)
			must(t, os.Chown(home, nobody, nobody), os.Chmod(dir, mode))
			key, err := os.ReadFile(filepath.Join(dir, keyFile))
			must(t, err)
			out := startChild(t, "replace", dir, "user").finish(t)
			if _, fingerprint, _ := strings.Cut(out, " "); len(fingerprint) != 95 {
				t.Fatalf("the process said %q", out)
			}
			if left := findSecret(t, home, key); left != "" {
				t.Errorf("the old key is in %s", left)
			}
			if entries, _ := os.ReadDir(home); len(entries) != 1 {
				t.Errorf("left behind: %v", entries)
			}
		})
	}
}

// TestReplaceOfAnotherUser is `sudo rtcdev certs new-authority`.
func TestReplaceOfAnotherUser(t *testing.T) {
	dir, old := newStore(t)
	giveAway(t, dir)
	checkUntouched(t, dir, func() error {
		_, err := Replace(dir, old, Options{})
		if !errors.Is(err, ErrNotOwner) {
			t.Errorf("error %v, want ErrNotOwner", err)
		}
		return err
	}, faultCase{file: ".", reason: "belongs to user 65534", fix: "run it as the owner (without sudo)"})
}

// TestReplaceWhereOthersCanWrite: they could put an authority of theirs in the
// place of the new one.
func TestReplaceWhereOthersCanWrite(t *testing.T) {
	dir, old := newStore(t)
	must(t, os.Chmod(filepath.Dir(dir), 0o777))
	checkUntouched(t, dir, func() error { _, err := Replace(dir, old, Options{}); return err },
		faultCase{file: "..", reason: "who could replace the authority", fix: "chmod go-w "})
}

// TestDestroySaysWhatItLeaves, for a key that cannot be deleted.
func TestDestroySaysWhatItLeaves(t *testing.T) {
	home := sharedTempDir(t)
	dir := filepath.Join(home, "authority")
	_, _, err := OpenOrCreate(dir, Options{})
	must(t, err)
	giveAway(t, dir)
	must(t, os.Chown(home, nobody, nobody), os.Chown(dir, 0, 0), os.Chmod(dir, 0o755)) // the child owns all but the folder itself
	out := startChild(t, "destroy", dir, "user").finish(t)
	if !strings.HasPrefix(out, "error: "+filepath.Join(dir, keyFile)+" is the key of the authority that was replaced, and could not be deleted") ||
		!strings.Contains(out, "next: delete the folder "+dir+" yourself") {
		t.Errorf("the process said %q", out)
	}
}
