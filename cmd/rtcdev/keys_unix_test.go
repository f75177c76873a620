//go:build unix

package main

import (
	"bufio"
	"context"
	"errors"
	"io"
	"os"
	"os/exec"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/creack/pty"
	"go.uber.org/goleak"
)

// keysChild is in the environment of a process that is only to run keys.
const keysChild = "RTCDEV_TEST_KEYS_CHILD"

// TestKeysChild is that process: it tells file 4 what happens to it.
func TestKeysChild(t *testing.T) {
	if os.Getenv(keysChild) == "" {
		return
	}
	report := os.NewFile(4, "report")
	ctx, quit := context.WithCancel(t.Context())
	keys{
		in:  &watched{os.Stdin, report},
		out: os.Stderr,
		list: []key{{'q', "quit", func() {
			io.WriteString(report, "q\n")
			quit()
		}}},
	}.run(ctx)
}

// watched reports that a read was refused because of the background.
type watched struct {
	*os.File
	report io.Writer
}

func (w *watched) Read(b []byte) (int, error) {
	n, err := w.File.Read(b)
	if errors.Is(err, syscall.EIO) {
		io.WriteString(w.report, "background\n")
	}
	return n, err
}

// A server in the background is not stopped by its keys; back in the foreground
// they work, and so does Ctrl-C.
func TestKeysInBackground(t *testing.T) {
	for _, c := range []struct {
		typed, report string
		code          int
	}{
		{"q\r", "q\n", 0},
		{"\x03", "", 128 + int(syscall.SIGINT)},
	} {
		// What the shell is told on file 3 is when to bring the job back.
		shell := exec.Command("sh", "-c", `set -m; trap : INT; "$0" -test.run='^TestKeysChild$' & read go <&3; fg %1; exit $?`, os.Args[0])
		shell.Env = append(os.Environ(), keysChild+"=1")
		order, tell := pipe(t)
		hear, report := pipe(t)
		shell.ExtraFiles = []*os.File{order, report}
		keyboard, err := pty.Start(shell)
		if err != nil {
			t.Fatal(err)
		}
		order.Close()
		report.Close()
		deadline := time.AfterFunc(patience, func() { shell.Process.Kill() }) // its jobs get SIGHUP
		screen := bufio.NewReader(keyboard)
		events := bufio.NewReader(hear)

		if event, err := events.ReadString('\n'); event != "background\n" {
			t.Fatalf("in the background it reports %q, %v", event, err)
		}
		if _, err := io.WriteString(tell, "go\n"); err != nil {
			t.Fatal(err)
		}
		if _, err := io.WriteString(keyboard, "x\r"); err != nil {
			t.Fatal(err)
		}
		for line := ""; !strings.HasPrefix(line, "The keys are q, "); { // it reads again
			if line, err = screen.ReadString('\n'); err != nil {
				t.Fatal(err)
			}
		}
		if _, err := io.WriteString(keyboard, c.typed); err != nil {
			t.Fatal(err)
		}
		rest, err := io.ReadAll(events)
		got := strings.ReplaceAll(string(rest), "background\n", "")
		if got != c.report || err != nil {
			t.Errorf("after %q it reports %q, %v; want %q", c.typed, got, err, c.report)
		}
		go io.Copy(io.Discard, screen) // until the pty is closed
		var exit *exec.ExitError
		if err := shell.Wait(); err != nil && !errors.As(err, &exit) || shell.ProcessState.ExitCode() != c.code {
			t.Errorf("after %q the shell ends with %v, want exit code %d", c.typed, err, c.code)
		}
		if !deadline.Stop() {
			t.Error("it had to be killed")
		}
		keyboard.Close()
	}
}

func pipe(t *testing.T) (r, w *os.File) {
	t.Helper()
	r, w, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		r.Close()
		w.Close()
	})
	return r, w
}

// The keys are there at a terminal, and only there.
func TestListen(t *testing.T) {
	defer goleak.VerifyNone(t, goleak.IgnoreCurrent())
	keyboard, terminal, err := pty.Open()
	if err != nil {
		t.Fatal(err)
	}
	closed, err := os.Open(os.DevNull)
	if err != nil {
		t.Fatal(err)
	}
	defer closed.Close()
	pressed := make(chan string, 1)
	for name, a := range map[string]*app{
		"no keyboard": {in: closed, err: terminal},
		"no screen":   {in: terminal, err: closed},
		"--json":      {in: terminal, err: terminal, json: true},
	} {
		a.listen(t.Context(), key{'o', "open", func() { pressed <- name }})
	}
	a := &app{in: terminal, err: terminal}
	ctx, stop := context.WithCancel(t.Context())
	a.listen(ctx, key{'o', "open", func() { pressed <- "terminal" }})
	if _, err := io.WriteString(keyboard, "o\r"); err != nil {
		t.Fatal(err)
	}
	select {
	case where := <-pressed:
		if where != "terminal" {
			t.Errorf("with %s there are keys", where)
		}
	case <-time.After(patience):
		t.Error("no key works at a terminal")
	}
	stop()
	terminal.Close()
	keyboard.Close()
}
