//go:build linux

package main

import (
	"bytes"
	"encoding/json"
	"errors"
	"io"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"syscall"
	"testing"

	"github.com/creack/pty"
)

// nobody is the unprivileged account of every Linux.
const nobody = 65534

// newPerson is an account without root's rights, so that `certs trust` and
// `serve` touch its own stores only, never those of the machine that runs the
// tests.
func newPerson(t *testing.T) (a *account, program string) {
	t.Helper()
	home := tempDir(t)
	installed, err := exec.LookPath("rtcdev")
	if err != nil {
		t.Fatal(err)
	}
	binary, err := os.ReadFile(installed)
	if err != nil {
		t.Fatal(err)
	}
	program = filepath.Join(home, "rtcdev")
	if err := os.WriteFile(program, binary, 0o755); err != nil {
		t.Fatal(err)
	}
	if os.Geteuid() == 0 {
		if err := os.Chown(home, nobody, nobody); err != nil {
			t.Fatal(err)
		}
	}
	return &account{t: t, home: home, tmp: home}, program
}

// asNobody drops root's rights for cmd.
func asNobody(cmd *exec.Cmd) {
	if os.Geteuid() == 0 {
		cmd.SysProcAttr = &syscall.SysProcAttr{Credential: &syscall.Credential{Uid: nobody, Gid: nobody}}
	}
}

// terminal is a program that runs on a terminal of its own.
type terminal struct {
	t      *testing.T
	cmd    *exec.Cmd
	tty    *os.File
	screen syncBuffer
	ended  chan error
}

func (a *account) onTerminal(program string, args ...string) *terminal {
	a.t.Helper()
	cmd := a.command(program, args...)
	cmd.Env = append(cmd.Env, "TERM=xterm")
	asNobody(cmd)
	return a.startOnTerminal(cmd, nil)
}

// startOnTerminal starts cmd on a terminal of the size, or of none that it tells.
func (a *account) startOnTerminal(cmd *exec.Cmd, size *pty.Winsize) *terminal {
	a.t.Helper()
	term := &terminal{t: a.t, cmd: cmd, ended: make(chan error, 1)}
	tty, err := pty.StartWithSize(cmd, size)
	if err != nil {
		a.t.Fatal(err)
	}
	term.tty = tty
	copied := make(chan struct{})
	go func() {
		defer close(copied)
		_, _ = io.Copy(&term.screen, tty) // ends with an error when the program does
	}()
	go func() {
		err := term.cmd.Wait()
		<-copied
		term.ended <- err
	}()
	a.t.Cleanup(func() {
		_ = term.cmd.Process.Kill() // an error means that it has ended
		tty.Close()
	})
	return term
}

// see waits until the screen shows the pattern and returns its first group.
func (term *terminal) see(pattern string) string {
	term.t.Helper()
	re := regexp.MustCompile(pattern)
	var found []string
	eventually(term.t, "the screen shows "+pattern, func() error {
		if found = re.FindStringSubmatch(term.screen.String()); found == nil {
			return &screenError{term.screen.String()}
		}
		return nil
	})
	return found[len(found)-1]
}

func (term *terminal) typeKeys(keys string) {
	term.t.Helper()
	if _, err := term.tty.WriteString(keys); err != nil {
		term.t.Fatal(err)
	}
}

