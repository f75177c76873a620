//go:build unix

package certs

import (
	"errors"
	"os"
	"os/signal"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
)

// nobody is the number of a user who owns nothing.
const nobody = 65534

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

func TestUnreadableStore(t *testing.T) {
	home := sharedTempDir(t)
	dir := filepath.Join(home, "authority")
	if _, _, err := OpenOrCreate(dir, Options{}); err != nil {
		t.Fatal(err)
	}
	if err := os.Chmod(dir, 0); err != nil {
		t.Fatal(err)
	}
	out := startChild(t, "once", dir, "user").finish(t)
	if !strings.Contains(out, dir+" cannot be read: permission denied\n") {
		t.Errorf("the process said %q", out)
	}
}

// TestModeFaults are those of faultCases that only Unix has.
func TestModeFaults(t *testing.T) {
	runFaultCases(t, []faultCase{
		{"key readable by the group", chmod(keyFile, 0o640), keyFile, "other users can read or change (mode 0640)", "chmod 600 "},
		{"key readable by all", chmod(keyFile, 0o644), keyFile, "other users can read or change (mode 0644)", "chmod 600 "},
		{"folder writable by the group", chmod(".", 0o770), ".", "can be changed by other users (mode 0770)", "chmod 700 "},
		{"folder writable by all", chmod(".", 0o707), ".", "can be changed by other users (mode 0707)", "chmod 700 "},
		{"key is a pipe", func(t *testing.T, dir string) {
			remove(keyFile)(t, dir)
			if err := syscall.Mkfifo(filepath.Join(dir, keyFile), 0o600); err != nil {
				t.Fatal(err)
			}
		}, keyFile, "is not a regular file", wayOut},
	})
}

func chmod(name string, mode os.FileMode) func(*testing.T, string) {
	return func(t *testing.T, dir string) {
		if err := os.Chmod(filepath.Join(dir, name), mode); err != nil {
			t.Fatal(err)
		}
	}
}
