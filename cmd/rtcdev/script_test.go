package main

import (
	"bufio"
	"bytes"
	"encoding/json"
	"errors"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/rogpeppe/go-internal/testscript"
)

// The scripts in testdata run the real program in a home folder of their own,
// with four commands beside testscript's:
//
//	exits CODE …    runs a program that has to fail with this exit code
//	start [flags]   runs rtcdev serve --json --port 0 with the flags until the
//	                script ends it or itself, and sets $URL and $PORT
//	end SIGNAL      sends INT or TERM, wants a good end soon, and
//	                copies what it had printed to the files serve.out, serve.err
//	occupy          listens on a port of loopback, and sets $PORT
func TestScripts(t *testing.T) {
	for program, debianPackage := range map[string]string{"openssl": "openssl", "curl": "curl", "certutil": "libnss3-tools"} {
		need(t, program, debianPackage)
	}
	testscript.Run(t, testscript.Params{
		Dir: "testdata",
		Setup: func(env *testscript.Env) error {
			home := filepath.Join(env.WorkDir, "home")
			env.Setenv("HOME", home)
			env.Setenv("RTCDEV_HOME", filepath.Join(env.WorkDir, "state"))
			env.Setenv("CA", filepath.Join(env.WorkDir, "state", "authority"))
			env.Setenv("PID", strconv.Itoa(os.Getpid()))
			env.Setenv("RTCDEV_STORES", "nss") // as root, the system's store would be the machine's
			program, err := exec.LookPath("rtcdev")
			if err != nil {
				return err
			}
			env.Setenv("PROGRAM", program)
			env.Values[scriptServer{}] = new(scriptServer)
			return os.MkdirAll(home, 0o755)
		},
		Condition: func(cond string) (bool, error) { return cond == "root" && os.Geteuid() == 0, nil },
		Cmds: map[string]func(*testscript.TestScript, bool, []string){
			"exits":  exits,
			"start":  startServer,
			"end":    endServer,
			"occupy": occupy,
		},
	})
}

// scriptServer is the server that a script has started.
type scriptServer struct {
	cmd      *exec.Cmd
	out, err *bytes.Buffer // complete once ended is closed
	ended    chan struct{}
}

func startServer(ts *testscript.TestScript, _ bool, args []string) {
	s := ts.Value(scriptServer{}).(*scriptServer)
	*s = scriptServer{out: new(bytes.Buffer), err: new(bytes.Buffer), ended: make(chan struct{})}
	s.cmd = exec.Command("rtcdev", append([]string{"serve", "--json", "--port", "0"}, args...)...)
	s.cmd.Dir = ts.MkAbs(".")
	for _, name := range []string{"PATH", "HOME", "RTCDEV_HOME", "RTCDEV_ROOM_SIZE"} {
		s.cmd.Env = append(s.cmd.Env, name+"="+ts.Getenv(name))
	}
	s.cmd.Stderr = s.err
	stdout, err := s.cmd.StdoutPipe()
	ts.Check(err)
	ts.Check(s.cmd.Start())
	ts.Defer(func() {
		_ = s.cmd.Process.Kill() // an error means that it has ended
		<-s.ended
		_ = s.cmd.Wait()
	})
	first := make(chan string, 1)
	go func() {
		defer close(s.ended)
		defer close(first)
		for lines := bufio.NewScanner(stdout); lines.Scan(); {
			s.out.WriteString(lines.Text() + "\n")
			if strings.Contains(lines.Text(), `"event":"ready"`) {
				first <- lines.Text()
			}
		}
	}()
	var ready struct {
		URL  string
		Port int
	}
	select {
	case line, ok := <-first:
		if !ok {
			_ = s.cmd.Wait()
			ts.Fatalf("serve ended before it was ready: %s", s.err)
		}
		ts.Check(json.Unmarshal([]byte(line), &ready))
	case <-time.After(patience):
		ts.Fatalf("serve is not ready")
	}
	ts.Setenv("URL", strings.TrimSuffix(ready.URL, "/"))
	ts.Setenv("PORT", strconv.Itoa(ready.Port))
}

func endServer(ts *testscript.TestScript, _ bool, args []string) {
	s := ts.Value(scriptServer{}).(*scriptServer)
	signals := map[string]os.Signal{"INT": os.Interrupt, "TERM": syscall.SIGTERM}
	if len(args) != 1 || signals[args[0]] == nil {
		ts.Fatalf("usage: end INT|TERM")
	}
	begin := time.Now()
	ts.Check(s.cmd.Process.Signal(signals[args[0]]))
	<-s.ended
	err := s.cmd.Wait()
	if took := time.Since(begin); err != nil || took > stopLimit {
		ts.Fatalf("serve ended with %v after %v: %s", err, took, s.err)
	}
	ts.Check(os.WriteFile(ts.MkAbs("serve.out"), s.out.Bytes(), 0o600))
	ts.Check(os.WriteFile(ts.MkAbs("serve.err"), s.err.Bytes(), 0o600))
}

func exits(ts *testscript.TestScript, _ bool, args []string) {
	if len(args) < 2 {
		ts.Fatalf("usage: exits CODE program [args…]")
	}
	var failed *exec.ExitError
	err := ts.Exec(args[1], args[2:]...)
	if !errors.As(err, &failed) || strconv.Itoa(failed.ExitCode()) != args[0] {
		ts.Fatalf("%s ended with %v, want exit code %s", args[1], err, args[0])
	}
}

func occupy(ts *testscript.TestScript, _ bool, _ []string) {
	l, err := net.Listen("tcp4", "127.0.0.1:0")
	ts.Check(err)
	ts.Defer(func() { l.Close() })
	ts.Setenv("PORT", strconv.Itoa(l.Addr().(*net.TCPAddr).Port))
}
