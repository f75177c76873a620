//go:build unix

package main

import (
	"bytes"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"syscall"
	"testing"
	"time"
)

// Every command of the README is run as it stands there, in its order, by a
// person with a fresh home folder. A server is stopped with Ctrl-C once its
// first screen is complete.
func TestReadmeCommands(t *testing.T) {
	module, err := filepath.Abs("../..")
	if err != nil {
		t.Fatal(err)
	}
	readme, err := os.ReadFile(filepath.Join(module, "README.md"))
	if err != nil {
		t.Fatal(err)
	}
	r := newReader(t, module)
	ran := 0
	for _, block := range regexp.MustCompile("(?s)```sh\n(.*?)```").FindAllSubmatch(readme, -1) {
		for line := range strings.Lines(string(block[1])) {
			if line = strings.TrimSpace(line); line == "scripts/test" {
				continue // it runs this
			}
			r.run(line)
			ran++
		}
	}
	if ran < 8 {
		t.Errorf("only %d commands were found", ran)
	}
	if opened, err := os.ReadFile(filepath.Join(r.home, "opened")); err != nil || !strings.Contains(string(opened), "?room=lobby") {
		t.Errorf("--open opened %q, %v", opened, err)
	}
	if left, err := filepath.Glob(filepath.Join(r.home, ".local", "share", "*")); err != nil || left != nil {
		t.Errorf("after undoing everything there is still %v, %v", left, err)
	}
}

// reader follows the README: a shell with its current folder.
type reader struct {
	*account
	module string
	dir    string
	vars   []string
}

func newReader(t *testing.T, module string) *reader {
	t.Helper()
	r := &reader{account: newAccount(t), module: module}
	r.dir = r.emptyFolder("work")
	bin := r.emptyFolder("bin")
	script := "#!/bin/sh\necho \"$1\" > \"$HOME/opened\"\n"
	if err := os.WriteFile(filepath.Join(bin, "xdg-open"), []byte(script), 0o755); err != nil {
		t.Fatal(err)
	}
	r.vars = append(r.env(), "PATH="+bin+":"+os.Getenv("PATH"), "GOBIN="+bin)
	for _, name := range []string{"GOCACHE", "GOMODCACHE", "GOPATH", "GOFLAGS", "GOPROXY"} {
		value, err := exec.Command("go", "env", name).Output()
		if err != nil {
			t.Fatal(err)
		}
		r.vars = append(r.vars, name+"="+strings.TrimSpace(string(value)))
	}
	return r
}

func (r *reader) run(line string) {
	r.t.Helper()
	if to, ok := strings.CutPrefix(line, "cd "); ok {
		r.dir = filepath.Join(r.dir, to)
		return
	}
	cmd := exec.Command("sh", "-c", line)
	if strings.Contains(line, " serve") {
		cmd = exec.Command("sh", "-c", "exec "+line) // or the shell would be interrupted, too
	}
	cmd.Env, cmd.Dir = r.vars, r.dir
	if strings.HasPrefix(line, "go ") {
		cmd.Dir = r.module
	}
	var output syncBuffer
	cmd.Stdout, cmd.Stderr = &output, &output
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true} // as a terminal would: Ctrl-C goes to all of it
	if err := cmd.Start(); err != nil {
		r.t.Fatal(err)
	}
	ended := make(chan error, 1)
	go func() { ended <- cmd.Wait() }()
	r.t.Cleanup(func() { _ = syscall.Kill(-cmd.Process.Pid, syscall.SIGKILL) })
	if strings.Contains(line, " serve") {
		eventually(r.t, line, func() error {
			if !bytes.Contains([]byte(output.String()), []byte("Ctrl-C")) {
				return &screenError{output.String()}
			}
			return nil
		})
		if err := syscall.Kill(-cmd.Process.Pid, syscall.SIGINT); err != nil {
			r.t.Fatal(err)
		}
	}
	select {
	case err := <-ended:
		// `go run` itself reports that it was interrupted, however well the
		// program ended.
		if err != nil && !strings.HasPrefix(line, "go run") {
			r.t.Errorf("%s: %v\n%s", line, err, output.String())
		}
	case <-time.After(5 * patience):
		r.t.Fatalf("%s does not end\n%s", line, output.String())
	}
}
