package trust

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/pem"
	"fmt"
	"maps"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"
)

// inNamespace is set in the copy of this test binary that sees a private
// overlay of /etc, /var and /usr/local instead of the real ones.
const inNamespace = "RTCDEV_TRUST_TEST_NAMESPACE"

// TestSystemStore works on the real paths with the distribution's real tool,
// in a mount namespace of its own: this machine's store is never touched, also
// when the test is killed.
func TestSystemStore(t *testing.T) {
	if os.Getenv(inNamespace) != "" {
		enterOverlay(t)
		t.Run("two roots come and go", systemStoreRoundTrip)
		t.Run("truth", systemStoreTruth)
		t.Run("disk full", systemStoreDiskFull)
		return
	}
	if os.Geteuid() != 0 {
		t.Skip("the system store needs root")
	}
	need(t, "update-ca-certificates", "ca-certificates")
	need(t, "openssl", "openssl")
	need(t, "curl", "curl")
	ctx, cancel := context.WithTimeout(t.Context(), 4*time.Minute)
	defer cancel()
	cmd := exec.CommandContext(ctx, os.Args[0], "-test.run=^TestSystemStore$", "-test.v")
	cmd.SysProcAttr = &syscall.SysProcAttr{Cloneflags: syscall.CLONE_NEWNS}
	cmd.Env = append(os.Environ(), inNamespace+"=1")
	out, err := cmd.CombinedOutput()
	t.Logf("in the namespace:\n%s", out)
	if err == nil && strings.Contains(string(out), "--- SKIP") || err != nil && len(out) == 0 {
		skipUnlessCI(t, "this system gives no mount namespace with an overlay: %v", err)
	}
	must(t, err)
}

// skipUnlessCI is for what root can have on a machine made for tests: there, a
// test that was not run must not pass for one that succeeded.
func skipUnlessCI(t *testing.T, format string, args ...any) {
	t.Helper()
	if os.Getenv("CI") == "true" {
		t.Fatalf(format, args...)
	}
	t.Skipf(format, args...)
}

// TestSystemStoreIsNotPassedOver takes from TestSystemStore what it needs to
// make a namespace.
func TestSystemStoreIsNotPassedOver(t *testing.T) {
	if os.Geteuid() != 0 {
		t.Skip("the system store needs root")
	}
	need(t, "update-ca-certificates", "ca-certificates")
	setpriv := need(t, "setpriv", "util-linux")
	for ci, want := range map[string]string{"true": "--- FAIL: TestSystemStore", "": "--- SKIP: TestSystemStore"} {
		cmd := exec.CommandContext(t.Context(), setpriv, "--bounding-set=-sys_admin", "--inh-caps=-sys_admin",
			os.Args[0], "-test.run=^TestSystemStore$", "-test.v")
		cmd.Env = append(os.Environ(), "CI="+ci)
		if out, _ := cmd.CombinedOutput(); !strings.Contains(string(out), want) {
			t.Errorf("with CI=%q it should say %q and says:\n%s", ci, want, out)
		}
	}
}

func enterOverlay(t *testing.T) {
	if err := syscall.Mount("", "/", "", syscall.MS_REC|syscall.MS_PRIVATE, ""); err != nil {
		skipUnlessCI(t, "making the mounts private: %v", err)
	}
	top := t.TempDir()
	if err := syscall.Mount("tmpfs", top, "tmpfs", 0, ""); err != nil {
		skipUnlessCI(t, "mounting a tmpfs: %v", err)
	}
	t.Cleanup(func() { syscall.Unmount(top, syscall.MNT_DETACH) })
	for i, dir := range []string{"/etc", "/var", "/usr/local"} {
		upper, work := filepath.Join(top, fmt.Sprint("upper", i)), filepath.Join(top, fmt.Sprint("work", i))
		must(t, os.Mkdir(upper, 0o755))
		must(t, os.Mkdir(work, 0o755))
		if err := syscall.Mount("overlay", dir, "overlay", 0, "lowerdir="+dir+",upperdir="+upper+",workdir="+work); err != nil {
			skipUnlessCI(t, "mounting an overlay: %v", err)
		}
	}
	// What the tool itself would change the first time is not ours to restore.
	out, err := exec.CommandContext(t.Context(), "update-ca-certificates").CombinedOutput()
	t.Logf("%s", out)
	must(t, err)
}

