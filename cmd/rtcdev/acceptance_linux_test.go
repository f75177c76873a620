package main

import (
	"crypto/sha256"
	"errors"
	"fmt"
	"io/fs"
	"maps"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
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
	for _, tool := range [][2]string{
		{"certutil", "libnss3-tools"}, {"chromium", "chromium"}, {"firefox-esr", "firefox-esr"}, {"curl", "curl"},
		{"java", "default-jdk-headless"}, {"keytool", "default-jdk-headless"}, {"update-ca-certificates", "ca-certificates"},
	} {
		need(t, tool[0], tool[1])
	}
	if os.Getenv(inNamespace) == "" {
		cmd := exec.Command(os.Args[0], "-test.run=^TestTrustAndBack$", "-test.v", "-test.timeout=15m")
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
		{name: "a fresh account"},
		{name: "both NSS databases", prepare: bothDatabases},
		{name: "a profile with a master password", prepare: masterPassword, fails: "firefox .*locked-up.*password"},
		{name: "certutil is missing", prepare: hideCertutil},
		{name: "killed between journal and change", begin: killedHalfway},
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
	prepare func(*account) // makes the account what the name says
	begin   func(*account) // is undone by untrust, too
	fails   string         // which store trust fails to change, as a pattern of its line; empty for none
}

func (s situation) run(t *testing.T) {
	a := newAccount(t)
	a.everyStore = true
	server := a.serve(a.emptyFolder("pages"), "--port", "0") // makes the authority
	if s.prepare != nil {
		s.prepare(a)
	}
	before := a.everything()
	if s.begin != nil {
		s.begin(a)
	}

	// Without a browser in between, everything is what it was, to the byte.
	a.trustEverywhere(s.fails)
	if changed := difference(before, a.everything()); len(changed) == 0 {
		t.Fatal("trust changed nothing that this test can see: it would see nothing of untrust either")
	}
	a.run(a.home, "certs", "untrust")
	if changed := difference(before, a.everything()); len(changed) > 0 {
		t.Errorf("untrust left these changed: %q", changed)
	}

	a.trustEverywhere(s.fails)
	for client, load := range clients {
		if page, err := load(a, server.ready.URL); err != nil || !strings.Contains(page, "rtcdev") {
			t.Errorf("after trust, %s shows %q: %v", client, page, err)
		}
	}
	a.run(a.home, "certs", "untrust")
	for client, load := range clients {
		if page, err := load(a, server.ready.URL); err == nil {
			t.Errorf("after untrust, %s shows %q", client, page)
		}
	}
	// The browsers have written into their folders; the machine is what it was.
	after := a.everything()
	for path := range difference(before, after) {
		if !strings.HasPrefix(path, a.home) {
			t.Errorf("after the browsers, untrust left %s changed", path)
		}
	}
	for db := range databases(a.home) {
		if list := a.output("certutil", "-L", "-d", "sql:"+db); strings.Contains(list, "rtcdev") {
			t.Errorf("%s still has\n%s", db, list)
		}
	}
}

// trustEverywhere runs `certs trust`, which fails with exit code 4 exactly when a
// store is expected to.
func (a *account) trustEverywhere(fails string) {
	a.t.Helper()
	cmd := a.command("rtcdev", "certs", "trust", "--yes")
	out, err := cmd.CombinedOutput()
	a.t.Logf("rtcdev certs trust\n%s", out)
	if code := cmd.ProcessState.ExitCode(); fails == "" && code != 0 || fails != "" && code != exitTrust {
		a.t.Fatalf("trust ended with %v", err)
	}
	if fails != "" {
		if !regexp.MustCompile(fails).Match(out) {
			a.t.Errorf("it does not say %s", fails)
		}
	}
}

// clients load a page the way a person's program would, told nothing of the
// authority.
var clients = map[string]func(a *account, url string) (string, error){
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

// masterPassword makes two profiles of Firefox, of which the one that it takes
// by itself is open, and the other is protected.
func masterPassword(a *account) {
	firefox := filepath.Join(a.home, ".config", "mozilla", "firefox")
	a.makeDatabase(filepath.Join(firefox, "open.default"), "--empty-password")
	password := filepath.Join(a.tmp, "password")
	a.write(password, "correct horse\n")
	a.makeDatabase(filepath.Join(firefox, "locked-up.other"), "-f", password)
	a.write(filepath.Join(firefox, "profiles.ini"), "[Profile1]\nName=other\nIsRelative=1\nPath=locked-up.other\n\n"+
		"[Profile0]\nName=default\nIsRelative=1\nPath=open.default\nDefault=1\n\n[General]\nStartWithLastProfile=1\nVersion=2\n")
}

// hideCertutil takes certutil off PATH for the rest of the test.
func hideCertutil(a *account) {
	program := need(a.t, "certutil", "libnss3-tools")
	if err := syscall.Mount("/dev/null", program, "", syscall.MS_BIND, ""); err != nil {
		a.t.Fatal(err)
	}
	a.t.Cleanup(func() { _ = syscall.Unmount(program, 0) })
}

// killedHalfway kills trust when it is about to change the first database, which
// is in the journal by then.
func killedHalfway(a *account) {
	fake := filepath.Join(a.tmp, "bin")
	a.write(filepath.Join(fake, "certutil"), "#!/bin/sh\nkill -9 $PPID\n")
	cmd := a.command("rtcdev", "certs", "trust", "--yes", "--stores", "nss")
	cmd.Env = append(cmd.Env, "PATH="+fake+":"+os.Getenv("PATH"))
	out, err := cmd.CombinedOutput()
	journal := filepath.Join(a.home, ".local", "share", "rtcdev", "trust-journal.json")
	if _, missing := os.Stat(journal); err == nil || missing != nil {
		a.t.Fatalf("it should have been killed with its journal written (%v): %v\n%s", missing, err, out)
	}
}

// everything is a fingerprint of every file of the account and of the system's
// stores, by path. A Java keystore is never written twice alike: its entries
// count.
func (a *account) everything() map[string]string {
	a.t.Helper()
	found := make(map[string]string)
	journal := filepath.Join(a.home, ".local", "share", "rtcdev", "trust-journal.json")
	for _, dir := range []string{a.home, "/etc/ssl", "/etc/ca-certificates", "/etc/ca-certificates.conf", "/usr/local/share",
		"/etc/chromium", "/etc/opt", "/etc/firefox", "/etc/firefox-esr"} {
		err := filepath.WalkDir(dir, func(path string, d fs.DirEntry, err error) error {
			if err != nil || path == journal {
				return nil // a folder that does not exist
			}
			found[path] = a.fingerprint(path, d)
			return nil
		})
		if err != nil {
			a.t.Fatal(err)
		}
	}
	return found
}

func (a *account) fingerprint(path string, d fs.DirEntry) string {
	switch {
	case d.IsDir():
		return "folder"
	case d.Type()&fs.ModeSymlink != 0:
		target, _ := os.Readlink(path)
		return "link to " + target
	case path == "/etc/ssl/certs/java/cacerts":
		return a.output("keytool", "-list", "-keystore", path, "-storepass", "changeit")
	case !d.Type().IsRegular():
		return d.Type().String()
	}
	data, err := os.ReadFile(path)
	if err != nil {
		a.t.Fatal(err)
	}
	return fmt.Sprintf("%x", sha256.Sum256(data))
}

// difference is what is in one and not in the other, or not the same.
func difference(before, after map[string]string) map[string]string {
	changed := make(map[string]string)
	for _, path := range slices.Concat(slices.Collect(maps.Keys(before)), slices.Collect(maps.Keys(after))) {
		if before[path] != after[path] {
			changed[path] = before[path] + " -> " + after[path]
		}
	}
	return changed
}

// databases are the NSS databases below a home folder.
func databases(home string) map[string]bool {
	found := make(map[string]bool)
	_ = filepath.WalkDir(home, func(path string, d fs.DirEntry, err error) error {
		if err == nil && d.Name() == "cert9.db" {
			found[filepath.Dir(path)] = true
		}
		return nil
	})
	return found
}
