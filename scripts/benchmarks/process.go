package main

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"net"
	"os/exec"
	"sync"
	"syscall"
)

// The server has one core and the generator another, so that neither takes from
// the other what is measured.
const (
	serverCore    = "0"
	generatorCore = "1"
)

// A process is a running server.
type process struct {
	cmd     *exec.Cmd
	address string
	log     logbook
	end     context.CancelFunc
}

// startServer starts a server on its core, and returns when its port takes
// connections. Its stop has to be called.
func startServer(ctx context.Context, c contestant, port string) (*process, error) {
	return startUnpinned(ctx, c, port, "taskset", "-c", serverCore)
}

// startUnpinned is startServer on all cores. What is before the server's own command is
// a program that becomes it.
func startUnpinned(ctx context.Context, c contestant, port string, before ...string) (*process, error) {
	p := &process{address: net.JoinHostPort("127.0.0.1", port)}
	ctx, p.end = context.WithCancel(ctx)
	args := append(before, c.args(port)...)
	p.cmd = exec.CommandContext(ctx, args[0], args[1:]...)
	p.cmd.Env, p.cmd.Stderr = c.env, &p.log
	p.cmd.Cancel = func() error { return p.cmd.Process.Signal(syscall.SIGTERM) }
	p.cmd.WaitDelay = stopLimit
	if err := p.cmd.Start(); err != nil {
		return nil, err
	}
	ready, cancel := context.WithTimeout(ctx, answerLimit)
	defer cancel()
	conn, err := dial(ready, p.address)
	if err != nil {
		p.stop()
		return nil, fmt.Errorf("starting %q: %w\n%s", p.cmd.Args, err, &p.log)
	}
	return p, conn.Close()
}

// A logbook keeps what a running process says. It may be read meanwhile.
type logbook struct {
	mu   sync.Mutex
	text bytes.Buffer
}

func (l *logbook) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.text.Write(p)
}

func (l *logbook) String() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.text.String()
}

// pid is the server's own: taskset becomes the program that it runs.
func (p *process) pid() int { return p.cmd.Process.Pid }

// stop asks the server to end and waits until it has.
func (p *process) stop() {
	p.end()
	_ = p.cmd.Wait() // it was told to end
}

// An outcome is what loadgen prints.
type outcome struct {
	Count     int     `json:"count"`
	Wall      float64 `json:"wall_seconds"`
	CPU       float64 `json:"server_seconds"`
	P50       float64 `json:"p50_us"`
	P99       float64 `json:"p99_us"`
	Base      float64 `json:"base_bytes"`
	Joined    float64 `json:"joined_bytes"`
	Exchanged float64 `json:"exchanged_bytes"`
}

// least is the least of each figure of two outcomes of the same load.
func (o outcome) least(p outcome) outcome {
	o.Wall, o.CPU = min(o.Wall, p.Wall), min(o.CPU, p.CPU)
	o.P50, o.P99 = min(o.P50, p.P50), min(o.P99, p.P99)
	return o
}

// generate runs loadgen on its core, against the server.
func (p *process) generate(ctx context.Context, program string, args ...string) (outcome, error) {
	args = append([]string{"-c", generatorCore, program, "-address", p.address, "-pid", fmt.Sprint(p.pid())}, args...)
	cmd := exec.CommandContext(ctx, "taskset", args...)
	var out, log bytes.Buffer
	cmd.Stdout, cmd.Stderr = &out, &log
	var o outcome
	if err := cmd.Run(); err != nil {
		return o, fmt.Errorf("%q: %w\n%s%s", args, err, &log, &p.log)
	}
	return o, json.Unmarshal(out.Bytes(), &o)
}