func systemStoreRoundTrip(t *testing.T) {
	m, err := ThisMachine()
	must(t, err)
	one, two, ctx := newRoot(t), newRoot(t), t.Context()
	empty := snapshot(t)
	accepts(t, one, false)

	mask := syscall.Umask(0o077) // a strict account's: others must be able to read the root all the same
	r := m.Install(ctx, one.cert, KindSystem)[0]
	syscall.Umask(mask)
	if r.Err != nil || r.State != StateTrusted || !r.Changed {
		t.Fatalf("Install: %+v", r)
	}
	checkReadBack(t, []Result{r}, m.Status(ctx, one.cert, KindSystem))
	l, err := systemStore{m}.layout()
	must(t, err)
	if info, err := os.Stat(l.anchor(one.cert)); err != nil || info.Mode().Perm() != 0o644 {
		t.Errorf("%s: mode %v, error %v", l.anchor(one.cert), info.Mode(), err)
	}
	accepts(t, one, true)
	accepts(t, two, false)
	onlyOne := snapshot(t)
	if maps.Equal(onlyOne, empty) {
		t.Fatal("the snapshot does not show an installed root: it would show no difference either")
	}
	if r := m.Install(ctx, one.cert, KindSystem)[0]; r.Err != nil || r.Changed {
		t.Errorf("Install again: %+v", r)
	}

	must(t, m.Install(ctx, two.cert, KindSystem)[0].Err)
	accepts(t, two, true)
	roots, err := m.Roots(ctx, KindSystem)
	must(t, err)
	checkRoots(t, roots, one.cert, two.cert)
	if r := m.Remove(ctx, two.cert, KindSystem)[0]; r.Err != nil || r.State != StateAbsent || !r.Changed {
		t.Errorf("Remove of the second: %+v", r)
	}
	same(t, onlyOne, snapshot(t))

	// The other order leaves a gap in OpenSSL's numbers of their common subject.
	must(t, m.Install(ctx, two.cert, KindSystem)[0].Err)
	must(t, m.Remove(ctx, one.cert, KindSystem)[0].Err)
	accepts(t, one, false)
	accepts(t, two, true)

	must(t, m.Remove(ctx, two.cert, KindSystem)[0].Err)
	accepts(t, two, false)
	same(t, empty, snapshot(t))
	roots, err = m.Roots(ctx, KindSystem)
	must(t, err)
	checkRoots(t, roots)
	if r := m.Remove(ctx, two.cert, KindSystem)[0]; r.Err != nil || r.Changed {
		t.Errorf("Remove again: %+v", r)
	}
	same(t, empty, snapshot(t))
}

func systemStoreTruth(t *testing.T) {
	m, err := ThisMachine()
	must(t, err)
	root, ctx := newRoot(t), t.Context()
	empty := snapshot(t)
	must(t, m.Install(ctx, root.cert, KindSystem)[0].Err)
	l, err := systemStore{m}.layout()
	must(t, err)

	bundle, err := os.ReadFile(l.bundle)
	must(t, err)
	must(t, os.WriteFile(l.bundle, bytes.Replace(bundle, pemBytes(root.cert), nil, 1), 0o644))
	if r := m.Status(ctx, root.cert, KindSystem)[0]; r.State != StateAbsent || !strings.Contains(r.Reason, l.anchors) {
		t.Errorf("somebody took the root out of the bundle: %+v", r)
	}
	if r := m.Install(ctx, root.cert, KindSystem)[0]; r.Err != nil || r.State != StateTrusted {
		t.Errorf("Install should put it back: %+v", r)
	}

	must(t, os.Remove(l.anchor(root.cert))) // as mkcert-like tools and people do
	must(t, exec.CommandContext(ctx, "update-ca-certificates").Run())
	if r := m.Status(ctx, root.cert, KindSystem)[0]; r.State != StateAbsent {
		t.Errorf("somebody deleted the file: %+v", r)
	}
	must(t, m.Remove(ctx, root.cert, KindSystem)[0].Err)
	same(t, empty, snapshot(t)) // the dangling links went too

	byHand := filepath.Join(l.anchors, "by-hand.crt")
	must(t, os.WriteFile(byHand, pemBytes(root.cert), 0o644))
	must(t, exec.CommandContext(ctx, "update-ca-certificates").Run())
	r := m.Remove(ctx, root.cert, KindSystem)[0]
	if r.Err == nil || r.State != StateTrusted || !strings.Contains(r.Fix, byHand) {
		t.Errorf("a root that somebody installed by hand is still trusted, and that must be said: %+v", r)
	}
}

