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
	"slices"
	"strings"
	"time"
)

// commandTimeout bounds one outside command. certutil answers within
// milliseconds, and loops for ever in some cases.
const commandTimeout = 20 * time.Second

// Machine is everything this package knows of the computer it works on: the
// seam for tests, and for a caller who works on another account's home.
type Machine struct {
	OS   string // as runtime.GOOS
	Home string // the account's home folder, absolute
	Root string // put before the paths that belong to the system and not to an account; empty for the real ones
	UID  int    // the effective user id; 0 is root, -1 where there is none (Windows)
	WSL  bool   // this Linux runs under Windows, whose programs can be run from it

	DataHome   string // $XDG_DATA_HOME, by default Home/.local/share; Chromium 146 and later look here too
	ConfigHome string // $XDG_CONFIG_HOME, by default Home/.config; Firefox 147 and later keep new profiles below it
	AppData    string // Windows: %APPDATA%
	JavaHome   string // $JAVA_HOME, empty when it is not set

	// Journal is the folder where changes are recorded before they are made:
	// $RTCDEV_HOME. It must exist. Empty means that nothing is recorded, and that
	// what had to be made for a root stays when the root goes.
	Journal string

	// RootCommand runs this program's certs command as root and keeps the
	// caller's authority, such as `sudo RTCDEV_HOME="/home/kim/x" /usr/bin/rtcdev certs`.
	// " trust --stores system" or " untrust --stores system" is put after it in a Fix.
	RootCommand string

	Timeout  time.Duration // for one outside command, or the wait for one of another rtcdev; 0 means 20 s
	LookPath func(program string) (string, error)
	Run      Runner

	asked []string // the kinds that the caller named, from selected; a store that nobody needs is used when it is asked for
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
	m := Machine{
		OS: runtime.GOOS, Home: home, UID: os.Geteuid(), WSL: runtime.GOOS == "linux" && underWindows(),
		DataHome:   absolute(os.Getenv("XDG_DATA_HOME"), filepath.Join(home, ".local", "share")),
		ConfigHome: absolute(os.Getenv("XDG_CONFIG_HOME"), filepath.Join(home, ".config")),
		AppData:    absolute(os.Getenv("APPDATA"), filepath.Join(home, "AppData", "Roaming")),
		JavaHome:   absolute(os.Getenv("JAVA_HOME"), ""),
		LookPath:   exec.LookPath, Run: runCommand, RootCommand: "sudo rtcdev certs",
	}
	return m, nil
}

// absolute returns path, or instead when it is not absolute: the XDG Base
// Directory Specification says that a relative one is to be ignored.
func absolute(path, instead string) string {
	if filepath.IsAbs(path) {
		return path
	}
	return instead
}

// underWindows reports whether this Linux is the Windows Subsystem for Linux: its
// kernels have the maker's name in their version.
func underWindows() bool {
	version, err := os.ReadFile("/proc/version")
	return err == nil && strings.Contains(strings.ToLower(string(version)), "microsoft")
}

// Stores returns every store of this machine that this package knows, also
// those that are not there, in the order they are changed. Those that only the
// journal still knows come last.
func (m Machine) Stores() []Store {
	stores := slices.Concat(m.systemStores(), m.nssStores(), m.firefoxStores(), m.javaStores(), m.policyStores())
	j, _ := m.readJournal() // its fault is reported by those who use it for more
	for _, c := range j.Stores {
		if s := m.storeAt(c); s != nil && !slices.ContainsFunc(stores, c.is) {
			stores = append(stores, s)
		}
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
