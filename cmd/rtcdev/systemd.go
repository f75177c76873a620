package main

import (
	"encoding/csv"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"unicode"
	"unicode/utf8"

	"github.com/spf13/pflag"
)

// unitFlag prints a unit instead of serving.
const unitFlag = "print-systemd-unit"

// secretFile is where the service reads what does not belong into a unit, which every user
// of the machine can read.
const secretFile = "/etc/rtcdev.env"

// unit is a service of systemd that runs rtcdev serve.
type unit struct {
	program     string
	arguments   []string // each as it is, or
	credentials []credential
	lowPort     bool // it listens on a port that is kept for root
	secret      bool // it reads secretFile
}

// credential is a file that systemd reads as root, for the service alone (systemd.exec(5),
// LoadCredential=): what is given to --name.
type credential struct{ name, path string }

// printUnit prints the unit for what the command would have done, and where to put it.
func (a *app) printUnit(o serveOptions) error {
	if runtime.GOOS != "linux" {
		return &fault{errors.New("systemd is Linux's, and this is not Linux"), "leave out --" + unitFlag + ", or run it on the Linux machine that is to serve", exitFailed}
	}
	u := o.unit
	text, err := u.text()
	if err != nil {
		return err
	}
	err = a.result(struct {
		Unit string `json:"unit"`
	}{text}, "%s", text)
	a.note("Put this into place and start it:\n  rtcdev serve … --%s | sudo tee /etc/systemd/system/rtcdev.service\n  sudo systemctl daemon-reload && sudo systemctl enable --now rtcdev\nWhat it says: journalctl -u rtcdev; its certificates: sudo RTCDEV_HOME=/var/lib/rtcdev rtcdev certs status\n", unitFlag)
	if u.secret {
		a.warn("the secret of --room-token is not in it, as every user of this machine can read a unit.\n  next: printf 'RTCDEV_ROOM_TOKEN=%%s\\n' SECRET | sudo install -m 600 /dev/stdin %s", secretFile)
	}
	for _, path := range u.outOfReach(o) {
		a.warn("the service runs as a user of its own, which cannot get at %s.\n  next: put a copy where all users can read it, such as below /usr/local or /srv", quoted(path))
	}
	return err
}

// newUnit finds out what the flags of serve mean for a service: it starts in /, without the
// settings of this folder and this terminal.
func newUnit(flags *pflag.FlagSet, o serveOptions) (*unit, error) {
	program, err := os.Executable()
	if err != nil {
		return nil, fmt.Errorf("finding the path of rtcdev: %w", err)
	}
	u := &unit{program: program, lowPort: isLow(o.port) || len(o.acme.names) > 0 && o.acme.listensForHTTP() && isLow(o.acme.httpPort)}
	var errs []error
	flags.Visit(func(f *pflag.Flag) {
		errs = append(errs, u.addFlag(f))
	})
	if !o.signalOnly && o.proxy == "" {
		dir, err := filepath.Abs(o.dir)
		errs = append(errs, err)
		u.arguments = append(u.arguments, dir)
	}
	return u, errors.Join(errs...)
}

func isLow(port int) bool { return port > 0 && port < 1024 }

// addFlag adds one that was given, by whatever way.
func (u *unit) addFlag(f *pflag.Flag) error {
	value := f.Value.String()
	switch {
	case f.Name == unitFlag, f.Name == "open", f.Name == "trust" && value == "ask":
		return nil // need somebody at a screen
	case f.Name == "room-token" && value != madeToken && value != "":
		u.secret = true
		return nil
	case slices.Contains([]string{"acme-root", "cert-file", "key-file"}, f.Name) && value != "":
		path, err := filepath.Abs(value)
		u.credentials = append(u.credentials, credential{f.Name, path})
		return err
	case f.Name == "dns-hook" && value != "":
		if path, err := exec.LookPath(value); err == nil { // else there is a better place to say so
			if value, err = filepath.Abs(path); err != nil {
				return err
			}
		}
		u.arguments = append(u.arguments, "--dns-hook="+value)
		return nil
	case f.NoOptDefVal != "" && value == f.NoOptDefVal:
		u.arguments = append(u.arguments, "--"+f.Name)
		return nil
	}
	values := []string{value}
	if list, ok := f.Value.(pflag.SliceValue); ok {
		values = list.GetSlice()
	}
	for _, value := range values {
		if f.Value.Type() == "stringSlice" {
			value = csvField(value)
		}
		u.arguments = append(u.arguments, "--"+f.Name+"="+value)
	}
	return nil
}

// csvField is a value as pflag reads those of a list.
func csvField(value string) string {
	var b strings.Builder
	w := csv.NewWriter(&b)
	_ = w.Write([]string{value}) // a strings.Builder takes everything
	w.Flush()
	return strings.TrimSuffix(b.String(), "\n")
}