// accepts checks that programs using the system's default store do, or do not,
// trust a leaf of the root.
func accepts(t *testing.T, root testRoot, want bool) {
	t.Helper()
	leaf := filepath.Join(t.TempDir(), "leaf.pem")
	must(t, os.WriteFile(leaf, pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: root.leaf(t).Certificate[0]}), 0o600))
	for _, args := range [][]string{
		{"openssl", "verify", "-verify_hostname", "localhost", leaf},
		{"curl", "--silent", "--show-error", "--noproxy", "*", "--max-time", "20", root.serve(t)},
	} {
		cmd := exec.CommandContext(t.Context(), args[0], args[1:]...)
		cmd.Env = []string{"PATH=" + os.Getenv("PATH")} // no SSL_CERT_FILE, CURL_CA_BUNDLE …
		out, err := cmd.CombinedOutput()
		if got := err == nil; got != want {
			t.Errorf("%s accepts: %t, want %t: %s", args[0], got, want, out)
		}
	}
}

// snapshot is the system store, entry for entry: mode and link target or
// content. Java's keystore, a file with salts and dates in it, is listed.
func snapshot(t *testing.T) map[string]string {
	t.Helper()
	entries := map[string]string{}
	for _, dir := range []string{"/etc/ssl", "/usr/local/share/ca-certificates"} {
		must(t, filepath.WalkDir(dir, func(path string, e os.DirEntry, err error) error {
			if err != nil || filepath.Base(path) == "cacerts" {
				return err
			}
			info, err := e.Info()
			if err != nil {
				return err
			}
			entries[path] = info.Mode().String()
			switch {
			case info.Mode()&os.ModeSymlink != 0:
				target, err := os.Readlink(path)
				entries[path] += " -> " + target
				return err
			case info.Mode().IsRegular():
				raw, err := os.ReadFile(path)
				entries[path] += fmt.Sprintf(" %x", sha256.Sum256(raw))
				return err
			}
			return nil
		}))
	}
	if keytool, err := exec.LookPath("keytool"); err == nil {
		out, err := exec.CommandContext(t.Context(), keytool, "-list", "-cacerts", "-storepass", "changeit").Output()
		if err == nil {
			lines := strings.Split(string(out), "\n")
			slices.Sort(lines)
			entries["java"] = strings.Join(lines, "\n")
		}
	}
	return entries
}

// TestCleanClosesTheGap uses a folder of our own: which number openssl rehash
// gives to which of two roots is chance.
func TestCleanClosesTheGap(t *testing.T) {
	m, root := testMachine(t), newRoot(t).cert
	fakeStore(t, &m, layouts()[1])
	m.UID = 0
	s := systemStore{m}
	l, err := s.layout()
	must(t, err)
	link := strings.TrimSuffix(filepath.Base(l.anchor(root)), ".crt") + ".pem"
	heard := filepath.Join(t.TempDir(), "heard")
	must(t, os.MkdirAll(l.hooks, 0o755))
	must(t, os.WriteFile(filepath.Join(l.hooks, "good"), []byte("#!/bin/sh\ncat >"+heard+"\n"), 0o755))
	must(t, os.WriteFile(filepath.Join(l.hooks, "old.dpkg-old"), []byte("#!/bin/sh\nexit 1\n"), 0o755))
	for name, target := range map[string]string{
		link: l.anchor(root), "aa.0": "before.pem", "aa.1": link, "aa.2": "after.pem", "aa.3": "last.pem", "bb.0": "other.pem", "gone.pem": "/no/such/file",
	} {
		must(t, os.Symlink(target, filepath.Join(l.links, name)))
	}
	if r := m.Remove(t.Context(), root, KindSystem)[0]; r.Err != nil {
		t.Fatal(r.Err)
	}
	want := map[string]string{"aa.0": "before.pem", "aa.1": "after.pem", "aa.2": "last.pem", "bb.0": "other.pem", "gone.pem": "/no/such/file"}
	got := map[string]string{}
	entries, err := os.ReadDir(l.links)
	must(t, err)
	for _, e := range entries {
		if target, err := os.Readlink(filepath.Join(l.links, e.Name())); err == nil {
			got[e.Name()] = target
		}
	}
	if !maps.Equal(got, want) {
		t.Errorf("the links are %v, want %v", got, want)
	}
	told, err := os.ReadFile(heard)
	if must(t, err); string(told) != "-"+filepath.Join(l.links, link)+"\n" {
		t.Errorf("the hook heard %q", told)
	}
}
