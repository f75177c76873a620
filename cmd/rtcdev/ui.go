package main

import (
	"bufio"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"log/slog"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/fatih/color"
	"golang.org/x/term"

	"rtcdev/certs"
	"rtcdev/certs/trust"
)

// How rtcdev talks to people:
//
//   - What was asked for goes to stdout, everything else to stderr. With --json
//     stdout holds JSON only.
//   - An error says what failed and why, then the next command on a line of its
//     own. No stack, no error codes of libraries, no blame.
//   - Nothing is asked without a terminal on both ends: the question becomes an
//     error that names the flag which answers it.
//   - Plain words, short lines, nothing lined up with characters whose width
//     differs between consoles.

// app is what the commands share: the streams and the global flags.
type app struct {
	in      *os.File
	out     *output
	err     *os.File
	started time.Time

	json, quiet, verbose, noColor, yes bool

	good, bad, strong *color.Color
}

// output is stdout. It remembers that something could not be written, so that
// no command has to look after every line.
type output struct {
	*os.File
	used      bool // something has been written
	err       error
	forgiving bool // the result has been used already, as serve's has
}

func (o *output) Write(p []byte) (int, error) {
	o.used = true
	n, err := o.File.Write(p)
	if err != nil {
		err = fmt.Errorf("writing the result: %w", err)
		if o.err == nil {
			o.err = err
		}
	}
	return n, err
}

func (o *output) failed() error {
	if o.err == nil || o.forgiving {
		return nil
	}
	return o.err
}

// setUp runs once the flags are known.
func (a *app) setUp() {
	a.good, a.bad, a.strong = color.New(color.FgGreen), color.New(color.FgYellow), color.New(color.Bold)
	_, refused := os.LookupEnv("NO_COLOR") // https://no-color.org
	for _, c := range []*color.Color{a.good, a.bad, a.strong} {
		if a.noColor || refused || a.json || !isTerminal(a.out.File) {
			c.DisableColor()
		} else {
			c.EnableColor()
		}
	}
}

func isTerminal(f *os.File) bool { return term.IsTerminal(int(f.Fd())) }

// interactive tells whether somebody is there to read a question and answer it.
func (a *app) interactive() bool {
	return !a.json && isTerminal(a.in) && isTerminal(a.err)
}

// result prints what the command was asked for: v as one JSON object with
// --json, else the text.
func (a *app) result(v any, format string, args ...any) error {
	if a.json {
		return a.event(v)
	}
	_, err := fmt.Fprintf(a.out, format, args...)
	return err
}

// event prints v as one line of JSON.
func (a *app) event(v any) error {
	enc := json.NewEncoder(a.out)
	enc.SetEscapeHTML(false) // room links have an &
	return enc.Encode(v)
}

// note prints something worth knowing that is not the result.
func (a *app) note(format string, args ...any) {
	if !a.quiet {
		fmt.Fprintf(a.err, format, args...)
	}
}

// ask puts a question that is answered with y or n; only y means yes.
func (a *app) ask(question string) bool {
	fmt.Fprintf(a.err, "%s [y/N] ", question)
	line, err := bufio.NewReader(a.in).ReadString('\n')
	if err != nil && !errors.Is(err, io.EOF) {
		return false
	}
	answer := strings.ToLower(strings.TrimSpace(line))
	return answer == "y" || answer == "yes"
}

// reportError is the one place where an error is shown.
func (a *app) reportError(err error) {
	next := nextStep(err)
	fmt.Fprintf(a.err, "rtcdev: %s\n", err)
	if next != "" {
		fmt.Fprintf(a.err, "  next: %s\n", next)
	}
	if (a.json || askedForJSON()) && !a.out.used { // a result on stdout has told what failed
		_ = a.event(struct {
			Error string `json:"error"`
			Next  string `json:"next,omitempty"`
			Exit  int    `json:"exit"`
		}{err.Error(), next, exitCode(err)})
	}
}

// askedForJSON is for errors of the command line itself, which keep the flags from
// being read.
func askedForJSON() bool {
	env, err := strconv.ParseBool(os.Getenv("RTCDEV_JSON"))
	return slices.Contains(os.Args, "--json") || err == nil && env
}

func nextStep(err error) string {
	var f *fault
	var store *trust.Fault
	var authority *certs.StoreError
	switch {
	case errors.As(err, &f):
		return f.next
	case errors.As(err, &store):
		return store.Fix
	case errors.As(err, &authority):
		return authority.Fix
	case errors.Is(err, fs.ErrPermission):
		return "use a folder and files of yours, or ask whoever owns this one"
	}
	return ""
}

// logger is where libraries put what helps to find a fault: nowhere without -v.
func (a *app) logger() *slog.Logger {
	if !a.verbose {
		return slog.New(slog.DiscardHandler)
	}
	return slog.New(slog.NewTextHandler(a.err, &slog.HandlerOptions{Level: slog.LevelDebug}))
}

// home is where rtcdev keeps its state: $RTCDEV_HOME, or a folder of its own in
// what the system has for a user's data.
func home() (string, error) {
	if dir := os.Getenv("RTCDEV_HOME"); dir != "" {
		return filepath.Abs(dir)
	}
	user, err := os.UserHomeDir()
	if err != nil {
		return "", &fault{fmt.Errorf("finding your data folder: %w", err), "set RTCDEV_HOME to a folder of yours", 0}
	}
	switch runtime.GOOS {
	case "windows":
		if dir := os.Getenv("LocalAppData"); dir != "" {
			return filepath.Join(dir, "rtcdev"), nil
		}
		return filepath.Join(user, "AppData", "Local", "rtcdev"), nil
	case "darwin", "ios":
		return filepath.Join(user, "Library", "Application Support", "rtcdev"), nil
	}
	// XDG Base Directory Specification: a relative path is to be ignored.
	if dir := os.Getenv("XDG_DATA_HOME"); filepath.IsAbs(dir) {
		return filepath.Join(dir, "rtcdev"), nil
	}
	return filepath.Join(user, ".local", "share", "rtcdev"), nil
}

// authorityDir is where the local authority is kept.
func authorityDir() (string, error) {
	dir, err := home()
	return filepath.Join(dir, "authority"), err
}

// authority opens the local authority and makes it first if there is none.
func (a *app) authority(permit []string, unconstrained bool) (*certs.Authority, bool, error) {
	dir, err := authorityDir()
	if err != nil {
		return nil, false, err
	}
	ca, created, err := certs.OpenOrCreate(dir, certs.Options{Hostname: hostname(), Permit: permit, Unconstrained: unconstrained})
	if err != nil {
		return nil, false, fmt.Errorf("opening the local authority: %w", err)
	}
	a.warnOfEnd(certs.Description{NotAfter: ca.Ends(), EndsSoon: ca.EndsSoon(time.Now())})
	return ca, created, nil
}

// warn prints what must not be overlooked, with --quiet too.
func (a *app) warn(format string, args ...any) {
	fmt.Fprintf(a.err, "Warning: "+format+"\n", args...)
}

// hostname is this machine's name, or empty: then an authority has all names
// but that one.
func hostname() string {
	name, err := os.Hostname()
	if err != nil {
		return ""
	}
	return name
}

// short writes a path the way a person would: relative when it is below the
// current folder.
func short(path string) string {
	wd, err := os.Getwd()
	if err != nil {
		return path
	}
	if rel, err := filepath.Rel(wd, path); err == nil && filepath.IsLocal(rel) {
		return rel
	}
	return path
}
