package main

import (
	"errors"
	"flag"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"syscall"
	"testing"

	"github.com/chromedp/chromedp"
)

// inNamespace is set in the copy of this test binary that sees an overlay of the
// folders of the system instead of the real ones.
const inNamespace = "RTCDEV_TEST_NAMESPACE"

// TestTrustAndBack is the promise of `certs trust` and `certs untrust`, kept on
// the real stores of this system and of real browsers, in a mount namespace of
// its own: this machine's stores are never touched, also when the test is killed.
func TestTrustAndBack(t *testing.T) {
	if os.Geteuid() != 0 {
		t.Skip("the system's stores need root; TestTrustAsAPerson is for everybody else")
	}
	certutil := need(t, "certutil", "libnss3-tools")
	for _, tool := range [][2]string{
		{"chromium", "chromium"}, {"firefox-esr", "firefox-esr"}, {"curl", "curl"},
		{"java", "default-jdk-headless"}, {"keytool", "default-jdk-headless"}, {"update-ca-certificates", "ca-certificates"},
	} {
		need(t, tool[0], tool[1])
	}
	if os.Getenv(inNamespace) == "" {
		// This test only, and of its parts those that were asked for.
		_, part, _ := strings.Cut(flag.Lookup("test.run").Value.String(), "/")
		only := "^TestTrustAndBack$/" + part
		cmd := exec.Command(os.Args[0], "-test.run="+only, "-test.v", "-test.timeout=15m")
		cmd.SysProcAttr = &syscall.SysProcAttr{Cloneflags: syscall.CLONE_NEWNS, Pdeathsig: syscall.SIGKILL}
		cmd.Env = append(os.Environ(), inNamespace+"=1")
		out, err := cmd.CombinedOutput()
		t.Logf("in the namespace:\n%s", out)
		if err != nil {
			t.Fatal(err)
		}
		return
	}
	enterOverlay(t)
	for _, situation := range []situation{
		{name: "a fresh account", clients: []string{"Chromium", "Firefox", "curl", "Java"}},
		{name: "both NSS databases", stores: "nss,firefox", prepare: bothDatabases},
		{name: "a profile with a master password", stores: "nss,firefox", prepare: masterPassword,
			trusts: `firefox .*locked-up .*failed: .*protected by a password`},
		// Firefox copies what its policy file names into its profile, from where
		// only certutil takes it out.
		{name: "certutil is missing", prepare: hidden(certutil), untrusts: `firefox .*failed: .*certutil`, restore: shown(certutil)},
		{name: "killed between journal and change", stores: "nss,firefox", kill: killedBeforeTheFirst},
		{name: "killed after the change of the second store", stores: "nss,firefox", kill: killedAfterTheSecond},
	} {
		t.Run(situation.name, situation.run)
	}
}

// enterOverlay puts a writable overlay over every folder of the system that
// holds a store.
func enterOverlay(t *testing.T) {
	if err := syscall.Mount("", "/", "", syscall.MS_REC|syscall.MS_PRIVATE, ""); err != nil {
		t.Fatalf("making the mounts private: %v", err)
	}
	top := tempDir(t)
	if err := syscall.Mount("tmpfs", top, "tmpfs", 0, ""); err != nil {
		t.Fatalf("mounting a tmpfs: %v", err)
	}
	t.Cleanup(func() { _ = syscall.Unmount(top, syscall.MNT_DETACH) })
	for i, dir := range []string{"/etc", "/var", "/usr/local"} {
		upper, work := filepath.Join(top, fmt.Sprint("upper", i)), filepath.Join(top, fmt.Sprint("work", i))
		for _, d := range []string{upper, work} {
			if err := os.Mkdir(d, 0o755); err != nil {
				t.Fatal(err)
			}
		}
		if err := syscall.Mount("overlay", dir, "overlay", 0, "lowerdir="+dir+",upperdir="+upper+",workdir="+work); err != nil {
			t.Fatalf("mounting an overlay over %s: %v", dir, err)
		}
	}
	// What the tool itself would change the first time is not ours to restore.
	if out, err := exec.Command("update-ca-certificates").CombinedOutput(); err != nil {
		t.Fatalf("%v: %s", err, out)
	}
}

// situation is an account that trust meets.
type situation struct {
	name    string
	stores  string         // only these; empty for all
	clients []string       // who visits the server; nil for the browsers
	prepare func(*account) // makes the account what the name says
	kill    func(*account) // ends trust halfway

	trusts   string         // the line of a store that trust cannot change; empty for none
	untrusts string         // the same of untrust, after the browsers
	restore  func(*account) // makes untrust work again then
}

