//go:build unix

package portmux

import (
	"context"
	"crypto/tls"
	"os"
	"os/exec"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"
)

// browser runs a browser with an empty home until it has ended or stop is closed, and
// returns what it printed.
func browser(t *testing.T, stop <-chan struct{}, name string, args ...string) string {
	t.Helper()
	needTool(t, name)
	home := t.TempDir()
	// Chromium keeps a socket there, whose path may have 107 bytes (unix(7)): a test's own
	// folder has a long name.
	short, err := os.MkdirTemp("", "b")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { os.RemoveAll(short) })
	for i, arg := range args {
		args[i] = strings.Replace(arg, "HOME", home, 1)
	}
	ctx, cancel := context.WithTimeout(t.Context(), 2*time.Minute)
	defer cancel()
	cmd := exec.CommandContext(ctx, name, args...)
	cmd.Dir = home
	cmd.Env = []string{"HOME=" + home, "TMPDIR=" + short, "PATH=" + os.Getenv("PATH"), "LANG=C.UTF-8"}
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true} // with its other processes
	cmd.Cancel = func() error { return syscall.Kill(-cmd.Process.Pid, syscall.SIGKILL) }
	cmd.WaitDelay = 5 * time.Second
	var out strings.Builder
	cmd.Stdout, cmd.Stderr = &out, &out
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		_ = cmd.Wait() // what it printed or did tells
	}()
	select {
	case <-stop:
		cancel()
	case <-ended:
	}
	<-ended
	_ = syscall.Kill(-cmd.Process.Pid, syscall.SIGKILL) // what outlives it, of its group
	return out.String()
}

// Browsers tell that they do not trust the root, each in its own words.
func TestBrowsersRefuse(t *testing.T) {
	for name, c := range map[string]struct {
		alert tls.AlertError
		args  []string
	}{
		"chromium":    {CertificateUnknown, []string{"--no-sandbox", "--headless", "--disable-gpu", "--no-first-run", "--user-data-dir=HOME/profile", "--dump-dom"}},
		"firefox-esr": {UnknownCA, []string{"--headless", "--no-remote", "--profile", "HOME", "--screenshot", "HOME/page.png"}},
	} {
		t.Run(name, func(t *testing.T) {
			p := open(t, nil).everything(nil)
			_, port, _ := strings.Cut(p.addr, ":")
			r, said := refusalOf(t, p, name, append(c.args, "https://localhost:"+port+"/"))
			switch {
			case r == nil:
				t.Errorf("it ended, and no refusal is told\n%s", said)
			case r.Reason != CertificateRefused || r.Alert != c.alert || r.ServerName != "localhost":
				t.Errorf("told: %+v", *r)
			}
		})
	}
}

// refusalOf runs a browser until a refusal is told, or it has ended and none is: then it
// returns what the browser said.
func refusalOf(t *testing.T, p *port, name string, args []string) (*Refusal, string) {
	t.Helper()
	told := make(chan Refusal, 1)
	stop, ended := make(chan struct{}), make(chan struct{})
	go func() {
		defer close(stop)
		select {
		case r := <-p.refusals:
			told <- r
		case <-ended:
		}
	}()
	said := browser(t, stop, name, slices.Clone(args)...)
	late := time.AfterFunc(5*time.Second, func() { close(ended) }) // it may be told a moment later
	<-stop
	late.Stop()
	select {
	case r := <-told:
		return &r, said
	default:
		return nil, said
	}
}

// Chromium's plain requests, and the connections it opens on suspicion, end well.
func TestChromiumPlain(t *testing.T) {
	p := open(t, nil).everything(nil)
	got := browser(t, nil, "chromium", "--no-sandbox", "--headless", "--disable-gpu", "--no-first-run",
		"--user-data-dir=HOME/profile", "--dump-dom", "http://"+p.addr+"/")
	wantIn(t, got, "plain true")
	wantNoRefusal(t, p)
}
