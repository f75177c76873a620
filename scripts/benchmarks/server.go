package main

import (
	"bufio"
	"bytes"
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"os/exec"
	"strings"
	"syscall"
	"time"
)

const (
	// answerLimit is how long a server may take to answer.
	answerLimit = 20 * time.Second
	// pollPause is short beside what is measured (some ten milliseconds), and
	// leaves the processor to the server in between.
	pollPause = 100 * time.Microsecond
	// stopLimit is how long a server may take to end before it is killed.
	stopLimit = 5 * time.Second
	// injected is what rtcdev serve adds to pages.
	injected = `<script src="/_rtcdev/inject.js"></script>`
)

// A server is a process to measure.
type server struct {
	args []string
	env  []string
	root string // the file of the root that its certificate must lead to
}

// firstResponse starts the server and returns the time until the body of its /
// was read over a connection whose certificate was verified. It ends the server.
func (s server) firstResponse(ctx context.Context, port, body string) (time.Duration, error) {
	ctx, cancel := context.WithTimeout(ctx, answerLimit)
	defer cancel()
	var log bytes.Buffer
	cmd := exec.CommandContext(ctx, s.args[0], s.args[1:]...)
	cmd.Env, cmd.Stderr = s.env, &log
	cmd.Cancel = func() error { return cmd.Process.Signal(syscall.SIGTERM) }
	cmd.WaitDelay = stopLimit
	begin := time.Now()
	if err := cmd.Start(); err != nil {
		return 0, err
	}
	err := s.fetch(ctx, port, body)
	took := time.Since(begin)
	cancel()
	_ = cmd.Wait() // it was told to end
	if err != nil {
		return 0, fmt.Errorf("%q: %w\n%s", s.args, err, &log)
	}
	return took, nil
}

// fetch asks for / as soon as the port takes a connection.
func (s server) fetch(ctx context.Context, port, body string) error {
	conn, err := dial(ctx, net.JoinHostPort("127.0.0.1", port))
	if err != nil {
		return err
	}
	defer conn.Close()
	deadline, _ := ctx.Deadline()
	if err := conn.SetDeadline(deadline); err != nil {
		return err
	}
	roots, err := readRoots(s.root)
	if err != nil {
		return err
	}
	secure := tls.Client(conn, &tls.Config{RootCAs: roots, ServerName: "localhost", NextProtos: []string{"http/1.1"}})
	req, err := http.NewRequest(http.MethodGet, "https://localhost:"+port+"/", nil)
	if err != nil {
		return err
	}
	if err := req.Write(secure); err != nil { // the handshake and the verification come first
		return err
	}
	resp, err := http.ReadResponse(bufio.NewReader(secure), req)
	if err != nil {
		return err
	}
	defer resp.Body.Close()
	got, err := io.ReadAll(resp.Body)
	if err != nil {
		return err
	}
	page := strings.Replace(string(got), injected, "", 1)
	if resp.StatusCode != http.StatusOK || page != body {
		return fmt.Errorf("the answer is %s, %q", resp.Status, got)
	}
	return nil
}

// readRoots reads the file of a root.
func readRoots(file string) (*x509.CertPool, error) {
	pem, err := os.ReadFile(file)
	if err != nil {
		return nil, err
	}
	roots := x509.NewCertPool()
	if !roots.AppendCertsFromPEM(pem) {
		return nil, fmt.Errorf("%s has no certificate", file)
	}
	return roots, nil
}

// dial tries to connect until it can or the context ends.
func dial(ctx context.Context, address string) (net.Conn, error) {
	var d net.Dialer
	for {
		conn, err := d.DialContext(ctx, "tcp", address)
		if err == nil {
			return conn, nil
		}
		if ctx.Err() != nil {
			return nil, errors.Join(ctx.Err(), err)
		}
		time.Sleep(pollPause)
	}
}

// freePort is a TCP port of the loopback address that nobody listens on.
func freePort() (string, error) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return "", err
	}
	defer l.Close()
	_, port, err := net.SplitHostPort(l.Addr().String())
	return port, err
}
