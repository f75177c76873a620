package main

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"
	"unicode/utf8"
)

// unitFor is the unit for a command line of serve, and what is said beside it.
func unitFor(t *testing.T, args ...string) (text, said string) {
	t.Helper()
	s, what := newPrinter(t)
	o, err := serveFlags(t, s.app, append(args, "--"+unitFlag)...)
	if err != nil {
		t.Fatal(err)
	}
	if err := s.printUnit(o); err != nil {
		t.Fatal(err)
	}
	unit, said, found := strings.Cut(what(), "WantedBy=multi-user.target\n")
	if !found {
		t.Fatalf("no unit: %s", unit)
	}
	return unit + "WantedBy=multi-user.target\n", said
}

// commandOf is the command line of a unit, as it is written.
func commandOf(t *testing.T, unit string) string {
	t.Helper()
	_, rest, found := strings.Cut(unit, "\nExecStart=")
	line, _, ended := strings.Cut(rest, "\n")
	if !found || !ended {
		t.Fatalf("no command: %s", unit)
	}
	program, arguments, _ := strings.Cut(line, " ")
	if !filepath.IsAbs(program) {
		t.Errorf("the program is %s", program)
	}
	return arguments
}

// The service does what the flags say, in the folder that this one is.
func TestUnit(t *testing.T) {
	t.Chdir(t.TempDir())
	dir, err := os.Getwd()
	if err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile("hook.sh", []byte("#!/bin/sh\n"), 0o755); err != nil {
		t.Fatal(err)
	}
	const none = "AmbientCapabilities=\nCapabilityBoundingSet=\n"
	const low = "AmbientCapabilities=CAP_NET_BIND_SERVICE\nCapabilityBoundingSet=CAP_NET_BIND_SERVICE\n"
	for _, tt := range []struct {
		args, command, capabilities string
	}{
		{"", "serve DIR", none},
		{"my-call --open --trust=ask --host", "serve --host DIR/my-call", none},
		{"--trust=yes --port 443 --strict-port=false", "serve --port=443 --strict-port=false --trust=yes DIR", low},
		{"--acme call.example.com --email kim@company.kr", "serve --acme=call.example.com --email=kim@company.kr DIR", low},
		{"--acme a.kr,b.kr --http-challenge-port 8080 -p 9000", "serve --acme=a.kr --acme=b.kr --http-challenge-port=8080 --port=9000 DIR", none},
		{"--acme a.kr --challenge tls-alpn-01", "serve --acme=a.kr --challenge=tls-alpn-01 DIR", none},
		{"--acme *.a.kr --dns-hook ./hook.sh --acme-root ca.pem", "serve --acme=*.a.kr --dns-hook=DIR/hook.sh DIR --acme-root=${CREDENTIALS_DIRECTORY}/acme-root", none},
		{"--cert-file c.pem --key-file k.pem", "serve DIR --cert-file=${CREDENTIALS_DIRECTORY}/cert-file --key-file=${CREDENTIALS_DIRECTORY}/key-file", none},
		{"--signal-only --allow-origin https://a.kr --allow-origin https://b.kr", "serve --allow-origin=https://a.kr --allow-origin=https://b.kr --signal-only", none},
		{"--proxy http://localhost:5173 --no-turn", "serve --no-turn --proxy=http://localhost:5173", none},
		{"--room-token", "serve --room-token DIR", none},
		{"--ice-server stun:a.kr", "serve --ice-server=stun:a.kr DIR", none},
	} {
		unit, _ := unitFor(t, strings.Fields(tt.args)...)
		if got := strings.ReplaceAll(commandOf(t, unit), dir, "DIR"); got != tt.command {
			t.Errorf("%s:\n got %s\nwant %s", tt.args, got, tt.command)
		}
		if !strings.Contains(unit, tt.capabilities) {
			t.Errorf("%s: %s", tt.args, unit)
		}
		for _, want := range []string{
			"DynamicUser=yes", "StateDirectory=rtcdev", "Environment=RTCDEV_HOME=%S/rtcdev", "NoNewPrivileges=yes", "ProtectSystem=strict", "ProtectHome=read-only",
			"PrivateTmp=yes", "PrivateDevices=yes", "RestrictAddressFamilies=AF_INET AF_INET6 AF_UNIX AF_NETLINK", "MemoryDenyWriteExecute=yes",
			"SystemCallFilter=@system-service", "Restart=on-failure", "After=network-online.target",
		} {
			if !strings.Contains(unit, "\n"+want+"\n") {
				t.Errorf("%s: no %s", tt.args, want)
			}
		}
		if files := strings.Contains(tt.args, ".pem"); strings.Contains(unit, "\nLoadCredential=") != files {
			t.Errorf("%s: %s", tt.args, unit)
		}
	}
}