func (s situation) run(t *testing.T) {
	a := newAccount(t)
	a.everyStore, a.stores = true, s.stores
	server := a.serve(a.emptyFolder("pages"), "--port", "0") // makes the authority
	if s.prepare != nil {
		s.prepare(a)
	}
	if s.clients == nil {
		s.clients = []string{"Chromium", "Firefox"}
	}
	before := a.everything()
	if s.kill != nil {
		s.kill(a)
		a.untrustAll(before)
		s.kill(a) // and now with another trust before untrust
	}

	a.certs(s.trusts, "trust", "--yes")
	changed := difference(before, a.everything())
	delete(changed, a.journal())
	if len(changed) == 0 {
		t.Fatal("trust changed nothing that this test can see: it would see nothing of untrust either")
	}
	a.untrustAll(before)

	a.certs(s.trusts, "trust", "--yes")
	for _, name := range s.clients {
		if page, err := clients()[name](a, server.ready.URL); err != nil || !strings.Contains(page, "Video call") {
			t.Errorf("after trust, %s shows %.300q: %v", name, page, err)
		}
	}
	a.certs(s.untrusts, "untrust")
	if s.restore != nil {
		s.restore(a)
		a.certs("", "untrust")
	}
	for _, name := range s.clients {
		page, err := clients()[name](a, server.ready.URL)
		if said := fmt.Sprint(page, err); err == nil || !strings.Contains(said, refusals()[name]) {
			t.Errorf("after untrust, %s was to say %q, and says %.2000q", name, refusals()[name], said)
		}
	}
	a.checkClean(before)
}

// untrustAll takes everything back. Without a browser in between, that is to the
// byte, with no journal left.
func (a *account) untrustAll(before map[string]string) {
	a.t.Helper()
	a.certs("", "untrust")
	for path, change := range difference(before, a.everything()) {
		a.t.Errorf("untrust left %s changed: %.400s", path, change)
	}
}

// checkClean looks for what is left after the browsers have written into their
// folders: the machine is what it was, and no database holds a root of ours.
func (a *account) checkClean(before map[string]string) {
	a.t.Helper()
	for path := range difference(before, a.everything()) {
		if path == a.journal() || !strings.HasPrefix(path, a.home) {
			a.t.Errorf("after the browsers, untrust left %s changed", path)
		}
	}
	for _, db := range databases(a.home) {
		if list := a.output("certutil", "-L", "-d", "sql:"+db); strings.Contains(list, "rtcdev") {
			a.t.Errorf("%s still has\n%s", db, list)
		}
	}
}

// certs runs `rtcdev certs`, which ends with exit code 4 exactly when a store is
// expected to fail.
func (a *account) certs(fails string, args ...string) {
	a.t.Helper()
	cmd := a.command("rtcdev", append([]string{"certs"}, args...)...)
	out, err := cmd.CombinedOutput()
	a.t.Logf("rtcdev certs %s\n%s", strings.Join(args, " "), out)
	want := 0
	if fails != "" {
		want = exitTrust
	}
	if code := cmd.ProcessState.ExitCode(); code != want {
		a.t.Fatalf("it ended with %v, want exit code %d", err, want)
	}
	if !regexp.MustCompile(fails).Match(out) {
		a.t.Errorf("it does not say %s", fails)
	}
}

// clients load a page the way a person's program would, told nothing of the
// authority.
func clients() map[string]func(a *account, url string) (string, error) {
	return map[string]func(a *account, url string) (string, error){
		"Chromium": func(a *account, url string) (string, error) {
			p := a.startBrowser()
			defer p.close()
			if _, err := chromedp.Run(p.ctx, chromedp.Navigate(url)); err != nil {
				return "", err
			}
			return chromedp.Run(p.ctx, chromedp.Title())
		},
		"Firefox": func(a *account, url string) (string, error) {
			f := startFirefox(a.t, a.home, "", nil)
			defer f.close()
			if err := f.navigate(url); err != nil {
				return "", err
			}
			return f.evaluate("document.title")
		},
		"curl": func(a *account, url string) (string, error) {
			out, err := a.command("curl", "--silent", "--show-error", url).CombinedOutput()
			return string(out), err
		},
		"Java": func(a *account, url string) (string, error) {
			source := filepath.Join(a.tmp, "Load.java")
			code := `class Load { public static void main(String[] a) throws Exception {
			System.out.write(new java.net.URL(a[0]).openStream().readAllBytes()); System.out.flush(); } }`
			if err := os.WriteFile(source, []byte(code), 0o600); err != nil {
				return "", err
			}
			out, err := a.command("java", source, url).CombinedOutput()
			return string(out), err
		},
	}
}

