//go:build unix

package acmecert

import (
	"context"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"rtcdev/scripts/rehearsal"
)

// What the program has started ends with it.
func TestHookEndsWhole(t *testing.T) {
	dir := t.TempDir()
	program, started := filepath.Join(dir, "hook"), filepath.Join(dir, "started")
	script := "#!/bin/sh\nsleep 600 &\necho $! > " + started + ".new && mv " + started + ".new " + started + "\nwait\n"
	if err := os.WriteFile(program, []byte(script), 0o700); err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	go func() {
		for ctx.Err() == nil {
			if _, err := os.Stat(started); err == nil {
				cancel()
			}
			wait(ctx, 10*time.Millisecond)
		}
	}()
	if err := (hook{program}).call(ctx, "present", "a", "b"); err == nil {
		t.Error("no error")
	}
	data, err := os.ReadFile(started)
	if err != nil {
		t.Fatal(err)
	}
	pid, err := strconv.Atoi(strings.TrimSpace(string(data)))
	if err != nil {
		t.Fatal(err)
	}
	for deadline := time.Now().Add(patience); syscall.Kill(pid, 0) == nil && !isZombie(pid); {
		if time.Now().After(deadline) {
			_ = syscall.Kill(pid, syscall.SIGKILL)
			t.Fatal("its child goes on")
		}
		wait(t.Context(), 10*time.Millisecond)
	}
}

// isZombie tells whether a process has ended, and only waits for whoever takes note.
func isZombie(pid int) bool {
	data, err := os.ReadFile("/proc/" + strconv.Itoa(pid) + "/stat")
	return err == nil && strings.Contains(string(data), ") Z ")
}

// A record that could not be taken away is told, and does not keep the certificate from being there.
func TestHookLeavesARecord(t *testing.T) {
	r := newRig(t, rehearsal.Options{}, "call.example.com")
	r.cfg.Resolvers = []string{r.ca.DNSAddr}
	good := r.ca.WriteHook(t)
	r.cfg.DNSHook = filepath.Join(t.TempDir(), "hook")
	script := "#!/bin/sh\n[ \"$1\" = cleanup ] && { echo no right to >&2; exit 1; }\nexec " + good + " \"$@\"\n"
	if err := os.WriteFile(r.cfg.DNSHook, []byte(script), 0o700); err != nil {
		t.Fatal(err)
	}
	if err := r.manager().Obtain(t.Context()); err != nil {
		t.Fatal(err)
	}
	r.hears(Waiting)
	if e := r.hears(Leftover); !strings.Contains(e.Problem.Error(), "_acme-challenge.call.example.com could not be taken away") || !strings.Contains(e.Problem.Error(), "no right to") {
		t.Errorf("got %v", e.Problem)
	}
	r.hears(Obtained)
}
