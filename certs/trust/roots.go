package trust

import (
	"context"
	"crypto/x509"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
)

// Roots returns every root that Install put into a store of the given kinds, all
// kinds when none is given, and that is still there, trusted or not: also one
// whose authority was deleted or moved away, which nothing else would find; and
// every root that Install began to put in, according to the journal. Each is
// returned once, and Remove takes it out.
//
// A root is known by the name that Install gives to its entry or file. That name
// holds a part of the root's fingerprint, and one that holds another certificate
// is left out. So is a root that somebody imported under a name of their own.
//
// The error joins those of the stores that could not be read. What the other
// stores hold is returned all the same.
func (m Machine) Roots(ctx context.Context, kinds ...string) ([]*x509.Certificate, error) {
	stores, missing := m.selected(kinds)
	var roots []*x509.Certificate
	var faults []error
	j, err := m.readJournal()
	if err != nil {
		faults = append(faults, err)
	}
	for _, s := range stores {
		found, err := s.Roots(ctx)
		if err != nil {
			faults = append(faults, fmt.Errorf("looking for roots in %s: %w", s.Name(), err))
		}
		for _, root := range append(found, j.roots(s)...) {
			if !slices.ContainsFunc(roots, root.Equal) {
				roots = append(roots, root)
			}
		}
	}
	for _, kind := range missing {
		faults = append(faults, noSuchStore(kind))
	}
	return roots, errors.Join(faults...)
}

// Orphans is Status for those who have no root to ask for: each store of the given
// kinds, all kinds when none is given, that holds a root of ours (StateStale, Stale
// of them), and each that could not be read. The others are left out.
func (m Machine) Orphans(ctx context.Context, kinds ...string) []Result {
	j, err := m.readJournal()
	results := m.each(kinds, func(s Store) Result {
		r := Result{Store: s.Name(), Kind: s.Kind()}
		held, err := s.Roots(ctx)
		switch {
		case len(held) > 0:
			r.Status = j.status(ctx, s, held[0])
			r.State, r.Stale, r.Fix = StateStale, len(held), ""
			r.Reason = "it holds the root of an earlier authority"
			if len(held) > 1 {
				r.Reason = fmt.Sprintf("it holds %d roots of earlier authorities", len(held))
			}
		case err != nil:
			r.Status = unreadable(Status{Path: s.Path()}, err)
		}
		return r
	})
	results = slices.DeleteFunc(results, func(r Result) bool { return r.State == "" }) // nothing to tell of it
	return withFault(err, results)
}

// roots returns those the journal has of a store.
func (j *journal) roots(s Store) []*x509.Certificate {
	var roots []*x509.Certificate
	for _, c := range j.Stores {
		for _, r := range c.Roots {
			if root, err := x509.ParseCertificate(r.DER); err == nil && c.is(s) {
				roots = append(roots, root)
			}
		}
	}
	return roots
}

func (s nssStore) Roots(ctx context.Context) ([]*x509.Certificate, error) {
	there, err := s.check()
	if err != nil || !there {
		return nil, err
	}
	unlock, err := s.lockToRead(ctx)
	if err != nil {
		return nil, err
	}
	defer unlock()
	entries, err := s.list(ctx)
	if err != nil {
		return nil, err
	}
	var roots []*x509.Certificate
	for _, e := range entries {
		if !ourNick.MatchString(e.nick) {
			continue
		}
		held, err := s.certificates(ctx, e.nick)
		if err != nil {
			return roots, err
		}
		for _, der := range held {
			if root, err := x509.ParseCertificate(der); err == nil && nickname(root) == e.nick {
				roots = append(roots, root)
			}
		}
	}
	return roots, nil
}

func (s systemStore) Roots(context.Context) ([]*x509.Certificate, error) {
	l, err := s.layout()
	if err != nil {
		return nil, nil // Install does not work there, so it put nothing there
	}
	entries, err := os.ReadDir(l.anchors)
	if err != nil {
		return nil, err
	}
	var roots []*x509.Certificate
	var faults []error
	for _, e := range entries {
		path := filepath.Join(l.anchors, e.Name())
		if !strings.HasPrefix(e.Name(), anchorStem) || !e.Type().IsRegular() {
			continue
		}
		held, err := readBundle(path)
		if err != nil {
			faults = append(faults, err)
		}
		for _, der := range held {
			if root, err := x509.ParseCertificate(der); err == nil && l.anchor(root) == path {
				roots = append(roots, root)
			}
		}
	}
	return roots, errors.Join(faults...)
}
