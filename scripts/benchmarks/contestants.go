package main

import (
	"context"
	"embed"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
)

//go:embed counterparts/*.js
var counterparts embed.FS

// A contestant is a signaling server to be measured.
type contestant struct {
	name     string
	protocol string // of loadgen
	args     func(port string) []string
	env      []string
	root     string // the file of the root that its certificate leads to; empty without TLS
}

// A lineup is what all signaling measurements share.
type lineup struct {
	loadgen      string
	secure       []contestant // rtcdev first; with TLS, and the same certificate
	plain        []contestant // the same without TLS
	programs     string
	dir          string
	cert, key    string
	node         []string // the environment of Node's servers
	raisedLimits []string // rtcdev's flags for more load than one client and one address may make
}

// newLineup makes the certificate and lays out the programs.
func newLineup(ctx context.Context, s settings, dir string) (*lineup, error) {
	programs, err := filepath.Abs(s.programs)
	if err != nil {
		return nil, err
	}
	modules, err := filepath.Abs(s.counterparts)
	if err != nil {
		return nil, err
	}
	if _, err := os.Stat(filepath.Join(modules, "socket.io")); err != nil {
		return nil, fmt.Errorf("looking for the npm packages to measure against: %w", err)
	}
	c, err := newContest(ctx, programs, dir)
	if err != nil {
		return nil, err
	}
	l := &lineup{
		loadgen: filepath.Join(programs, "loadgen"), programs: programs, dir: dir, cert: c.chain, key: c.key,
		node: append(c.env, "NODE_PATH="+modules, "NODE_ENV=production"),
	}
	if err := os.CopyFS(dir, counterparts); err != nil {
		return nil, err
	}
	if l.raisedLimits, err = raisedLimits(ctx, c.rtcdev); err != nil {
		return nil, err
	}
	root := rootFile(c.made)
	serve := append([]string{c.rtcdev, "serve", c.site, "-q", "--strict-port", "--trust=no",
		"--cert-file", l.cert, "--key-file", l.key}, l.raisedLimits...)
	l.secure = []contestant{
		{"rtcdev", "native", func(port string) []string { return append(slices.Clip(serve), "--port", port) },
			append(c.env, "RTCDEV_HOME="+c.made), root},
		l.script("socket.io 4", "socketio", root),
		l.script("PeerServer", "peerjs", root),
		{"bare relay", "bare", func(port string) []string {
			return []string{filepath.Join(programs, "barerelay"), "127.0.0.1:" + port, l.cert, l.key}
		}, c.env, root},
	}
	l.plain = []contestant{
		{"rtcdev", "native", l.alone("plainhub"), c.env, ""},
		l.script("socket.io 4", "socketio", ""),
		l.script("PeerServer", "peerjs", ""),
		{"bare relay", "bare", l.alone("barerelay"), c.env, ""},
	}
	return l, nil
}

// alone is a program of ours that gets its address only.
func (l *lineup) alone(program string) func(string) []string {
	return func(port string) []string { return []string{filepath.Join(l.programs, program), "127.0.0.1:" + port} }
}

// script is a server under Node: counterparts/PROTOCOL.js.
func (l *lineup) script(name, protocol, root string) contestant {
	return contestant{name, protocol, func(port string) []string {
		args := []string{"node", filepath.Join(l.dir, "counterparts", protocol+".js"), port}
		if root != "" {
			args = append(args, l.cert, l.key)
		}
		return args
	}, l.node, root}
}

// raisedLimits are flags of rtcdev serve, where it has them: one address makes all
// connections here, and one client sends as fast as it can.
func raisedLimits(ctx context.Context, rtcdev string) ([]string, error) {
	help, err := exec.CommandContext(ctx, rtcdev, "serve", "--help").CombinedOutput()
	if err != nil {
		return nil, fmt.Errorf("asking rtcdev for its flags: %w\n%s", err, help)
	}
	if !strings.Contains(string(help), "--limit ") {
		return nil, nil
	}
	return []string{
		"--limit", "messages=1000000", "--limit", "bytes=1000000000", "--limit", "rooms=100000",
		"--limit", "connections=100000", "--limit", "connections-per-address=100000",
	}, nil
}
