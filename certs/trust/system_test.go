package trust

import (
	"bytes"
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strings"
	"testing"
)

// fakeStore builds the folders of a layout under m.Root.
func fakeStore(t *testing.T, m *Machine, l layout) {
	t.Helper()
	m.OS = "linux"
	m.LookPath = func(program string) (string, error) { return "/usr/sbin/" + program, nil }
	must(t, os.MkdirAll(filepath.Join(m.Root, l.anchors), 0o755))
	must(t, os.MkdirAll(filepath.Join(m.Root, filepath.Dir(l.bundle)), 0o755))
	must(t, os.WriteFile(filepath.Join(m.Root, l.bundle), []byte("# no roots\n"), 0o644))
}

func TestSystemLayoutsAsAnOrdinaryUser(t *testing.T) {
	for _, l := range layouts() {
		t.Run(l.tool+" "+l.anchors, func(t *testing.T) {
			m, root, ctx := testMachine(t), newRoot(t).cert, t.Context()
			fakeStore(t, &m, l)
			m.UID, m.RootCommand = 1000, `sudo RTCDEV_HOME="/home/kim/x" rtcdev certs`
			fix := m.RootCommand + " trust --stores system"

			r := m.Status(ctx, root, KindSystem)[0]
			if r.State != StateAbsent || !r.NeedsRoot || r.Fix != fix {
				t.Errorf("Status: %+v", r)
			}
			r = byName(t, m.Install(ctx, root), "system")
			if !r.Skipped || r.Err != nil || r.Changed || r.State != StateAbsent || !strings.Contains(r.Reason, "root") || r.Fix != fix {
				t.Errorf("nobody asked for it: %+v", r)
			}
			checkReadBack(t, []Result{r}, m.Status(ctx, root, KindSystem))
			r = m.Install(ctx, root, KindSystem)[0]
			if r.Skipped || !errors.Is(r.Err, ErrNeedsRoot) || r.Fix != fix {
				t.Errorf("asked for by its kind: %+v", r)
			}

			bundle := filepath.Join(m.Root, l.bundle)
			must(t, os.WriteFile(bundle, bytes.Join([][]byte{pemBytes(newRoot(t).cert), []byte("# a comment\n"), pemBytes(root)}, nil), 0o644))
			r = byName(t, m.Install(ctx, root), "system")
			if r.State != StateTrusted || r.Err != nil || r.Changed {
				t.Errorf("already trusted: %+v", r)
			}
			if Trusted([]Result{r}) {
				t.Error("on Linux the system store says nothing about the browsers")
			}
			r = byName(t, m.Remove(ctx, root), "system")
			if !errors.Is(r.Err, ErrNeedsRoot) || r.State != StateTrusted || !strings.Contains(r.Fix, "untrust") {
				t.Errorf("Remove must not pass over a store that still trusts: %+v", r)
			}
			must(t, os.Remove(bundle))
			if r := m.Remove(ctx, root, KindSystem)[0]; r.Err != nil || r.Changed || r.Fix != "" {
				t.Errorf("nothing to remove, and no next step: %+v", r)
			}
		})
	}
}

// TestSystemToolOutsidePath: an ordinary user of Debian has no /usr/sbin in PATH.
func TestSystemToolOutsidePath(t *testing.T) {
	for _, dir := range []string{"/usr/sbin", "/sbin"} {
		m, root := testMachine(t), newRoot(t).cert
		fakeStore(t, &m, layouts()[1])
		m.UID = 1000
		m.LookPath = func(program string) (string, error) {
			if filepath.Dir(program) == dir {
				return program, nil
			}
			return "", exec.ErrNotFound
		}
		r := m.Status(t.Context(), root, KindSystem)[0]
		if r.State != StateAbsent || r.Fix != m.RootCommand+" trust --stores system" {
			t.Errorf("the tool is in %s: %+v", dir, r)
		}
	}
}

// TestSystemReadsWithoutTheTool: it is needed for a change only.
func TestSystemReadsWithoutTheTool(t *testing.T) {
	m, root, ctx := testMachine(t), newRoot(t).cert, t.Context()
	l := layouts()[1]
	fakeStore(t, &m, l)
	m.UID = 1000
	m.LookPath = func(string) (string, error) { return "", exec.ErrNotFound }
	must(t, os.MkdirAll(filepath.Join(m.Root, l.links), 0o755))

	r := m.Remove(ctx, root, KindSystem)[0]
	if r.Err != nil || r.State != StateAbsent || r.Changed || r.Skipped || r.Fix != "" {
		t.Errorf("Remove of a root that is not there: %+v", r)
	}
	must(t, os.WriteFile(filepath.Join(m.Root, l.bundle), pemBytes(root), 0o644))
	if r := m.Status(ctx, root, KindSystem)[0]; r.State != StateTrusted {
		t.Errorf("Status of a root that is there: %+v", r)
	}
	if r := m.Install(ctx, root, KindSystem)[0]; r.Err != nil || r.State != StateTrusted {
		t.Errorf("Install of a root that is there: %+v", r)
	}
	if r := m.Remove(ctx, root, KindSystem)[0]; !errors.Is(r.Err, ErrNeedsRoot) || r.State != StateTrusted {
		t.Errorf("Remove of a root that is there: %+v", r)
	}
	m.UID = 0
	if r := m.Remove(ctx, root, KindSystem)[0]; runtime.GOOS == "linux" && os.Geteuid() == 0 && (!errors.Is(r.Err, ErrToolMissing) || r.Fix == "") {
		t.Errorf("Remove by root: %+v", r)
	}
}