// A secret is not in what every user can read.
func TestUnitSecret(t *testing.T) {
	unit, said := unitFor(t, "--room-token=an-open-secret", t.TempDir())
	if strings.Contains(unit+said, "an-open-secret") || strings.Contains(commandOf(t, unit), "token") || !strings.Contains(unit, "\nEnvironmentFile=/etc/rtcdev.env\n") {
		t.Error(unit, said)
	}
	if !strings.Contains(said, `next: printf 'RTCDEV_ROOM_TOKEN=%s\n' SECRET | sudo install -m 600 /dev/stdin /etc/rtcdev.env`) {
		t.Error(said)
	}
}

// What the service's user could not read is named.
func TestUnitOutOfReach(t *testing.T) {
	s, _ := newPrinter(t)
	for path, want := range map[string]bool{"/usr": true, "/usr/bin/env": true, "/tmp/x": false, "/var/tmp/x": false, "/missing": false, t.TempDir(): false} {
		if got := othersCan(path, 0o005); got != want {
			t.Errorf("%s: %v", path, got)
		}
	}
	o, err := serveFlags(t, s.app, "/usr", "--"+unitFlag)
	if err != nil {
		t.Fatal(err)
	}
	o.unit.program = "/usr/bin/env"
	if got := o.unit.outOfReach(o); got != nil {
		t.Errorf("%q", got)
	}
	_, said := unitFor(t, t.TempDir())
	if !strings.Contains(said, "Warning: the service runs as a user of its own, which cannot get at") {
		t.Error(said)
	}
}

// systemd starts no program with such a path; it does not say so before it tries.
func TestUnitRefusesPath(t *testing.T) {
	for _, program := range []string{`/a "b"/rtcdev`, `/a\b`, "/a'b", "/a\nb", "/a\xff"} {
		_, err := (&unit{program: program}).text()
		if err == nil || !strings.Contains(nextStep(err), "/usr/local/bin/rtcdev") {
			t.Errorf("%q: %v", program, err)
		}
	}
	for _, path := range []string{"/a\nb", "/a ", `/a\`, "/a\xff"} {
		_, err := (&unit{program: "/a", credentials: []credential{{"key-file", path}}}).text()
		if err == nil || !strings.Contains(nextStep(err), "--key-file") {
			t.Errorf("%q: %v", path, err)
		}
	}
}

// hostileNames are those of folders that a unit must not come apart with.
func hostileNames() []string {
	return []string{
		"plain", "a folder", "100% %h%%", "$HOME ${HOME} $$", `"quoted" 'too'`, `back\slash\n\x41 \`, "새 폴더", "line\nbreak\tand\x01\x7f", "#;", "; echo", "not \xff utf-8",
		" around ", "-x", "é\u00a0\u202e", "[Install]", "~", "*?", "@!+:-", "\\",
	}
}

// systemd itself finds nothing wrong, and would start what was asked for.
func TestUnitIsUnderstood(t *testing.T) {
	need(t, "systemd-analyze", "systemd")
	program, err := exec.LookPath("rtcdev")
	if err != nil {
		t.Fatal(err)
	}
	var units []string
	var wants [][]string
	for _, name := range hostileNames() {
		dir := filepath.Join(t.TempDir(), name)
		if err := os.Mkdir(dir, 0o755); err != nil {
			t.Fatal(err)
		}
		binary := program
		if utf8.ValidString(name) && !strings.ContainsAny(name, "\"'\\\n\t\x01\x7f") { // systemd starts nothing there
			binary = filepath.Join(dir, "rtcdev")
			copyFile(t, program, binary)
		}
		cmd := exec.CommandContext(t.Context(), binary, "serve", "--print-systemd-unit", "--port", "443", "--limit", "rooms=7,messages=9", dir)
		cmd.Env = append((&account{t: t, home: t.TempDir(), tmp: t.TempDir()}).env(), "GORACE=atexit_sleep_ms=0") // else a second each
		unit, err := cmd.Output()
		if err != nil {
			t.Fatalf("%q: %v", name, err)
		}
		units = append(units, string(unit))
		want := []string{binary, "serve", "--limit=rooms=7", "--limit=messages=9", "--port=443"}
		if os.Geteuid() == 0 {
			want = append(want, "--stores=nss") // of the account's environment
		}
		wants = append(wants, append(want, dir))
	}
	for i, got := range understood(t, units) {
		for at := 1; at < len(got); at++ {
			got[at] = strings.ReplaceAll(got[at], "$$", "$") // which is done when it is started
		}
		if !slices.Equal(got, wants[i]) {
			t.Errorf("%q:\n got %q\nwant %q\n%s", hostileNames()[i], got, wants[i], units[i])
		}
	}
}

// Files that systemd is to read are no fault either, although they are not there yet.
func TestUnitWithFilesIsUnderstood(t *testing.T) {
	need(t, "systemd-analyze", "systemd")
	files, _ := unitFor(t, "--cert-file", "100% a/c.pem", "--key-file", "$k:k.pem", "--room-token=an-open-secret", t.TempDir())
	names, _ := unitFor(t, "--acme", "call.company.kr", "--acme-root", "ca.pem", "--port=443", t.TempDir())
	for i, got := range understood(t, []string{files, names}) {
		if want := "/" + []string{"key-file", "acme-root"}[i]; !strings.HasSuffix(got[len(got)-1], want) {
			t.Errorf("%q, want %s", got, want)
		}
	}
}

// What a list has in it is there again when the service reads its flags.
func TestUnitLists(t *testing.T) {
	for _, name := range append(hostileNames(), "a,b", `,"`) {
		if strings.ContainsAny(name, "\n") {
			continue // pflag reads one line
		}
		s, _ := newPrinter(t)
		o, err := serveFlags(t, s.app, "--allow-host="+csvField(name), "--"+unitFlag, "/")
		if err != nil || !slices.Equal(o.allowHosts, []string{name}) {
			t.Errorf("%q: %q, %v", name, o.allowHosts, err)
			continue
		}
		again, err := serveFlags(t, s.app, o.unit.arguments...)
		if err != nil || !slices.Equal(again.allowHosts, []string{name}) {
			t.Errorf("%q: %q becomes %q, %v", name, o.unit.arguments, again.allowHosts, err)
		}
	}
}

