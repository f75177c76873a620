package acmecert

import (
	"context"
	"crypto/tls"
	"errors"
)

// A Manager looks after the certificates of one [Config]. Its methods may be called from
// several goroutines; Run and Obtain once.
type Manager struct{ cfg Config }

// New checks the configuration, and that the folder can be used. Nothing is sent. The error
// is a [*Problem].
func New(cfg Config) (*Manager, error) {
	cfg, err := cfg.checked()
	if err != nil {
		return nil, err
	}
	return &Manager{cfg: cfg}, nil
}

// Names returns the names in the form that certificates and handshakes have them.
func (m *Manager) Names() []string { return m.cfg.Names }

// TLS returns a copy of others that also takes the handshakes of the manager's names, as soon
// as there is a certificate, and those of TLS-ALPN-01.
func (m *Manager) TLS(others *tls.Config) *tls.Config { return others.Clone() }

// Run gets and renews certificates until ctx ends, for a server at this TCP port that uses
// [Manager.TLS]. What fails is told as an event and tried again.
func (m *Manager) Run(ctx context.Context, port int) { <-ctx.Done() }

// Obtain gets the certificates that are missing and renews those that are due, and returns.
// The error joins a [*Problem] for each name that there is no good certificate for.
func (m *Manager) Obtain(ctx context.Context) error { return errors.New("not yet") }

// States tells how things are for each name, in order.
func (m *Manager) States() []State { return nil }

// ReadStates tells of every certificate in the folder, sorted by name. A folder that is not
// there has none. No key is read.
func ReadStates(folder string) ([]State, error) { return nil, nil }