// On a fresh account: one command, one "y", no warning page.
func TestFirstServeOnATerminal(t *testing.T) {
	need(t, "certutil", "libnss3-tools")
	a, program := newPerson(t)

	refused := a.onTerminal(program, "serve", "--port", "0")
	refused.see(`Trust it on this machine\? \[y/N\] $`)
	refused.typeKeys("\r") // Enter alone is no yes
	refused.see("will show a warning page")
	refused.see(`rtcdev certs trust`)
	refused.typeKeys("\x03")
	if err := <-refused.ended; err != nil {
		t.Errorf("after Ctrl-C: %v\n%s", err, &refused.screen)
	}
	if entries, err := filepath.Glob(filepath.Join(a.home, ".pki", "*")); err != nil || entries != nil {
		t.Errorf("without a y there is %v, %v", entries, err)
	}

	term := a.onTerminal(program, "serve", "--port", "0")
	term.see(`([0-9A-F]{2}:){31}`)
	term.see(`Trust it on this machine\? \[y/N\] $`)
	term.typeKeys("y\r")
	term.see("browsers on this machine trust it")
	room := term.see(`(https://localhost:\d+/\?room=lobby)`)
	p := a.open(room)
	p.wait(`document.querySelector("#localVideo").videoWidth > 0`)
	p.wantQuietConsole()
	term.see(`joined room "lobby" from (127\.0\.0\.1|::1) \(1 of 2\)`)
	term.typeKeys("\x03")
	if err := <-term.ended; err != nil {
		t.Errorf("after Ctrl-C: %v\n%s", err, &term.screen)
	}
	term.see("Stopping")

	again := a.onTerminal(program, "serve", "--port", "0")
	again.see("browsers on this machine trust it")
	if strings.Contains(again.screen.String(), "[y/N]") {
		t.Error("it asks again")
	}
	again.typeKeys("\x03")
	<-again.ended

	undo := a.command(program, "certs", "untrust")
	asNobody(undo)
	if out, err := undo.CombinedOutput(); err != nil {
		t.Errorf("untrust: %v\n%s", err, out)
	}
	checkUntrusted(t, a, program)
}

func checkUntrusted(t *testing.T, a *account, program string) {
	t.Helper()
	status := a.command(program, "certs", "status", "--json")
	asNobody(status)
	out, err := status.Output()
	if err != nil || !strings.Contains(string(out), `"trusted":false`) {
		t.Errorf("after untrust: %s, %v", out, err)
	}
}

// Without a terminal serve neither asks nor touches anything; --trust=yes has
// answered beforehand.
func TestServeTrustsOnlyWhenTold(t *testing.T) {
	need(t, "certutil", "libnss3-tools")
	a, program := newPerson(t)
	for _, told := range []bool{false, true} {
		args := []string{"serve", "--json", "--port", "0"}
		if told {
			args = append(args, "--trust=yes")
		}
		cmd := a.command(program, args...)
		asNobody(cmd)
		stdout, err := cmd.StdoutPipe()
		if err != nil {
			t.Fatal(err)
		}
		if err := cmd.Start(); err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { _ = cmd.Process.Kill() }) // an error means that it has ended
		events := json.NewDecoder(stdout)
		var e struct {
			Event   string
			Trusted bool
		}
		for e.Event != "trust" {
			if err := events.Decode(&e); err != nil {
				t.Fatal(err)
			}
		}
		_, missing := os.Stat(filepath.Join(a.home, ".pki"))
		if e.Trusted != told || (missing == nil) != told {
			t.Errorf("--trust=yes %v: trusted %v, database %v", told, e.Trusted, missing)
		}
		if err := errors.Join(cmd.Process.Signal(os.Interrupt), cmd.Wait()); err != nil {
			t.Error(err)
		}
	}
}