func copyFile(t *testing.T, from, to string) {
	t.Helper()
	b, err := os.ReadFile(from)
	if err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(to, b, 0o755); err != nil {
		t.Fatal(err)
	}
}

// understood are the command lines that systemd reads in units, of which it must not complain.
func understood(t *testing.T, units []string) (commands [][]string) {
	t.Helper()
	dir := t.TempDir()
	verify := []string{"verify", "--man=no"}
	for i, unit := range units {
		file := filepath.Join(dir, fmt.Sprintf("rtcdev-%d.service", i))
		if err := os.WriteFile(file, []byte(unit), 0o600); err != nil {
			t.Fatal(err)
		}
		verify = append(verify, file)
	}
	run := func(level string) string {
		cmd := exec.CommandContext(t.Context(), "systemd-analyze", verify...)
		cmd.Env = append(os.Environ(), "SYSTEMD_LOG_LEVEL="+level, "SYSTEMD_COLORS=0")
		out, err := cmd.CombinedOutput()
		if err != nil {
			t.Fatalf("systemd-analyze: %v\n%s", err, out)
		}
		return string(out)
	}
	for line := range strings.Lines(run("info")) {
		if strings.Contains(line, "rtcdev") { // else it is about the machine's own units
			t.Errorf("it complains: %s", line)
		}
	}
	dump := run("debug")
	for i := range units {
		_, unit, _ := strings.Cut(dump, fmt.Sprintf("-> Unit rtcdev-%d.service:", i))
		_, rest, _ := strings.Cut(unit, "Command Line: ")
		line, _, found := strings.Cut(rest, "\n")
		if !found {
			t.Fatalf("no command of %d: %s", i, dump)
		}
		commands = append(commands, wordsOf(t, line))
	}
	return commands
}

// wordsOf takes systemd's own way to show a command line apart.
func wordsOf(t *testing.T, line string) (all []string) {
	t.Helper()
	for _, word := range regexp.MustCompile(`"(?:[^"\\]|\\.)*"|\S+`).FindAllString(line, -1) {
		if strings.HasPrefix(word, `"`) {
			text, err := strconv.Unquote(strings.NewReplacer(`\\`, `\\`, `\$`, `$`, "\\`", "`").Replace(word))
			if err != nil {
				t.Fatalf("%s: %v", word, err)
			}
			word = text
		}
		all = append(all, word)
	}
	return all
}