// refusals are the clients' own words for an authority that they do not know.
func refusals() map[string]string {
	return map[string]string{
		"Chromium": "ERR_CERT_AUTHORITY_INVALID",
		"Firefox":  "SEC_ERROR_UNKNOWN_ISSUER",
		"curl":     "unable to get local issuer certificate",
		"Java":     "PKIX path building failed",
	}
}

// output runs another program and returns all that it says.
func (a *account) output(program string, args ...string) string {
	a.t.Helper()
	out, err := a.command(program, args...).CombinedOutput()
	if err != nil {
		a.t.Fatalf("%s %q: %v\n%s", program, args, err, out)
	}
	return string(out)
}

func (a *account) makeDatabase(dir string, args ...string) {
	a.t.Helper()
	if err := os.MkdirAll(dir, 0o700); err != nil {
		a.t.Fatal(err)
	}
	a.output("certutil", append([]string{"-N", "-d", "sql:" + dir}, args...)...)
}

// write writes a file that only its owner may read, and may run.
func (a *account) write(path, content string) {
	a.t.Helper()
	if err := errors.Join(os.MkdirAll(filepath.Dir(path), 0o700), os.WriteFile(path, []byte(content), 0o700)); err != nil {
		a.t.Fatal(err)
	}
}

func bothDatabases(a *account) {
	for _, dir := range []string{".pki/nssdb", ".local/share/pki/nssdb"} {
		a.makeDatabase(filepath.Join(a.home, dir), "--empty-password")
	}
}

// masterPassword lets Firefox make its profile, and adds another one that is
// protected.
func masterPassword(a *account) {
	startFirefox(a.t, a.home, "", nil).close()
	ini := a.output("find", a.home, "-name", "profiles.ini")
	ini = strings.TrimSpace(ini)
	profiles, err := os.ReadFile(ini)
	if err != nil {
		a.t.Fatal(err)
	}
	a.write(ini, string(profiles)+"\n[Profile7]\nName=other\nIsRelative=1\nPath=locked-up\n")
	password := filepath.Join(a.tmp, "password")
	a.write(password, "correct horse\n")
	a.makeDatabase(filepath.Join(filepath.Dir(ini), "locked-up"), "-f", password)
}

// hidden makes a program a file that cannot be run, until shown.
func hidden(program string) func(*account) {
	return func(a *account) {
		if err := syscall.Mount("/dev/null", program, "", syscall.MS_BIND, ""); err != nil {
			a.t.Fatal(err)
		}
		a.t.Cleanup(func() { _ = syscall.Unmount(program, 0) }) // fails when it has been shown
	}
}

func shown(program string) func(*account) {
	return func(a *account) {
		if err := syscall.Unmount(program, 0); err != nil {
			a.t.Fatal(err)
		}
	}
}

// killedBeforeTheFirst kills trust when it is about to change the first database,
// which is in the journal by then.
func killedBeforeTheFirst(a *account) {
	a.kill("kill -9 $PPID\n")
	if found := databases(a.home); len(found) > 0 {
		a.t.Fatalf("the first database has been made before the kill: %q", found)
	}
}

// killedAfterTheSecond kills trust when the root is in the databases of Chromium
// and of Firefox, before it could read the second one back.
func killedAfterTheSecond(a *account) {
	a.kill(fmt.Sprintf("%[1]q \"$@\" || exit\ncase \"$*\" in *-A*) case \"$*\" in */firefox/*) kill -9 $PPID ;; esac ;; esac\n",
		need(a.t, "certutil", "libnss3-tools")))
	found := databases(a.home)
	if len(found) != 2 {
		a.t.Fatalf("the databases are %q", found)
	}
	for _, db := range found {
		if list := a.output("certutil", "-L", "-d", "sql:"+db); !strings.Contains(list, "rtcdev") {
			a.t.Fatalf("the root is not in %s: %s", db, list)
		}
	}
}

// kill runs trust with a script in the place of certutil that kills it.
func (a *account) kill(script string) {
	a.t.Helper()
	fake := filepath.Join(a.tmp, "bin")
	a.write(filepath.Join(fake, "certutil"), "#!/bin/sh\n"+script)
	cmd := a.command("rtcdev", "certs", "trust", "--yes")
	cmd.Env = append(cmd.Env, "PATH="+fake+":"+os.Getenv("PATH"))
	out, err := cmd.CombinedOutput()
	status, _ := cmd.ProcessState.Sys().(syscall.WaitStatus)
	if _, missing := os.Stat(a.journal()); status.Signal() != syscall.SIGKILL || missing != nil {
		a.t.Fatalf("it should have been killed with its journal written (%v): %v\n%s", missing, err, out)
	}
}

// journal is the file in which trust keeps what it is about to change.
func (a *account) journal() string {
	return filepath.Join(a.home, ".local", "share", "rtcdev", "trust-journal.json")
}