// Without root's rights trust touches the person's own stores, and says of the
// others who may; untrust leaves nothing behind.
func TestTrustAsAPerson(t *testing.T) {
	need(t, "certutil", "libnss3-tools")
	need(t, "firefox-esr", "firefox-esr")
	need(t, "keytool", "default-jdk-headless")
	a, program := newPerson(t)
	certs := func(code int, args ...string) string {
		t.Helper()
		cmd := a.command(program, append([]string{"certs"}, args...)...)
		cmd.Env = slices.DeleteFunc(cmd.Env, func(v string) bool { return strings.HasPrefix(v, "RTCDEV_STORES=") })
		asNobody(cmd)
		out, err := cmd.CombinedOutput()
		if cmd.ProcessState.ExitCode() != code {
			t.Errorf("certs %q: %v, want exit code %d\n%s", args, err, code, out)
		}
		return string(out)
	}
	system, err := os.ReadFile("/etc/ssl/certs/ca-certificates.crt")
	if err != nil {
		t.Skip("only Debian's system store is looked at here")
	}
	before := files(t, a.home)
	said := certs(0, "trust", "--yes")
	for _, line := range []string{
		`(?m)^system .*only root may change it$`,
		`(?m)^nss ~/\.pki/nssdb .* trusted now$`,
		`(?m)^firefox ~/\.config/mozilla/firefox/\S+ .* trusted now$`,
		`(?m)^java /\S+ .*only root may change it$`,
		`sudo RTCDEV_HOME=.* certs trust --stores (\w+,)*system\b`,
		`sudo RTCDEV_HOME=.* certs trust --stores (\w+,)*java\b`,
	} {
		if !regexp.MustCompile(line).MatchString(said) {
			t.Errorf("it does not say %s:\n%s", line, said)
		}
	}
	for _, db := range []string{".pki/nssdb", ".config/mozilla/firefox/*"} {
		made, err := filepath.Glob(filepath.Join(a.home, db, "cert9.db"))
		if err != nil || len(made) != 1 || !strings.Contains(a.output("certutil", "-L", "-d", "sql:"+filepath.Dir(made[0])), "rtcdev") {
			t.Errorf("the root is not in %s: %q, %v", db, made, err)
		}
	}
	if said := certs(exitTrust, "trust", "--yes", "--stores", "system"); !strings.Contains(said, "only root may change it") {
		t.Errorf("asked for the system's store it says\n%s", said)
	}
	if now, err := os.ReadFile("/etc/ssl/certs/ca-certificates.crt"); err != nil || !bytes.Equal(now, system) {
		t.Errorf("the system's bundle is another one: %v", err)
	}
	certs(0, "untrust")
	left := slices.DeleteFunc(files(t, a.home), func(path string) bool {
		return slices.Contains(before, path) || strings.HasPrefix(path, ".local")
	})
	if len(left) > 0 {
		t.Errorf("untrust left %q", left)
	}
	if journal, err := filepath.Glob(filepath.Join(a.home, ".local/share/rtcdev/*journal*")); err != nil || journal != nil {
		t.Errorf("untrust left the journal: %v, %v", journal, err)
	}
}

// files lists what is below a folder.
func files(t *testing.T, dir string) []string {
	t.Helper()
	var found []string
	err := filepath.WalkDir(dir, func(path string, _ fs.DirEntry, err error) error {
		if rel, relErr := filepath.Rel(dir, path); relErr == nil && path != dir {
			found = append(found, rel)
		}
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	return found
}

// The key i goes through the networks that have names.
func TestImpairKey(t *testing.T) {
	a, program := newPerson(t)
	term := a.onTerminal(program, "serve", "--port", "0", "--trust=no")
	term.see(`(https://localhost:\d+/\?room=lobby)`)
	for _, shows := range []string{
		`all calls: 3g \(loss=1%,delay=100ms,jitter=20ms,rate=1600kbps\)\s+Reload the pages that are open`,
		`all calls: lift \(loss=35%`, `all calls: satellite \(loss=0.5%,delay=280ms`, `all calls: wifi-busy \(loss=3%`, `all calls: a good network`,
	} {
		term.typeKeys("i\r")
		term.see(shows)
	}
	term.typeKeys("\x03")
	if err := <-term.ended; err != nil {
		t.Errorf("after Ctrl-C: %v\n%s", err, &term.screen)
	}
	if n := strings.Count(term.screen.String(), "Reload the pages"); n != 1 {
		t.Errorf("it says %d times that pages have to be loaded again:\n%s", n, &term.screen)
	}
}
