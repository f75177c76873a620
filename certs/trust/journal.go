package trust

import (
	"context"
	"crypto/x509"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"
	"unicode"
	"unicode/utf8"
)

// journalFile holds the journal, as JSON. It holds no secret: roots are public.
const journalFile = "trust-journal.json"

// maxJournal bounds what is read of the journal, in bytes. A change takes less
// than two thousand.
const maxJournal = 4 << 20

// journalVersion is the form of the file. One of a later rtcdev is not touched.
const journalVersion = 1

// journal is every change that Install began and Remove has not taken back.
type journal struct {
	Version int       `json:"version"`
	Stores  []changed `json:"stores"`
}

// changed is a store that Install was about to change.
type changed struct {
	Store string  `json:"store"` // Store.Name, for people
	Kind  string  `json:"kind"`
	Path  string  `json:"path"`
	Made  string  `json:"made,omitempty"` // it was not there before, and this is the topmost file or folder made for it
	Roots []added `json:"roots"`          // never empty
}

// added is one root that was put in, or was about to be.
type added struct {
	DER   []byte    `json:"der"`
	Since time.Time `json:"since"`
}

func (c changed) is(s Store) bool { return c.Kind == s.Kind() && c.Path == s.Path() }

// find returns what the journal has of a root in a store, or nil.
func (j *journal) find(s Store, root *x509.Certificate) (*changed, *added) {
	for i := range j.Stores {
		if c := &j.Stores[i]; c.is(s) {
			for k := range c.Roots {
				if string(c.Roots[k].DER) == string(root.Raw) {
					return c, &c.Roots[k]
				}
			}
			return c, nil
		}
	}
	return nil, nil
}

// clear removes what a process has made of a store that it did not live to
// finish: certutil, for one, does not go on from there. A store that is complete
// and in use stays, by the contract of unmake.
func (j *journal) clear(ctx context.Context, s Store, root *x509.Certificate) error {
	k, ok := s.(maker)
	c, _ := j.find(s, root)
	if !ok || c == nil || c.Made == "" {
		return nil
	}
	return k.unmake(ctx, c.Made)
}

// record writes into the journal that root is about to be put into s, once a
// half-made store is cleared away, so that Install makes it anew. It needs the lock.
func (m Machine) record(ctx context.Context, s Store, root *x509.Certificate) error {
	j, err := m.readJournal()
	if err != nil {
		return err
	}
	if err := j.clear(ctx, s, root); err != nil {
		return err
	}
	made := ""
	if k, ok := s.(maker); ok {
		made = k.missing()
	}
	return m.updateJournal(func(j *journal) error {
		c, r := j.find(s, root)
		if c == nil {
			j.Stores = append(j.Stores, changed{Store: s.Name(), Kind: s.Kind(), Path: s.Path(), Made: made})
			c = &j.Stores[len(j.Stores)-1]
		} else if c.Made == "" {
			c.Made = made // somebody has deleted it since
		}
		if r == nil {
			c.Roots = append(c.Roots, added{DER: root.Raw, Since: time.Now().UTC().Truncate(time.Second)})
		}
		return nil
	})
}

// forget takes root's change of s out of the journal, once root is out of s. The
// last one takes the store with it, if it was made for it. It needs the lock.
func (m Machine) forget(ctx context.Context, s Store, root *x509.Certificate) error {
	j, err := m.readJournal()
	if err != nil {
		return nil // Remove reports it once, not for each store
	}
	if _, r := j.find(s, root); r == nil {
		return nil // without a record, nobody knows whether the store was made
	}
	return m.updateJournal(func(j *journal) error {
		c, r := j.find(s, root)
		if r == nil {
			return nil // another process was quicker
		}
		if k, ok := s.(maker); ok && c.Made != "" && len(c.Roots) == 1 {
			if err := k.unmake(ctx, c.Made); err != nil {
				return err
			}
		}
		c.Roots = slices.DeleteFunc(c.Roots, func(a added) bool { return string(a.DER) == string(root.Raw) })
		j.Stores = slices.DeleteFunc(j.Stores, func(c changed) bool { return len(c.Roots) == 0 })
		return nil
	})
}

