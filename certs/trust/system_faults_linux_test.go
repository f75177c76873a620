package trust

import (
	"bytes"
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"
)

// TestDeletedByHand is about people who delete the file and leave the rest.
func TestDeletedByHand(t *testing.T) {
	for _, then := range []string{"nothing", "the tool", "rehash"} {
		m, root, ctx := distribution(t, layouts()[1]), newRoot(t).cert, t.Context()
		l, err := systemStore{m}.layout()
		must(t, err)
		heard := filepath.Join(t.TempDir(), "heard")
		must(t, os.WriteFile(filepath.Join(l.hooks, "hook"), []byte("#!/bin/sh\ncat >>"+heard+"\n"), 0o755))
		before := contents(t, m.Root)
		must(t, only(t, m.Install(ctx, root, KindSystem)).Err)
		must(t, os.Remove(l.anchor(root)))
		tool, err := m.LookPath("update-ca-certificates")
		must(t, err)
		switch then {
		case "the tool":
			must(t, exec.CommandContext(ctx, tool).Run())
			if r := only(t, m.Status(ctx, root, KindSystem)); r.State != StateAbsent || r.entry {
				t.Errorf("only links are left, which trust nothing: %+v", r)
			}
		case "rehash": // only the hash links are anew, and the bundle
			bundle, err := os.ReadFile(l.bundle)
			must(t, err)
			must(t, os.WriteFile(l.bundle, bytes.Replace(bundle, pemBytes(root), nil, 1), 0o644))
			_ = exec.CommandContext(ctx, "openssl", "rehash", l.links).Run() // it fails at the dangling link
		}
		if maps := contents(t, m.Root); then != "nothing" && len(maps) == len(before) {
			t.Fatal("nothing is left to be cleaned")
		}
		roots, err := m.Roots(ctx, KindSystem)
		must(t, err)
		checkRoots(t, roots, root) // by the journal
		if r := only(t, m.Remove(ctx, root, KindSystem)); r.Err != nil || r.State != StateAbsent {
			t.Errorf("%s: %+v", then, r)
		}
		same(t, before, contents(t, m.Root))
		told, err := os.ReadFile(heard)
		must(t, err)
		link := filepath.Join(l.links, strings.TrimSuffix(filepath.Base(l.anchor(root)), ".crt")+".pem")
		if !slices.Contains(strings.Split(string(told), "\n"), "-"+link) {
			t.Errorf("%s: the hook heard %q", then, told)
		}
	}
}

// TestHookFails: what a hook keeps is its own affair, until it must be told that
// a root is gone.
func TestHookFails(t *testing.T) {
	m, root, ctx := distribution(t, layouts()[1]), newRoot(t).cert, t.Context()
	l, err := systemStore{m}.layout()
	must(t, err)
	before := contents(t, m.Root)
	hook := filepath.Join(l.hooks, "hook")
	must(t, os.WriteFile(hook, []byte("#!/bin/sh\necho no keystore >&2\nexit 1\n"), 0o755))
	if r := only(t, m.Install(ctx, root, KindSystem)); r.Err != nil || r.State != StateTrusted {
		t.Errorf("Install: %+v", r)
	}
	for range 2 { // as often as it fails
		r := only(t, m.Remove(ctx, root, KindSystem))
		if r.Err == nil || !strings.Contains(r.Err.Error(), "no keystore") || r.State == StateTrusted {
			t.Errorf("Remove: %+v", r)
		}
		wellSaid(t, r.Err)
	}
	must(t, os.WriteFile(hook, []byte("#!/bin/sh\n"), 0o755))
	if r := only(t, m.Remove(ctx, root, KindSystem)); r.Err != nil {
		t.Errorf("with the hook repaired: %+v", r)
	}
	must(t, os.Remove(hook))
	same(t, before, contents(t, m.Root))
}

// systemStoreDiskFull runs in the namespace of TestSystemStore.
func systemStoreDiskFull(t *testing.T) {
	m, ctx := distribution(t, layouts()[1]), t.Context()
	l, err := systemStore{m}.layout()
	must(t, err)
	for _, full := range []string{l.links, l.anchors} {
		t.Run(filepath.Base(full), func(t *testing.T) {
			root := newRoot(t).cert
			must(t, syscall.Mount("tmpfs", full, "tmpfs", 0, "size=64k,mode=755"))
			defer func() { must(t, syscall.Unmount(full, 0)) }()
			t.Setenv("LC_ALL", "C")
			tool, err := m.LookPath("update-ca-certificates")
			must(t, err)
			must(t, exec.CommandContext(ctx, tool).Run())
			before := contents(t, m.Root)
			filler := filepath.Join(full, "filler")
			fillUp := func() { _ = os.WriteFile(filler, make([]byte, 1<<20), 0o600) }
			fillUp()
			r := only(t, m.Install(ctx, root, KindSystem))
			if r.Err == nil || r.State == StateTrusted || r.entry {
				t.Errorf("Install on a full disk: %+v", r)
			}
			if wellSaid(t, r.Err); !strings.Contains(r.Err.Error(), "No space left") || strings.Contains(r.Err.Error(), "CERTIFICATE") {
				t.Errorf("the error: %v", r.Err)
			}
			must(t, os.Remove(filler))
			same(t, before, contents(t, m.Root))

			must(t, only(t, m.Install(ctx, root, KindSystem)).Err)
			if full == l.links {
				fillUp()
				if r := only(t, m.Remove(ctx, root, KindSystem)); r.Err == nil || !r.entry {
					t.Errorf("Remove on a full disk: %+v", r)
				}
				must(t, os.Remove(filler))
			}
			if r := only(t, m.Remove(ctx, root, KindSystem)); r.Err != nil || r.State != StateAbsent {
				t.Errorf("Remove: %+v", r)
			}
			same(t, before, contents(t, m.Root))
		})
	}
}

// TestToolIsStopped: one that hangs (a hook that waits for something) ends.
func TestToolIsStopped(t *testing.T) {
	m, root := distribution(t, layouts()[0]), newRoot(t).cert
	tool := script(t, "exit 124") // as timeout(1) ends when it stopped the program
	m.LookPath = func(string) (string, error) { return tool, nil }
	r := only(t, m.Install(t.Context(), root, KindSystem))
	if !errors.Is(r.Err, ErrTimeout) || r.entry || !strings.Contains(r.Err.Error(), "update-ca-trust") {
		t.Errorf("%+v", r)
	}
	wellSaid(t, r.Err)
}

// TestRootFileUnderAStrictUmask is about the file that other programs are given.
func TestRootFileUnderAStrictUmask(t *testing.T) {
	defer syscall.Umask(syscall.Umask(0o077))
	TestRootFileIsReadableByOthers(t)
}
