package main

import (
	"bytes"
	"errors"
	"maps"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"time"
)

// newAsked is a person with an authority that no store trusts yet.
func newAsked(t *testing.T) (a *account, program string) {
	t.Helper()
	need(t, "certutil", "libnss3-tools")
	need(t, "firefox-esr", "firefox-esr")
	a, program = newPerson(t)
	a.stores = "nss,firefox"
	a.asPerson(program, "certs")
	return a, program
}

// asPerson runs rtcdev without a terminal and without root's rights.
func (a *account) asPerson(program string, args ...string) string {
	a.t.Helper()
	cmd := a.command(program, args...)
	asNobody(cmd)
	out, err := cmd.CombinedOutput()
	if err != nil {
		a.t.Fatalf("rtcdev %q: %v\n%s", args, err, out)
	}
	return string(out)
}

// contents are the account's files by path.
func (a *account) contents() map[string]string {
	a.t.Helper()
	found := make(map[string]string)
	for _, path := range files(a.t, a.home) {
		full := filepath.Join(a.home, path)
		if info, err := os.Stat(full); err != nil || info.IsDir() {
			found[path] = "folder"
			continue
		}
		data, err := os.ReadFile(full)
		if err != nil {
			a.t.Fatal(err)
		}
		found[path] = string(data)
	}
	return found
}

// roots counts the databases that hold a root of ours.
func (a *account) roots() int {
	a.t.Helper()
	n := 0
	for _, db := range databases(a.home) {
		n += strings.Count(a.output("certutil", "-L", "-d", "sql:"+db), "rtcdev")
	}
	return n
}

// end waits until the program has ended and returns its exit code.
func (term *terminal) end() int {
	term.t.Helper()
	var err error
	select {
	case err = <-term.ended:
	case <-time.After(patience):
		term.t.Fatalf("it does not end; it shows\n%s", &term.screen)
	}
	var exit *exec.ExitError
	if err != nil && !errors.As(err, &exit) {
		term.t.Fatal(err)
	}
	return term.cmd.ProcessState.ExitCode()
}

// noes are answers that are no yes: Enter alone, and the end of the input.
func noes() []string { return []string{"n\r", "\r", "yesterday\r", "\x04"} }

// `certs trust` shows what it would touch and asks; only y is a yes.
func TestTrustAsks(t *testing.T) {
	a, program := newAsked(t)
	before := a.contents()
	for _, no := range noes() {
		term := a.onTerminal(program, "certs", "trust")
		list := term.see(`(?s)(.*)\[y/N\] $`)
		for _, shown := range []string{"nss ~/.pki/nssdb", "firefox ~/.config/mozilla/firefox/", "localhost", "rtcdev certs untrust"} {
			if !strings.Contains(list, shown) {
				t.Errorf("before it asks it does not show %s:\n%s", shown, list)
			}
		}
		term.typeKeys(no)
		if code := term.end(); code != exitTrust || !strings.Contains(term.screen.String(), "nothing was changed") {
			t.Errorf("after %q the exit code is %d\n%s", no, code, &term.screen)
		}
		if now := a.contents(); !maps.Equal(now, before) {
			t.Fatalf("%q is taken for a yes:\n%s", no, &term.screen)
		}
	}

	term := a.onTerminal(program, "certs", "trust")
	term.see(`\[y/N\] $`)
	term.typeKeys("y\r")
	if code := term.end(); code != 0 || a.roots() != 2 {
		t.Errorf("after y the exit code is %d, and %d databases have the root\n%s", code, a.roots(), &term.screen)
	}
	for _, line := range []string{`nss .*trusted now`, `firefox .*trusted now`} {
		if !regexp.MustCompile(line).MatchString(term.screen.String()) {
			t.Errorf("it does not say %s:\n%s", line, &term.screen)
		}
	}
}

// `certs new-authority` asks before it takes anything away.
func TestNewAuthorityAsks(t *testing.T) {
	a, program := newAsked(t)
	a.asPerson(program, "certs", "trust", "--yes")
	before := a.contents()
	for _, no := range noes() {
		term := a.onTerminal(program, "certs", "new-authority")
		term.see(`(?s)rtcdev local authority .*\[y/N\] $`)
		term.typeKeys(no)
		if code := term.end(); code == 0 || !strings.Contains(term.screen.String(), "nothing was changed") {
			t.Errorf("after %q the exit code is %d\n%s", no, code, &term.screen)
		}
		if now := a.contents(); !maps.Equal(now, before) || a.roots() != 2 {
			t.Fatalf("%q is taken for a yes; %d databases have the root\n%s", no, a.roots(), &term.screen)
		}
	}

	root := filepath.Join(a.home, ".local", "share", "rtcdev", "authority", "root.pem")
	old, err := os.ReadFile(root)
	if err != nil {
		t.Fatal(err)
	}
	term := a.onTerminal(program, "certs", "new-authority")
	term.see(`\[y/N\] $`)
	term.typeKeys("y\r")
	if code := term.end(); code != 0 || a.roots() != 0 {
		t.Errorf("after y the exit code is %d, and %d databases have the root\n%s", code, a.roots(), &term.screen)
	}
	if now, err := os.ReadFile(root); err != nil || bytes.Equal(now, old) {
		t.Errorf("the root is the old one, or cannot be read: %v", err)
	}
	checkUntrusted(t, a, program)
}

// A name that an authority cannot be made for is said before any question.
func TestNewAuthorityAsksNothingInVain(t *testing.T) {
	a, program := newAsked(t)
	before := a.contents()
	term := a.onTerminal(program, "certs", "new-authority", "--permit", "no name")
	if code := term.end(); code != exitFailed {
		t.Errorf("the exit code is %d", code)
	}
	if shown := term.screen.String(); strings.Contains(shown, "[y/N]") || !strings.Contains(shown, "is not a host name") {
		t.Errorf("it shows:\n%s", shown)
	}
	if !maps.Equal(a.contents(), before) {
		t.Error("something was changed")
	}
}
