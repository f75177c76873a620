package main

import (
	"bufio"
	"bytes"
	"context"
	"embed"
	"encoding/json"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"sync"
	"syscall"
	"time"
)

//go:embed page
var page embed.FS

// stopLimit is how long a program may take to end before it is killed.
const stopLimit = 5 * time.Second

// A stage is a home folder of its own, and a server in it.
type stage struct {
	program, dir string
	env          []string
	url          string
	server       *program
}

func newStage(ctx context.Context, name string) (*stage, error) {
	dir, err := os.MkdirTemp("", "peers-")
	if err != nil {
		return nil, err
	}
	s := &stage{program: name, dir: dir}
	// The machine's own stores stay as they are.
	s.env = []string{"HOME=" + dir, "TMPDIR=" + dir, "PATH=" + os.Getenv("PATH"), "RTCDEV_STORES=nss"}
	if err := s.open(ctx); err != nil {
		s.close()
		return nil, err
	}
	return s, nil
}

func (s *stage) open(ctx context.Context) error {
	if err := os.CopyFS(s.dir, page); err != nil {
		return err
	}
	trust := exec.CommandContext(ctx, s.program, "certs", "trust", "--yes")
	trust.Env, trust.Dir = s.env, s.dir
	if out, err := trust.CombinedOutput(); err != nil {
		return fmt.Errorf("making Chromium trust the server: %w\n%s", err, out)
	}
	ready := make(chan string, 1)
	var err error
	if s.server, err = s.start(ctx, func(line []byte) {
		var e struct{ Event, URL string }
		if json.Unmarshal(line, &e) == nil && e.Event == "ready" {
			ready <- e.URL
		}
	}, "serve", filepath.Join(s.dir, "page"), "--json", "--trust=no", "--port", "0"); err != nil {
		return err
	}
	select {
	case s.url = <-ready:
		return nil
	case <-s.server.ended:
		return fmt.Errorf("the server ended before it was ready: %s", s.server.log.String())
	case <-ctx.Done():
		return context.Cause(ctx)
	}
}

func (s *stage) close() {
	if s.server != nil {
		s.server.stop()
	}
	_ = os.RemoveAll(s.dir) // what is left in the system's folder for such things goes some day
}

// room is the address of a room.
func (s *stage) room(name string) string { return s.url + "?room=" + name }

// A program is a running rtcdev.
type program struct {
	cmd    *exec.Cmd
	log    bytes.Buffer // complete once ended is closed
	ended  chan struct{}
	cancel context.CancelFunc
}

// start runs rtcdev. Each line that it prints is heard.
func (s *stage) start(ctx context.Context, hear func(line []byte), args ...string) (*program, error) {
	ctx, cancel := context.WithCancel(ctx)
	p := &program{cmd: exec.CommandContext(ctx, s.program, args...), ended: make(chan struct{}), cancel: cancel}
	p.cmd.Env, p.cmd.Dir, p.cmd.Stderr, p.cmd.WaitDelay = s.env, s.dir, &p.log, stopLimit
	p.cmd.Cancel = func() error { return p.cmd.Process.Signal(syscall.SIGTERM) }
	stdout, err := p.cmd.StdoutPipe()
	if err == nil {
		err = p.cmd.Start()
	}
	if err != nil {
		cancel()
		return nil, fmt.Errorf("starting rtcdev %s: %w", args[0], err)
	}
	var reading sync.WaitGroup
	reading.Go(func() {
		for lines := bufio.NewScanner(stdout); lines.Scan(); {
			hear(lines.Bytes())
		}
	})
	go func() {
		defer close(p.ended)
		reading.Wait()
		_ = p.cmd.Wait() // it was told to end, or its log says why
	}()
	return p, nil
}

func (p *program) stop() {
	p.cancel()
	<-p.ended
}
