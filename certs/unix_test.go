//go:build unix

package certs

import (
	"errors"
	"fmt"
	"os"
	"os/exec"
	"os/signal"
	"path/filepath"
	"regexp"
	"strings"
	"syscall"
	"testing"
)

// nobody is the number of a user who owns nothing.
const nobody = 65534

// plainUmask makes the folders of tests what they are for most people: a person
// whose umask lets the group write would have every test's home refused.
func plainUmask() { syscall.Umask(0o022) }

// limitSelf takes room for files ("disk") or root's power ("user") from this
// process.
func limitSelf(limit string) {
	var err error
	switch limit {
	case "disk":
		signal.Ignore(syscall.SIGXFSZ)
		err = syscall.Setrlimit(syscall.RLIMIT_FSIZE, &syscall.Rlimit{Cur: 100, Max: 100})
	case "user":
		if os.Geteuid() == 0 {
			err = errors.Join(syscall.Setgroups(nil), syscall.Setgid(nobody), syscall.Setuid(nobody))
		}
	}
	if err != nil {
		panic(err)
	}
}

func TestCannotWrite(t *testing.T) {
	for _, limit := range []string{"disk", "user"} {
		t.Run(limit, func(t *testing.T) {
			home := sharedTempDir(t)
			if limit == "user" {
				if err := os.Chmod(home, 0o555); err != nil {
					t.Fatal(err)
				}
			}
			dir := filepath.Join(home, "authority")
			out := startChild(t, "once", dir, limit).finish(t)
			if !strings.HasPrefix(out, "error: "+dir+" cannot be written: ") || !strings.HasSuffix(out, "set RTCDEV_HOME to another folder") {
				t.Errorf("the process said %q", out)
			}
			if entries, _ := os.ReadDir(home); len(entries) != 0 {
				t.Errorf("left behind: %v", entries)
			}
		})
	}
}

// TestWritePairChangesNothing on a full disk and without the right to write:
// files that are there stay, and folders that are not do not come.
func TestWritePairChangesNothing(t *testing.T) {
	pair, err := SelfSigned([]string{"localhost"})
	must(t, err)
	for _, limit := range []string{"disk", "user"} {
		for _, target := range []string{"present", "present/new", "new/below", "new/../newer/"} {
			t.Run(limit+" "+target, func(t *testing.T) {
				home := sharedTempDir(t)
				_, _, err := WritePair(filepath.Join(home, "present"), pair, false)
				must(t, err)
				before := stripModTimes(snapshot(t, filepath.Join(home, "present")))
				dir := home + "/" + target
				out := startChild(t, "pair", dir, limit).finish(t)
				if !strings.HasPrefix(out, "error: "+filepath.Clean(dir)) || !strings.Contains(out, " cannot be written: ") {
					t.Errorf("the process said %q", out)
				}
				if after := stripModTimes(snapshot(t, filepath.Join(home, "present"))); before != after {
					t.Errorf("changed:\n%s\nbecame\n%s", before, after)
				}
			})
		}
	}
}

func stripModTimes(s string) string {
	return regexp.MustCompile(`(?m)^(\S+ \S+) [^"\n]*`).ReplaceAllString(s, "$1")
}

func TestStoreOfAnotherUser(t *testing.T) {
	if os.Geteuid() != 0 {
		t.Skip("needs root to give files away")
	}
	for _, given := range []string{".", keyFile} {
		dir := filepath.Join(t.TempDir(), "authority")
		if _, _, err := OpenOrCreate(dir, Options{}); err != nil {
			t.Fatal(err)
		}
		if err := os.Chown(filepath.Join(dir, given), nobody, nobody); err != nil {
			t.Fatal(err)
		}
		_, err := Open(dir)
		var fault *StoreError
		if !errors.As(err, &fault) || fault.File != filepath.Join(dir, given) || !strings.Contains(fault.Reason, "belongs to user 65534") {
			t.Errorf("%s given away: %v", given, err)
		}
		// What `sudo rtcdev certs trust --stores system` needs.
		if _, err := OpenRoot(dir); err != nil {
			t.Errorf("%s given away: the root alone: %v", given, err)
		}
	}
}