// readJournal reads the journal. One that does not exist is empty.
func (m Machine) readJournal() (journal, error) {
	if m.Journal == "" {
		return journal{}, nil
	}
	path := filepath.Join(m.Journal, journalFile)
	j, err := loadJournal(path)
	if err != nil {
		return journal{}, fault(m.moveAway(path), "reading the journal of changes %s: %w (rtcdev certs untrust finds the roots without it, too)", path, err)
	}
	return j, nil
}

func loadJournal(path string) (journal, error) {
	data, err := readSmall(path, maxJournal)
	if errors.Is(err, fs.ErrNotExist) {
		return journal{}, nil
	}
	if err != nil {
		return journal{}, err
	}
	return parseJournal(data)
}

// parseJournal accepts only what record and forget write: whoever can write the
// file may be somebody else than who acts on it with sudo.
func parseJournal(data []byte) (journal, error) {
	if len(data) > maxJournal {
		return journal{}, errors.New("it is too large")
	}
	var j journal
	if err := json.Unmarshal(data, &j); err != nil {
		return journal{}, fmt.Errorf("it is damaged: %w", err)
	}
	if j.Version != journalVersion {
		return journal{}, fmt.Errorf("it has version %d, and this rtcdev knows version %d", j.Version, journalVersion)
	}
	return j, j.check()
}

// check is what parseJournal accepts. Names and paths go to the terminal.
func (j *journal) check() error {
	for _, c := range j.Stores {
		if strings.ContainsFunc(c.Store+c.Path+c.Made, unprintable) {
			return fmt.Errorf("it is damaged: control characters are in %q at %q", c.Store, c.Path)
		}
		if !slices.Contains(Kinds(), c.Kind) || !filepath.IsAbs(c.Path) || len(c.Roots) == 0 {
			return fmt.Errorf("it is damaged: there is no store %q at %q", c.Kind, c.Path)
		}
		if c.Made != "" && !within(c.Made, c.Path) && filepath.Dir(c.Made) != c.Path {
			return fmt.Errorf("it is damaged: %q was not made for %q", c.Made, c.Path)
		}
		for _, r := range c.Roots {
			if _, err := x509.ParseCertificate(r.DER); err != nil {
				return fmt.Errorf("it is damaged: %w", err)
			}
		}
	}
	return nil
}

// unprintable reports whether r would not show as itself: the control characters,
// and those that turn the direction of writing.
func unprintable(r rune) bool {
	return unicode.IsControl(r) || unicode.Is(unicode.Bidi_Control, r) || r == utf8.RuneError
}

// within reports whether path is dir or something in it.
func within(dir, path string) bool {
	rel, err := filepath.Rel(dir, path)
	return err == nil && filepath.IsLocal(rel)
}

// lockChange keeps other processes of ours from changing a store or the journal,
// from before the one is recorded until it is read back: otherwise one could take
// a record for done with that another is about to act on.
func (m Machine) lockChange(ctx context.Context) (unlock func(), err error) {
	if m.Journal == "" {
		return func() {}, nil
	}
	if unlock, err = m.lockDir(ctx, m.Journal); err != nil {
		return nil, fmt.Errorf("recording the change: %w", err)
	}
	return unlock, nil
}

// updateJournal changes the journal as a whole. It is on the disk before it
// returns. It needs the lock.
func (m Machine) updateJournal(change func(*journal) error) error {
	if m.Journal == "" {
		return nil
	}
	j, err := m.readJournal()
	if err != nil {
		return err
	}
	if err := change(&j); err != nil {
		return err
	}
	if err := j.check(); err != nil { // nobody could read it again
		return fmt.Errorf("recording the change in %s: %w", m.Journal, err)
	}
	j.Version = journalVersion
	if err := m.writeJournal(j); err != nil {
		return fault("make room or give write access in "+quote(m.OS, m.Journal), "recording the change in %s: %w", m.Journal, err)
	}
	return nil
}

// writeJournal replaces the file. An empty journal is no file at all.
func (m Machine) writeJournal(j journal) (err error) {
	sweep(m.Journal)
	path := filepath.Join(m.Journal, journalFile)
	if len(j.Stores) == 0 {
		if err := os.Remove(path); err != nil && !errors.Is(err, fs.ErrNotExist) {
			return err
		}
		return nil
	}
	data, err := json.MarshalIndent(j, "", "\t")
	if err != nil {
		return err
	}
	return replaceFile(path, append(data, '\n'), 0o600)
}
