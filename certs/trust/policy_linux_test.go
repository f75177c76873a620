package trust

import (
	"context"
	"crypto/rand"
	"crypto/x509"
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"
)

// inPolicyNamespace is set in the copy of this test binary that sees a private
// overlay of /etc, in which browsers look for their policies.
const inPolicyNamespace = "RTCDEV_TRUST_TEST_POLICY_NAMESPACE"

// inNamespaceOfOwn runs test in a mount namespace where /etc may be changed: the
// real one is never touched, also when the test is killed.
func inNamespaceOfOwn(t *testing.T, test func(t *testing.T)) {
	t.Helper()
	if os.Getenv(inPolicyNamespace) != "" {
		enterEtc(t)
		test(t)
		return
	}
	if os.Geteuid() != 0 {
		t.Skip("policy files need root")
	}
	ctx, cancel := context.WithTimeout(t.Context(), 8*time.Minute)
	defer cancel()
	cmd := exec.CommandContext(ctx, os.Args[0], "-test.run=^"+t.Name()+"$", "-test.v")
	cmd.SysProcAttr = &syscall.SysProcAttr{Cloneflags: syscall.CLONE_NEWNS}
	cmd.Env = append(os.Environ(), inPolicyNamespace+"=1")
	cmd.WaitDelay = 10 * time.Second
	out, err := cmd.CombinedOutput()
	t.Logf("in the namespace:\n%s", out)
	if err == nil && strings.Contains(string(out), "--- SKIP") || err != nil && len(out) == 0 {
		skipUnlessCI(t, "this system gives no mount namespace with an overlay: %v", err)
	}
	must(t, err)
}

func enterEtc(t *testing.T) {
	t.Helper()
	if err := syscall.Mount("", "/", "", syscall.MS_REC|syscall.MS_PRIVATE, ""); err != nil {
		skipUnlessCI(t, "making the mounts private: %v", err)
	}
	top := t.TempDir()
	mountTmpfs(t, top, "")
	upper, work := filepath.Join(top, "upper"), filepath.Join(top, "work")
	must(t, errors.Join(os.Mkdir(upper, 0o755), os.Mkdir(work, 0o755)))
	if err := syscall.Mount("overlay", "/etc", "overlay", 0, "lowerdir=/etc,upperdir="+upper+",workdir="+work); err != nil {
		skipUnlessCI(t, "mounting an overlay: %v", err)
	}
}

func mountTmpfs(t *testing.T, dir, options string) {
	t.Helper()
	if err := syscall.Mount("tmpfs", dir, "tmpfs", 0, options); err != nil {
		skipUnlessCI(t, "mounting a tmpfs: %v", err)
	}
	t.Cleanup(func() { syscall.Unmount(dir, syscall.MNT_DETACH) })
}

// policyAccount is a new account without certutil.
func policyAccount(t *testing.T) Machine {
	t.Helper()
	m := testMachine(t)
	m.Root, m.Journal = "", t.TempDir()
	m.LookPath = func(program string) (string, error) {
		if program == "certutil" {
			return "", exec.ErrNotFound
		}
		return exec.LookPath(program)
	}
	return m
}

// TestPolicyChromium is the proof with the real browser and its real paths.
func TestPolicyChromium(t *testing.T) {
	chromium := need(t, "chromium", "chromium")
	inNamespaceOfOwn(t, func(t *testing.T) {
		m, one, two, ctx := policyAccount(t), newRoot(t), newRoot(t), t.Context()
		urlOne, urlTwo := one.serve(t), two.serve(t)
		writeFile(t, "/etc/chromium/policies/managed/their.json", `{"HomepageLocation": "https://example.com"}`)
		before := folders(t, "/etc/chromium", "/etc/opt", "/etc/firefox")
		expect(t, chromium, m.Home, urlOne, false)

		install := func(root testRoot) {
			t.Helper()
			if r := byName(t, m.Install(ctx, root.cert, KindPolicy), "policy chromium"); r.Err != nil || r.State != StateTrusted || !r.Changed {
				t.Fatalf("%+v", r)
			}
		}
		install(one)
		expect(t, chromium, m.Home, urlOne, true)
		expect(t, chromium, m.Home, urlTwo, false)
		install(two) // both are in force: of two files, Chromium would read one
		expect(t, chromium, m.Home, urlOne, true)
		expect(t, chromium, m.Home, urlTwo, true)
		checkAll(t, m.Remove(ctx, one.cert, KindPolicy), StateAbsent)
		expect(t, chromium, m.Home, urlOne, false)
		expect(t, chromium, m.Home, urlTwo, true)

		for _, r := range m.Remove(ctx, two.cert) { // nobody names the kind: they are found
			if r.Kind == KindPolicy && r.Err != nil {
				t.Errorf("%+v", r)
			}
		}
		expect(t, chromium, m.Home, urlTwo, false)
		same(t, before, folders(t, "/etc/chromium", "/etc/opt", "/etc/firefox"))
	})
}