// TestUnreadableStore: what root has closed, as after a command with sudo, is not
// to be opened to more people, and what the person has closed to nobody else.
func TestUnreadableStore(t *testing.T) {
	home := filepath.Join(sharedTempDir(t), "a person's folder")
	dir := filepath.Join(home, "authority")
	key := filepath.Join(dir, keyFile)
	const closed, foreign = " cannot be read: permission denied\nnext: chmod ", " belongs to user 0, but this command runs as user 65534\nnext: "
	for name, c := range map[string]struct {
		change func() error // of a store that is nobody's
		file   string
		said   string
		key    KeyState
	}{
		"root's key":          {func() error { return os.Chown(key, 0, 0) }, keyFile, foreign + "sudo chown 65534 ", KeyForeign},
		"root's certificate":  {func() error { return os.Chown(filepath.Join(dir, rootFile), 0, 0) }, rootFile, foreign + "sudo chown 65534 ", KeyOK},
		"root's folder":       {func() error { return os.Chown(dir, 0, 0) }, ".", foreign + "run it as the owner", KeyUnreadable},
		"a key closed to all": {func() error { return os.Chmod(key, 0) }, keyFile, closed + "600 ", KeyUnreadable},
		"a closed folder":     {func() error { return os.Chmod(dir, 0) }, ".", closed + "700 ", KeyUnreadable},
	} {
		t.Run(name, func(t *testing.T) {
			must(t, os.RemoveAll(home), os.Mkdir(home, 0o755))
			_, _, err := OpenOrCreate(dir, Options{})
			must(t, err)
			giveAway(t, dir)
			must(t, os.Chmod(filepath.Join(dir, rootFile), 0o600), c.change())
			out := startChild(t, "describe", dir, "user").finish(t)
			file := filepath.Join(dir, c.file)
			if want := fmt.Sprintf("key: %s\nerror: %s%s", c.key, file, c.said); !strings.HasPrefix(out, want) {
				t.Errorf("the process said %q, want %q", out, want)
			}
			_, fix, _ := strings.Cut(out, "\nnext: ")
			if strings.HasPrefix(fix, "run it") {
				return
			}
			// The next step can be pasted, and is enough.
			command, _, _ := strings.Cut(strings.TrimPrefix(fix, "sudo "), ", or set RTCDEV_HOME")
			if said, err := exec.Command("sh", "-c", command).CombinedOutput(); err != nil {
				t.Errorf("%s: %v: %s", command, err, said)
			}
			if out := startChild(t, "describe", dir, "user").finish(t); out != "key: ok" {
				t.Errorf("after %s the process said %q", command, out)
			}
			if info, err := os.Stat(key); err != nil || info.Mode().Perm() != 0o600 {
				t.Errorf("after %s the key has mode %v, error %v", command, info.Mode(), err)
			}
		})
	}
}

// TestExposedKey: closing the file again does not call copies back.
func TestExposedKey(t *testing.T) {
	dir, _ := newStore(t)
	chmod(keyFile, 0o644)(t, dir)
	_, err := Open(dir)
	var fault *StoreError
	if !errors.As(err, &fault) || !strings.HasPrefix(fault.Fix, "chmod 600 "+filepath.Join(dir, keyFile)+". ") ||
		!strings.Contains(fault.Fix, "copied") || !strings.HasSuffix(fault.Fix, wayOut) {
		t.Errorf("error %v, next step %q", err, fault.Fix)
	}
}

// TestModeFaults are those of faultCases that only Unix has.
func TestModeFaults(t *testing.T) {
	runFaultCases(t, []faultCase{
		{"key readable by the group", chmod(keyFile, 0o640), keyFile, "other users can read or change (mode 0640)", "chmod 600 "},
		{"key readable by all", chmod(keyFile, 0o644), keyFile, "other users can read or change (mode 0644)", "chmod 600 "},
		{"folder writable by the group", chmod(".", 0o770), ".", "can be changed by other users (mode 0770)", "chmod 700 "},
		{"folder writable by all", chmod(".", 0o707), ".", "can be changed by other users (mode 0707)", "chmod 700 "},
		{"folder readable by the group", chmod(".", 0o750), ".", "is open to other users (mode 0750)", "chmod 700 "},
		{"folder readable by all", chmod(".", 0o755), ".", "is open to other users (mode 0755)", "chmod 700 "},
		{"folder that all may search", chmod(".", 0o711), ".", "is open to other users (mode 0711)", "chmod 700 "},
		{"home writable by the group", chmod("..", 0o770), "..", "can be changed by other users (mode 0770)", "chmod go-w "},
		{"home writable by all", chmod("..", 0o757), "..", "can be changed by other users (mode 0757)", "chmod go-w "},
		{"key is a pipe", func(t *testing.T, dir string) {
			remove(keyFile)(t, dir)
			if err := syscall.Mkfifo(filepath.Join(dir, keyFile), 0o600); err != nil {
				t.Fatal(err)
			}
		}, keyFile, "is not a regular file", wayOut},
	})
}