// text is the unit in the words of systemd.service(5) and systemd.exec(5).
func (u *unit) text() (string, error) {
	// systemd takes no other program: string_is_safe in its src/basic/string-util.c.
	if strings.ContainsAny(u.program, `"'\`) || strings.ContainsFunc(u.program, unicode.IsControl) || !utf8.ValidString(u.program) {
		return "", &fault{fmt.Errorf("systemd starts no program with such a path: %s", quoted(u.program)), "copy rtcdev to /usr/local/bin/rtcdev, and run that", exitFailed}
	}
	capabilities := ""
	if u.lowPort {
		capabilities = "CAP_NET_BIND_SERVICE"
	}
	line := unitWord(u.program, false)
	for _, argument := range append([]string{"serve"}, u.arguments...) {
		line += " " + unitWord(argument, true)
	}
	var files strings.Builder
	for _, c := range u.credentials {
		if strings.ContainsFunc(c.path, unicode.IsControl) || strings.TrimSpace(c.path) != c.path || strings.HasSuffix(c.path, `\`) || !utf8.ValidString(c.path) {
			return "", &fault{fmt.Errorf("a unit cannot name the file %s", quoted(c.path)), "give --" + c.name + " a file with a plain name", exitFailed}
		}
		line += ` --` + c.name + `=${CREDENTIALS_DIRECTORY}/` + c.name
		fmt.Fprintf(&files, "LoadCredential=%s:%s\n", c.name, strings.ReplaceAll(c.path, "%", "%%"))
	}
	if u.secret {
		fmt.Fprintf(&files, "EnvironmentFile=%s\n", secretFile)
	}
	return fmt.Sprintf(unitText, line, files.String(), capabilities, capabilities), nil
}

// unitText is the unit; what is in it: the command, files that it reads, capabilities twice.
// It needs nothing but the network, its state and the folder it serves.
const unitText = `# Written by: rtcdev serve --` + unitFlag + `
[Unit]
Description=rtcdev: WebRTC pages and their signaling
Wants=network-online.target
After=network-online.target

[Service]
ExecStart=%s
Environment=RTCDEV_HOME=%%S/rtcdev
%sStateDirectory=rtcdev
StateDirectoryMode=0700
UMask=0077
Restart=on-failure
RestartSec=5
# Exit code 2 is wrong usage, which does not pass.
RestartPreventExitStatus=2
TimeoutStopSec=10

DynamicUser=yes
AmbientCapabilities=%s
CapabilityBoundingSet=%s
NoNewPrivileges=yes
ProtectSystem=strict
ProtectHome=read-only
PrivateTmp=yes
PrivateDevices=yes
ProtectKernelTunables=yes
ProtectKernelModules=yes
ProtectKernelLogs=yes
ProtectControlGroups=yes
ProtectClock=yes
ProtectHostname=yes
RestrictAddressFamilies=AF_INET AF_INET6 AF_UNIX AF_NETLINK
RestrictNamespaces=yes
RestrictRealtime=yes
RestrictSUIDSGID=yes
LockPersonality=yes
MemoryDenyWriteExecute=yes
SystemCallArchitectures=native
SystemCallFilter=@system-service
SystemCallErrorNumber=EPERM

[Install]
WantedBy=multi-user.target
`

// unitWord is one word of a command line as systemd reads it (systemd.service(5), "Command
// lines"; systemd.syntax(7), "Quoting"): % begins a specifier, and in arguments $ a variable.
func unitWord(word string, isArgument bool) string {
	word = strings.ReplaceAll(word, "%", "%%")
	if isArgument {
		word = strings.ReplaceAll(word, "$", "$$")
	}
	plain := func(r rune) bool {
		return r < utf8.RuneSelf && (unicode.IsLetter(r) || unicode.IsDigit(r) || strings.ContainsRune("-_./:=@,+*%$", r))
	}
	if word != "" && !strings.ContainsFunc(word, func(r rune) bool { return !plain(r) }) {
		return word
	}
	var b strings.Builder
	b.WriteByte('"')
	for i, r := range word {
		switch {
		case r == utf8.RuneError && !strings.HasPrefix(word[i:], string(r)): // a byte that is no UTF-8
			fmt.Fprintf(&b, `\x%02x`, word[i])
		case r == '"' || r == '\\':
			b.WriteByte('\\')
			b.WriteRune(r)
		case unicode.IsControl(r) && r < utf8.RuneSelf:
			fmt.Fprintf(&b, `\x%02x`, r)
		default:
			b.WriteRune(r)
		}
	}
	b.WriteByte('"')
	return b.String()
}

// outOfReach lists what the service would need and its user cannot get at.
func (u *unit) outOfReach(o serveOptions) (paths []string) {
	if !othersCan(u.program, 0o001) {
		paths = append(paths, u.program)
	}
	for _, argument := range u.arguments {
		if hook, ok := strings.CutPrefix(argument, "--dns-hook="); ok && !othersCan(hook, 0o005) {
			paths = append(paths, hook)
		}
	}
	if dir, err := filepath.Abs(o.dir); err == nil && !o.signalOnly && o.proxy == "" && !othersCan(dir, 0o005) {
		paths = append(paths, dir)
	}
	return paths
}

// othersCan tells whether every user may do that with a path, as far as its mode says. What
// is in a folder for temporary files a service does not see (PrivateTmp=).
func othersCan(path string, want fs.FileMode) bool {
	if strings.HasPrefix(path, "/tmp/") || strings.HasPrefix(path, "/var/tmp/") {
		return false
	}
	info, err := os.Stat(path)
	if err != nil || info.Mode()&want != want {
		return false
	}
	for dir := filepath.Dir(path); ; dir = filepath.Dir(dir) {
		info, err := os.Stat(dir)
		if err != nil || info.Mode()&0o001 == 0 {
			return false
		}
		if dir == filepath.Dir(dir) {
			return true
		}
	}
}
