package trust

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strings"
	"time"
)

// commandTimeout bounds one outside command. certutil answers within
// milliseconds, and loops for ever in some cases.
const commandTimeout = 20 * time.Second

// Machine is everything this package knows of the computer it works on: the
// seam for tests, and for a caller who works on another account's home.
type Machine struct {
	OS       string // as runtime.GOOS
	Home     string // the account's home folder, absolute
	DataHome string // $XDG_DATA_HOME, by default Home/.local/share; Chromium 146 and later look here too
	Root     string // put before the paths of the system store; empty for the real ones
	UID      int    // the effective user id; 0 is root, -1 where there is none (Windows)

	// RootCommand runs this program's certs command as root and keeps the
	// caller's authority, such as `sudo RTCDEV_HOME="/home/kim/x" /usr/bin/rtcdev certs`.
	// " trust --stores system" or " untrust --stores system" is put after it in a Fix.
	RootCommand string

	Timeout  time.Duration // for one outside command, or the wait for one of another rtcdev; 0 means 20 s
	LookPath func(program string) (string, error)
	Run      Runner
}

// Runner runs a program with an empty stdin until it ends or ctx does, and
// returns what it wrote. A program that ran and failed is an error too.
type Runner func(ctx context.Context, program string, args ...string) (stdout, stderr []byte, err error)

// ThisMachine describes the machine and account this process runs on. It fails
// only when the account has no home folder.
func ThisMachine() (Machine, error) {
	home, err := os.UserHomeDir()
	if err != nil {
		return Machine{}, fmt.Errorf("finding the home folder: %w", err)
	}
	data := os.Getenv("XDG_DATA_HOME")
	if !filepath.IsAbs(data) { // the XDG Base Directory Specification says: ignore a relative one
		data = filepath.Join(home, ".local", "share")
	}
	return Machine{
		OS: runtime.GOOS, Home: home, DataHome: data, UID: os.Geteuid(),
		RootCommand: "sudo rtcdev certs", LookPath: exec.LookPath, Run: runCommand,
	}, nil
}

// Stores returns every store of this machine that this package knows, also
// those that are not there, in the order they are changed.
func (m Machine) Stores() []Store {
	stores := []Store{systemStore{m}}
	if m.OS == "linux" {
		stores = append(stores, m.nssStores()...)
	}
	return stores
}

// output runs a program under m's time limit. A failed run returns its
// output together with the error.
func (m Machine) output(ctx context.Context, program string, args ...string) (stdout, stderr string, err error) {
	limit := m.timeout()
	limited, cancel := context.WithTimeout(ctx, limit)
	defer cancel()
	out, errs, err := m.Run(limited, program, args...)
	name := filepath.Base(program)
	switch {
	case err == nil:
	case ctx.Err() != nil:
		err = fmt.Errorf("running %s: %w", name, ctx.Err())
	case errors.Is(limited.Err(), context.DeadlineExceeded):
		err = fmt.Errorf("%w: %s was stopped after %s", ErrTimeout, name, limit)
	default:
		err = fmt.Errorf("running %s: %w: %s", name, err, oneLine(string(errs)))
	}
	return string(out), string(errs), err
}

func (m Machine) timeout() time.Duration {
	if m.Timeout == 0 {
		return commandTimeout
	}
	return m.Timeout
}

func runCommand(ctx context.Context, program string, args ...string) ([]byte, []byte, error) {
	var stdout, stderr bytes.Buffer
	cmd := exec.CommandContext(ctx, program, args...)
	cmd.Env = append(os.Environ(), "LC_ALL=C") // the messages are read below
	cmd.Stdout, cmd.Stderr = &stdout, &stderr
	cmd.WaitDelay = time.Second // a grandchild may hold the pipes open
	err := cmd.Run()
	return stdout.Bytes(), stderr.Bytes(), err
}

// oneLine makes a program's words fit into one error line.
func oneLine(s string) string { return strings.Join(strings.Fields(s), " ") }
