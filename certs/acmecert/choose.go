package acmecert

import (
	"context"
	"errors"
	"fmt"
	"syscall"
	"time"
)

// A chooser says how the authority is to check a name, just before an order. There is one way for
// each order: one that fails counts, with the authority, and a second one would count again.
type chooser func(ctx context.Context) (Challenge, error)

// serverChooser is for a server with this TLS port, after so many tries that failed.
func (m *Manager) serverChooser(port, failures int) chooser {
	return func(ctx context.Context) (Challenge, error) {
		byTLS := m.cfg.Challenge == TLSALPN01 || m.cfg.Challenge == "" && port == tlsChallengePort
		byHTTP := m.cfg.Challenge != TLSALPN01
		if byTLS && byHTTP && failures%2 == 0 { // in turns: something may stand before one of the ports
			return TLSALPN01, nil
		}
		if !byHTTP {
			return TLSALPN01, nil
		}
		if port == m.cfg.HTTPPort {
			return HTTP01, &Problem{Kind: PortTaken, What: fmt.Sprintf("port %d is the server's own, for HTTPS", port),
				Fix: "forward port 80 to another one, and name that: --http-challenge-port"}
		}
		err := m.waitForPort(ctx, m.cfg.HTTPPort, httpChallengePort)
		if err != nil && byTLS {
			return TLSALPN01, nil
		}
		return HTTP01, err
	}
}

// ownChooser is for when no server runs: a port is opened for either.
func (m *Manager) ownChooser(ctx context.Context) (Challenge, error) {
	if m.cfg.Challenge == TLSALPN01 {
		return TLSALPN01, m.waitForPort(ctx, m.cfg.TLSPort, tlsChallengePort)
	}
	return HTTP01, m.waitForPort(ctx, m.cfg.HTTPPort, httpChallengePort)
}

// portTime is how long another order, of another process, may have the port.
const portTime = 5 * time.Second

// waitForPort is tryPort, for a port that may be free in a moment.
func (m *Manager) waitForPort(ctx context.Context, port, public int) error {
	deadline := time.Now().Add(portTime)
	for {
		err := m.tryPort(port, public)
		if !errors.Is(err, syscall.EADDRINUSE) || time.Now().After(deadline) {
			return err
		}
		select {
		case <-time.After(lockPause):
		case <-ctx.Done():
			return ctx.Err()
		}
	}
}
