package trust

import (
	"context"
	"crypto/x509"
	"errors"
	"io/fs"
	"os"
	"path/filepath"
)

// storeAt returns a store that Stores did not find and the journal knows. It is
// nil for the kinds of which Stores always finds every one.
//
// Whoever can write the journal decides what such a store is. So nothing is put
// into it; and when another user can, root does nothing with a database there.
func (m Machine) storeAt(c changed) Store {
	if c.Kind == KindNSS || c.Kind == KindFirefox {
		if err := m.guarded(filepath.Join(m.Journal, journalFile)); err != nil {
			return unreachable{c, err}
		}
	}
	_, err := os.Lstat(c.Path)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return goneStore{c}
	case err != nil:
		return unreachable{c, fault(m.listing(c.Path), "reading %s, which was changed earlier: %w", c.Path, err)}
	case c.Kind == KindNSS:
		return knownStore{m.nssAt(c.Path)}
	case c.Kind == KindFirefox:
		return knownStore{m.firefoxAt(c.Path)}
	case c.Kind == KindJava:
		return knownStore{m.javaAt(c.Path)}
	}
	return nil
}

// knownStore is one that only the journal knows: it is read and cleaned, and
// Install puts nothing into it.
type knownStore struct{ Store }

func (knownStore) Install(context.Context, *x509.Certificate) error { return nil }

func (knownStore) missing() string { return "" }

func (s knownStore) unmake(ctx context.Context, top string) error {
	if k, ok := s.Store.(maker); ok {
		return k.unmake(ctx, top)
	}
	return nil
}

// unreachable is one that the journal knows and that nobody can say more of than
// why. The journal keeps it.
type unreachable struct {
	changed changed
	err     error
}

func (s unreachable) Name() string { return s.changed.Store }
func (s unreachable) Kind() string { return s.changed.Kind }
func (s unreachable) Path() string { return s.changed.Path }

func (s unreachable) Status(context.Context, *x509.Certificate) Status {
	return unreadable(Status{Path: s.changed.Path}, s.err)
}

func (s unreachable) Install(context.Context, *x509.Certificate) error { return s.err }
func (s unreachable) Remove(context.Context, *x509.Certificate) error  { return s.err }
func (s unreachable) Roots(context.Context) ([]*x509.Certificate, error) {
	return nil, s.err
}

// goneStore is one that the journal knows and that somebody has deleted, such as
// the database of a browser profile. Remove takes it out of the journal.
type goneStore struct{ changed changed }

func (s goneStore) Name() string { return s.changed.Store }
func (s goneStore) Kind() string { return s.changed.Kind }
func (s goneStore) Path() string { return s.changed.Path }

func (s goneStore) Status(context.Context, *x509.Certificate) Status {
	return Status{State: StateUnused, Reason: "it is not there any more", Path: s.changed.Path}
}

func (goneStore) Install(context.Context, *x509.Certificate) error   { return nil }
func (goneStore) Remove(context.Context, *x509.Certificate) error    { return nil }
func (goneStore) Roots(context.Context) ([]*x509.Certificate, error) { return nil, nil }

// noStore stands for the stores of a kind that the caller named and this machine
// has none of. Its fault says what is missing; default runs pass over it.
type noStore struct {
	m    Machine
	kind string
	err  error
}

func (s noStore) Name() string { return s.kind }
func (s noStore) Kind() string { return s.kind }
func (s noStore) Path() string { return s.m.Home }

func (s noStore) Status(context.Context, *x509.Certificate) Status {
	return unreadable(Status{}, s.err)
}

func (s noStore) Install(context.Context, *x509.Certificate) error   { return s.err }
func (s noStore) Remove(context.Context, *x509.Certificate) error    { return nil }
func (s noStore) Roots(context.Context) ([]*x509.Certificate, error) { return nil, nil }