// TestHomes are folders to keep the authority in, before there is one.
func TestHomes(t *testing.T) {
	for _, c := range []struct {
		mode  os.FileMode
		owner int // 0: this user
		good  bool
	}{
		{0o700, 0, true},
		{0o755, 0, true},
		{0o777 | os.ModeSticky, 0, true},
		{0o775, 0, false},
		{0o757, 0, false},
		{0o777 | os.ModeSticky, nobody, false},
	} {
		home := filepath.Join(t.TempDir(), "home")
		if err := errors.Join(os.Mkdir(home, 0o700), os.Chmod(home, c.mode)); err != nil {
			t.Fatal(err)
		}
		if c.owner != 0 {
			if os.Geteuid() != 0 {
				continue // only root can give a folder away
			}
			if err := os.Chown(home, c.owner, c.owner); err != nil {
				t.Fatal(err)
			}
		}
		dir := filepath.Join(home, "authority")
		_, created, err := OpenOrCreate(dir, Options{})
		if created != c.good || (err == nil) != c.good {
			t.Errorf("mode %v of user %d: created %v, error %v", c.mode, c.owner, created, err)
		}
		if _, rootErr := OpenRoot(dir); (rootErr == nil) != c.good {
			t.Errorf("mode %v of user %d: OpenRoot says %v", c.mode, c.owner, rootErr)
		}
		if entries, _ := os.ReadDir(home); !c.good && len(entries) != 0 {
			t.Errorf("mode %v of user %d: made %v all the same", c.mode, c.owner, entries)
		}
	}
}

// TestOpenRootModes: what others can read is a leak of the key but not of the
// root; what others can change may be another root.
func TestOpenRootModes(t *testing.T) {
	for mode, good := range map[os.FileMode]bool{0o755: true, 0o750: true, 0o775: false, 0o702: false} {
		dir := filepath.Join(t.TempDir(), "authority")
		if _, _, err := OpenOrCreate(dir, Options{}); err != nil {
			t.Fatal(err)
		}
		chmod(".", mode)(t, dir)
		chmod(keyFile, 0o644)(t, dir)
		_, err := OpenRoot(dir)
		var fault *StoreError
		if (err == nil) != good || err != nil && (!errors.As(err, &fault) || fault.Fix != "chmod 700 "+dir) {
			t.Errorf("mode %v: error %v", mode, err)
		}
	}
}

func chmod(name string, mode os.FileMode) func(*testing.T, string) {
	return func(t *testing.T, dir string) {
		if err := os.Chmod(filepath.Join(dir, name), mode); err != nil {
			t.Fatal(err)
		}
	}
}

// TestDescribeOwnersAndModes are the states of a key that only Unix has.
func TestDescribeOwnersAndModes(t *testing.T) {
	for mode, want := range map[os.FileMode]KeyState{0o640: KeyExposed, 0o604: KeyExposed} {
		dir, _ := newStore(t)
		chmod(keyFile, mode)(t, dir)
		checkDescription(t, dir, want, false)
	}
	for mode, noRoot := range map[os.FileMode]bool{0o755: false, 0o777: true} {
		dir, _ := newStore(t)
		chmod(".", mode)(t, dir)
		checkDescription(t, dir, KeyOK, noRoot)
	}
	dir, _ := newStore(t)
	remove(keyFile)(t, dir)
	if err := os.Symlink(keyFile, filepath.Join(dir, keyFile)); err != nil {
		t.Fatal(err)
	}
	checkDescription(t, dir, KeyUnreadable, false) // a link to itself
	if os.Geteuid() != 0 {
		t.Skip("needs root to give files away")
	}
	for _, given := range []string{".", keyFile} {
		dir, _ := newStore(t)
		if err := os.Chown(filepath.Join(dir, given), nobody, nobody); err != nil {
			t.Fatal(err)
		}
		checkDescription(t, dir, map[string]KeyState{".": KeyOK, keyFile: KeyForeign}[given], false)
	}
}