func TestSystemUnavailable(t *testing.T) {
	root := newRoot(t).cert
	for name, spoil := range map[string]func(*Machine){
		"freebsd":           func(m *Machine) { m.OS = "freebsd" },
		"no known layout":   func(m *Machine) { m.Root = t.TempDir() },
		"no tool installed": func(m *Machine) { m.LookPath = func(string) (string, error) { return "", exec.ErrNotFound } },
	} {
		t.Run(name, func(t *testing.T) {
			m := testMachine(t)
			fakeStore(t, &m, layouts()[1])
			spoil(&m)
			r := m.Status(t.Context(), root, KindSystem)[0]
			if r.State != StateUnavailable || r.Reason == "" || r.Fix == "" {
				t.Errorf("%+v", r)
			}
			t.Logf("%s\n  next: %s", r.Reason, r.Fix)
			results := m.Install(t.Context(), root, KindSystem)
			if results[0].Err == nil || Trusted(results) {
				t.Errorf("%+v", results)
			}
		})
	}
}

func TestUnknownKindIsAnError(t *testing.T) {
	m, root := testMachine(t), newRoot(t).cert
	for _, results := range [][]Result{m.Install(t.Context(), root, "browser"), m.Remove(t.Context(), root, "browser")} {
		if len(results) != 1 || !errors.Is(results[0].Err, ErrUnsupported) {
			t.Errorf("%+v", results)
		}
	}
}

// TestSystemToolFails runs truststore on folders of our own, with a tool that
// fails, and with one that does nothing and says it did.
func TestSystemToolFails(t *testing.T) {
	if runtime.GOOS != "linux" || os.Geteuid() != 0 {
		t.Skip("truststore is only used as root on Linux")
	}
	root := newRoot(t).cert
	for _, test := range []struct {
		tool string
		want error
		said string
	}{
		{"echo the disk is full >&2; exit 1", nil, "the disk is full"},
		{"exit 0", ErrNotVerified, "bundle"},
	} {
		m := testMachine(t)
		fakeStore(t, &m, layouts()[1])
		tool := script(t, test.tool)
		m.LookPath = func(string) (string, error) { return tool, nil }
		r := m.Install(t.Context(), root, KindSystem)[0]
		if r.Err == nil || !strings.Contains(r.Err.Error(), test.said) || r.State == StateTrusted {
			t.Errorf("%q: %+v", test.tool, r)
		}
		if test.want != nil && !errors.Is(r.Err, test.want) {
			t.Errorf("%q: %v", test.tool, r.Err)
		}
		if test.want == nil && r.entry {
			t.Errorf("%q: a half-done change stayed: %+v", test.tool, r)
		}
	}
}

func TestCertutilPackage(t *testing.T) {
	for release, want := range map[string]string{
		"ID=debian\n": "sudo apt install libnss3-tools",
		"ID=linuxmint\nID_LIKE=\"ubuntu debian\"\n": "sudo apt install libnss3-tools",
		"ID=fedora\n": "sudo dnf install nss-tools",
		"ID=\"rocky\"\nID_LIKE=\"rhel centos fedora\"\n": "sudo dnf install nss-tools",
		"ID=endeavouros\nID_LIKE='arch'\n":               "sudo pacman -S nss",
		"ID=opensuse-leap\nID_LIKE=\"suse opensuse\"\n":  "sudo zypper install mozilla-nss-tools",
		"ID=alpine\n": "sudo apk add nss-tools",
		"":            "libnss3-tools (Debian)",
	} {
		m := Machine{Root: t.TempDir()}
		must(t, os.MkdirAll(filepath.Join(m.Root, "etc"), 0o755))
		must(t, os.WriteFile(filepath.Join(m.Root, "etc/os-release"), []byte("NAME=x\n"+release), 0o644))
		if got := m.certutilFix(); !strings.Contains(got, want) {
			t.Errorf("%q: %q, want %q", release, got, want)
		}
	}
}