// TestPolicyChromiumKeepsToTheConstraints: a key that was stolen speaks for no
// other names, this way either.
func TestPolicyChromiumKeepsToTheConstraints(t *testing.T) {
	chromium := need(t, "chromium", "chromium")
	inNamespaceOfOwn(t, func(t *testing.T) {
		m, ctx := policyAccount(t), t.Context()
		allowed, forged := newRootFor(t, "localhost"), newRootFor(t, "example.test")
		for _, root := range []testRoot{allowed, forged} {
			checkAll(t, m.Install(ctx, root.cert, KindPolicy), StateTrusted)
		}
		expect(t, chromium, m.Home, allowed.serve(t), true)
		page, said := chromiumSays(t, chromium, m.Home, forged.serve(t))
		if strings.Contains(page, greeting) || !strings.Contains(said, "ERR_CERT_INVALID") {
			t.Errorf("Chromium does not refuse a name outside the constraints: %.200s %s", page, said)
		}
	})
}

// TestFullAndReadOnlyDisk: neither a keystore nor a policy file is harmed.
func TestFullAndReadOnlyDisk(t *testing.T) {
	javas := realJavas(t)
	inNamespaceOfOwn(t, func(t *testing.T) {
		m, root, ctx := policyMachine(t, "firefox"), newRoot(t).cert, t.Context()
		mountTmpfs(t, m.Root, "")
		keystore := fakeJava(t, &m, javas[0], realKeytool)
		policies := filepath.Join(m.Root, "etc/firefox/policies/policies.json")
		for path, size := range map[string]string{filepath.Dir(policies): "16k", filepath.Dir(keystore): "300k"} {
			content, err := os.ReadFile(keystore) // before its folder is hidden
			must(t, errors.Join(err, os.MkdirAll(path, 0o755)))
			mountTmpfs(t, path, "size="+size)
			if path == filepath.Dir(keystore) {
				must(t, os.WriteFile(keystore, content, 0o644))
			}
		}
		writeFile(t, policies, `{"policies": {"A": "`+strings.Repeat("x", 9000)+`"}}`)
		before := folders(t, filepath.Dir(policies), filepath.Dir(keystore))
		check := func(why string, want error) {
			t.Helper()
			for _, r := range m.Install(ctx, root, KindJava, KindPolicy) {
				if !errors.Is(r.Err, want) || r.State == StateTrusted || r.Changed || r.Fix == "" {
					t.Errorf("%s: %+v", why, r)
				}
				t.Logf("%v\n  next: %s", r.Err, r.Fix)
				checkFix(t, r.Fix, root, "")
			}
			same(t, before, folders(t, filepath.Dir(policies), filepath.Dir(keystore)))
			if left := tree(t, m.Journal); left != nil {
				t.Errorf("%s: left in the journal's folder: %q", why, left)
			}
		}
		check("the disk is full", syscall.ENOSPC)
		for path, options := range map[string]string{filepath.Dir(policies): "size=1m", filepath.Dir(keystore): "size=1m"} {
			must(t, syscall.Mount("tmpfs", path, "tmpfs", syscall.MS_REMOUNT|syscall.MS_RDONLY, options))
		}
		check("read-only", ErrReadOnly)
		for path, options := range map[string]string{filepath.Dir(policies): "size=1m", filepath.Dir(keystore): "size=1m"} {
			must(t, syscall.Mount("tmpfs", path, "tmpfs", syscall.MS_REMOUNT, options))
		}
		checkAll(t, m.Install(ctx, root, KindJava, KindPolicy), StateTrusted)
	})
}

// chromiumSays returns what a page of url holds and what Chromium printed.
func chromiumSays(t *testing.T, chromium, home, url string) (page, said string) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 2*time.Minute)
	defer cancel()
	cmd := exec.CommandContext(ctx, chromium, "--no-sandbox", "--headless", "--disable-gpu", "--no-first-run",
		"--disable-background-networking", "--user-data-dir="+t.TempDir(), "--dump-dom", url)
	cmd.Env = append(os.Environ(), "HOME="+home, "XDG_DATA_HOME=")
	cmd.WaitDelay = 5 * time.Second
	var errs strings.Builder
	cmd.Stderr = &errs
	out, err := cmd.Output()
	if err != nil {
		t.Fatalf("chromium: %v\n%s", err, errs.String())
	}
	return string(out), errs.String()
}

// newRootFor is a root that may speak for one name and those below it.
func newRootFor(t *testing.T, name string) testRoot {
	t.Helper()
	root := newRoot(t)
	template := *root.cert
	template.PermittedDNSDomainsCritical, template.PermittedDNSDomains = true, []string{name}
	der, err := x509.CreateCertificate(rand.Reader, &template, &template, &root.key.PublicKey, root.key)
	must(t, err)
	cert, err := x509.ParseCertificate(der)
	must(t, err)
	return testRoot{cert, root.key}
}
