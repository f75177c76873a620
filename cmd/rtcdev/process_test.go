package main

import (
	"bufio"
	"bytes"
	"encoding/json"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"
)

// patience is how long a test waits for something that must happen. It is
// generous: CI machines are small and shared.
const patience = 60 * time.Second

// stopLimit is what stopping may take on a machine busy with other things. The
// promise is 2 s; waiting without end for a peer would take far longer than this.
const stopLimit = 5 * time.Second

// account is a person's fresh home folder, and the environment that goes with
// it. Nothing in it has been used before.
type account struct {
	t    *testing.T
	home string
	tmp  string // what a killed browser leaves behind goes away with it

	everyStore bool   // the system's too: for a test in a namespace of its own
	stores     string // of these, only those; empty for all

	settings []string // further ones of the environment, NAME=VALUE

	namespace string // of the network that its programs run in; empty for the machine's
}

func newAccount(t *testing.T) *account {
	t.Helper()
	return &account{t: t, home: t.TempDir(), tmp: tempDir(t)}
}

// tempDir is for sockets, whose paths may have 107 bytes at most (unix(7)), and
// for other users: t.TempDir is too long, and closed to them.
func tempDir(t *testing.T) string {
	t.Helper()
	dir, err := os.MkdirTemp("", "rtcdev-")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { os.RemoveAll(dir) })
	return dir
}

func (a *account) env() []string {
	env := []string{"HOME=" + a.home, "TMPDIR=" + a.tmp, "PATH=" + os.Getenv("PATH"), "LANG=C.UTF-8"}
	if os.Geteuid() == 0 && !a.everyStore { // the system's store belongs to the machine that runs the tests
		env = append(env, "RTCDEV_STORES=nss")
	}
	if a.stores != "" {
		env = append(env, "RTCDEV_STORES="+a.stores)
	}
	if dir := os.Getenv("GOCOVERDIR"); dir != "" {
		env = append(env, "GOCOVERDIR="+dir)
	}
	return append(env, a.settings...)
}

func (a *account) command(program string, args ...string) *exec.Cmd {
	if a.namespace != "" { // ip becomes the program: they are one process
		program, args = "ip", append([]string{"netns", "exec", a.namespace, program}, args...)
	}
	cmd := exec.Command(program, args...)
	cmd.Env = a.env()
	cmd.Dir = a.home
	return cmd
}

// run runs rtcdev in dir to its end and returns its stdout.
func (a *account) run(dir string, args ...string) string {
	a.t.Helper()
	cmd := a.command("rtcdev", args...)
	cmd.Dir = dir
	var stderr bytes.Buffer
	cmd.Stderr = &stderr
	out, err := cmd.Output()
	if err != nil {
		a.t.Fatalf("rtcdev %s: %v\n%s%s", strings.Join(args, " "), err, out, &stderr)
	}
	return string(out)
}

// trust makes the account's browsers trust its authority.
func (a *account) trust() {
	a.t.Helper()
	need(a.t, "certutil", "libnss3-tools")
	a.run(a.home, "certs", "trust", "--yes")
}

// server is a running `rtcdev serve --json`.
type server struct {
	t     *testing.T
	cmd   *exec.Cmd
	ready struct {
		URL, Room string
		Port      int
		BuiltIn   bool
		Networks  []struct{ URL, SetUp string }
	}
	events chan map[string]any
	log    syncBuffer
	ended  chan struct{}
}

// syncBuffer can be read while a process still writes to it.
type syncBuffer struct {
	mu sync.Mutex
	b  bytes.Buffer
}

func (s *syncBuffer) Write(p []byte) (int, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.b.Write(p)
}

func (s *syncBuffer) String() string {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.b.String()
}

// serve starts the server in dir and waits until it is ready.
func (a *account) serve(dir string, args ...string) *server {
	a.t.Helper()
	s := &server{t: a.t, events: make(chan map[string]any, 1000), ended: make(chan struct{})}
	s.cmd = a.command("rtcdev", append([]string{"serve", "--json", "--trust=no"}, args...)...)
	s.cmd.Dir = dir
	s.cmd.Stderr = &s.log
	stdout, err := s.cmd.StdoutPipe()
	if err != nil {
		a.t.Fatal(err)
	}
	if err := s.cmd.Start(); err != nil {
		a.t.Fatal(err)
	}
	go s.read(bufio.NewScanner(stdout))
	a.t.Cleanup(func() { s.kill() })
	b, err := json.Marshal(s.event("ready"))
	if err == nil {
		err = json.Unmarshal(b, &s.ready)
	}
	if err != nil {
		a.t.Fatal(err)
	}
	return s
}

func (s *server) read(lines *bufio.Scanner) {
	defer close(s.ended)
	defer close(s.events)
	for lines.Scan() {
		var e map[string]any
		if err := json.Unmarshal(lines.Bytes(), &e); err != nil {
			e = map[string]any{"event": "not JSON: " + lines.Text()}
		}
		s.events <- e
	}
}

// event waits for the next event of a kind and drops those before it.
func (s *server) event(kind string) map[string]any {
	s.t.Helper()
	deadline := time.After(patience)
	for {
		select {
		case e, ok := <-s.events:
			if !ok {
				s.t.Fatalf("the server ended before the event %q\n%s", kind, &s.log)
			}
			if e["event"] == kind {
				return e
			}
		case <-deadline:
			s.t.Fatalf("no event %q\n%s", kind, &s.log)
		}
	}
}

// kill ends the server as a crash would.
func (s *server) kill() {
	_ = s.cmd.Process.Kill() // an error means that it has ended already
	<-s.ended
	_ = s.cmd.Wait()
}

// interrupt is Ctrl-C. It returns how long the server took to end well.
func (s *server) interrupt() time.Duration {
	s.t.Helper()
	begin := time.Now()
	if err := s.cmd.Process.Signal(syscall.SIGINT); err != nil {
		s.t.Fatal(err)
	}
	select {
	case <-s.ended:
	case <-time.After(patience):
		s.t.Fatal("the server does not end")
	}
	if err := s.cmd.Wait(); err != nil {
		s.t.Errorf("the server ended with %v\n%s", err, &s.log)
	}
	return time.Since(begin)
}

// eventually waits until check returns nil.
func eventually(t *testing.T, what string, check func() error) {
	t.Helper()
	deadline := time.Now().Add(patience)
	for {
		err := check()
		if err == nil {
			return
		}
		if time.Now().After(deadline) {
			t.Fatalf("%s: %v", what, err)
		}
		time.Sleep(50 * time.Millisecond) // between two looks at another process
	}
}

// emptyFolder makes a folder in the account's home.
func (a *account) emptyFolder(name string) string {
	a.t.Helper()
	dir := filepath.Join(a.home, name)
	if err := os.Mkdir(dir, 0o755); err != nil {
		a.t.Fatal(err)
	}
	return dir
}

func port(n int) string { return fmt.Sprint(n) }

// screenError is what a program shows instead of what was waited for.
type screenError struct{ text string }

func (e *screenError) Error() string { return "it shows:\n" + e.text }
