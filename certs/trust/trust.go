// Package trust makes this machine's certificate stores trust a root, undoes
// it, and tells the truth about both.
//
// Every answer comes from reading the store itself: after each change the
// store is read back, and a change that does not show is an error. One store's
// failure never stops the others and never looks like success.
//
// The package never prints, never prompts, never uses sudo to become root and
// never waits for ever: each outside command has an empty stdin and a time
// limit. What it touches is decided by the caller, who shows it and asks first.
//
// As root it works on no database of NSS that another user may change, because
// NSS runs the modules that a database names.
//
// # The journal
//
// Before a store is changed, the change is written into the journal, a file in
// the folder that Machine.Journal names: which store, where it is, which root,
// and whether the store had to be made first. So whatever was done, or begun by
// a process that was then killed, is known afterwards: Install again completes
// it, and Remove takes it back, with a database that was made for it, unless
// somebody else has come to use that. A store that can no longer be found by
// looking (a JAVA_HOME that has changed) is found in the journal: it is read and
// cleaned, and nothing is put into it. What the journal says is never taken for
// what a store holds: that is always read.
//
// # Limits
//
// A Machine's methods must not run at the same time as each other within a
// process (the library behind the Linux system store has global settings). A
// second process at the same time is safe, because a change of a store, with what
// the journal says of it, is made under a lock on the journal's folder. On a file
// system without locks (NFS), and without a journal, one of the two may fail, and
// then says so, or one may put back what the other takes out. What is said of
// macOS and Windows was tested with answers of their tools that we composed from
// published documents, not on such machines.
package trust

import (
	"context"
	"crypto/sha256"
	"crypto/x509"
	"encoding/hex"
	"errors"
	"fmt"
	"slices"
	"time"
)

// Kinds of stores, as a person selects them.
const (
	KindSystem  = "system"  // the operating system's own store; under WSL, Windows' too
	KindNSS     = "nss"     // a database of Mozilla's NSS, which Chromium and Chrome read on Linux
	KindFirefox = "firefox" // the same kind of database, in a profile of Firefox
	KindJava    = "java"    // the keystore of an installed Java
	KindPolicy  = "policy"  // the file by which an administrator of Linux sets a browser up
)

// Kinds returns every kind there is, in the order they are changed.
func Kinds() []string {
	return []string{KindSystem, KindNSS, KindFirefox, KindJava, KindPolicy}
}

// The browsers that a store's Status names.
const (
	BrowserChromium = "Chromium and Chrome"
	BrowserFirefox  = "Firefox"
	BrowserMac      = "Safari and Chrome"
	BrowserWindows  = "Edge and Chrome"
)

// Reasons a store cannot be used or changed. A [Fault] wraps one of them.
var (
	ErrNeedsRoot   = errors.New("only root may change it")
	ErrToolMissing = errors.New("not installed")
	ErrUnsupported = errors.New("not supported by this release")
	ErrPassword    = errors.New("it is protected by a password")
	ErrReadOnly    = errors.New("it may not be written")
	ErrDatabase    = errors.New("it is damaged")
	ErrLocked      = errors.New("another program keeps it locked")
	ErrNameTaken   = errors.New("its entry under the root's name holds another certificate")
	ErrNotOwner    = errors.New("it belongs to another user")
	ErrTimeout     = errors.New("no answer in time")
	ErrNotVerified = errors.New("reading the store back does not show the change")
)

// Fault is an error with the next step for the person.
type Fault struct {
	Err error  // what failed and why; wraps one of the sentinel errors
	Fix string // the next command or step; empty when there is none
}

// Error says what failed and why, without the fix.
func (f *Fault) Error() string { return f.Err.Error() }

// Unwrap returns the underlying error.
func (f *Fault) Unwrap() error { return f.Err }

func fault(fix string, format string, args ...any) error {
	return &Fault{Err: fmt.Errorf(format, args...), Fix: fix}
}

// State is what reading a store showed.
type State string

// The states of a store.
const (
	StateTrusted     State = "trusted"     // it holds exactly this root and trusts it for TLS servers
	StateAbsent      State = "absent"      // it was read, and does not trust this root
	StateStale       State = "stale"       // as absent, and it holds a root of an earlier authority of ours
	StateUnused      State = "unused"      // it does not exist and no program of this account would read it
	StateUnavailable State = "unavailable" // it cannot be used on this machine as it is
	StateUnknown     State = "unknown"     // it exists and could not be read
)

// Status is what reading one store showed.
type Status struct {
	State     State  `json:"state"`
	Reason    string `json:"reason,omitempty"`    // why it is so, one plain sentence without the store's name
	Fix       string `json:"fix,omitempty"`       // the next command or step; empty when there is none
	Note      string `json:"note,omitempty"`      // what a change needs to be seen, such as a browser to restart; Status leaves it empty
	Browser   string `json:"browser,omitempty"`   // which browser of this account reads this store, such as BrowserFirefox; empty for none
	NeedsRoot bool   `json:"needsRoot,omitempty"` // changing it needs root, and we are not
	Path      string `json:"path,omitempty"`      // the file or folder that was read
	Stale     int    `json:"stale,omitempty"`     // how many other roots of ours are in it

	// From the journal, when Install put this root in.
	Since time.Time `json:"since,omitzero"` // when
	Made  bool      `json:"made,omitempty"` // the store was not there before, and goes when the root does

	because error // the sentinel error why it is StateUnavailable
	entry   bool  // an entry with this root is there, trusted or not
	running bool  // its browser is known to run now
}

// foreign reports whether root leaves the store alone because another user may
// change it.
func (st Status) foreign() bool { return errors.Is(st.because, ErrNotOwner) }

// Result is one store after Install, Remove or Status. Err is nil when the
// store is as asked, or was left alone because nobody asked for it.
type Result struct {
	Store   string `json:"store"` // Store.Name
	Kind    string `json:"kind"`  // Store.Kind
	Status         // read back after the change
	Changed bool   `json:"changed"`
	Skipped bool   `json:"skipped"`          // left alone; Reason says why
	Unmade  bool   `json:"unmade,omitempty"` // Remove: the store, which had been made for the root, is gone again
	Err     error  `json:"-"`
}

// Store is one place that can trust a root.
type Store interface {
	Name() string // short and stable, such as "system" or "nss ~/.pki/nssdb"
	Kind() string // KindSystem and so on
	Path() string // the file or folder it is kept in; with the kind, it says which store it is
	// Status reads the store and changes nothing.
	Status(ctx context.Context, root *x509.Certificate) Status
	// Install makes the store trust root. Doing it twice is no error.
	Install(ctx context.Context, root *x509.Certificate) error
	// Remove deletes root, and nothing else. Doing it twice is no error.
	Remove(ctx context.Context, root *x509.Certificate) error
	// Roots returns what Install put in and is still there. Some may be
	// returned together with an error.
	Roots(ctx context.Context) ([]*x509.Certificate, error)
}

// maker is a Store that Install makes when it is not there.
type maker interface {
	Store
	// missing returns the topmost file or folder that Install would have to
	// make, and "" when the store is there.
	missing() string
	// unmake deletes what Install made, complete or half-made, and the folders
	// up to top (an earlier answer of missing) as far as they are empty. When
	// anything else has come to be in the store, it stays as it is: no error.
	unmake(ctx context.Context, top string) error
}

const reasonAbsent = "the root is not in it"

// Status reads every store of the given kinds, all kinds when none is given.
func (m Machine) Status(ctx context.Context, root *x509.Certificate, kinds ...string) []Result {
	return m.read(ctx, root, kinds, func(Store) bool { return true })
}

// BrowserStatus is Status for the question whether browsers trust root: it leaves
// out Java's keystores, because starting Java takes half a second for each.
func (m Machine) BrowserStatus(ctx context.Context, root *x509.Certificate) []Result {
	return m.read(ctx, root, nil, func(s Store) bool { return s.Kind() != KindJava })
}

func (m Machine) read(ctx context.Context, root *x509.Certificate, kinds []string, wanted func(Store) bool) []Result {
	j, err := m.readJournal()
	results := m.each(kinds, func(s Store) Result {
		r := Result{Store: s.Name(), Kind: s.Kind()}
		if wanted(s) {
			r.Status = j.status(ctx, s, root)
		}
		return r
	})
	results = slices.DeleteFunc(results, func(r Result) bool { return r.State == "" }) // not wanted
	return withFault(err, served(kinds, results))
}

// withFault adds what is wrong with the journal. It comes after the stores,
// which can be read, and cleaned, without it.
func withFault(err error, results []Result) []Result {
	if err != nil {
		results = append(results, Result{Store: "journal", Err: err, Status: unreadable(Status{}, err)})
	}
	return results
}

// status reads a store, and adds what the journal knows.
func (j journal) status(ctx context.Context, s Store, root *x509.Certificate) Status {
	st := s.Status(ctx, root)
	if st.State == StateAbsent && st.Stale > 0 {
		st.State, st.Reason = StateStale, "it trusts the root of an earlier authority, not this one"
		if st.NeedsRoot {
			st.Reason += "; only root may change it"
		}
	}
	if c, r := j.find(s, root); r != nil && st.entry {
		st.Since, st.Made = r.Since, c.Made != ""
	}
	return st
}

// each does one thing to every store of the given kinds, in turn. A kind that
// this machine has no store of is an error, so that it cannot pass for done.
func (m Machine) each(kinds []string, do func(Store) Result) []Result {
	stores, missing := m.selected(kinds)
	var out []Result
	for _, s := range stores {
		out = append(out, do(s))
	}
	for _, kind := range missing {
		err := noSuchStore(kind)
		out = append(out, Result{Store: kind, Kind: kind, Err: err, Status: unreadable(Status{}, err)})
	}
	return out
}

// selected returns the stores of the given kinds, all stores when none is given,
// and the kinds that no store has.
func (m Machine) selected(kinds []string) (stores []Store, missing []string) {
	missing = slices.Clone(kinds)
	m.asked = kinds
	for _, s := range m.Stores() {
		missing = slices.DeleteFunc(missing, func(kind string) bool { return kind == s.Kind() })
		if len(kinds) == 0 || slices.Contains(kinds, s.Kind()) {
			stores = append(stores, s)
		}
	}
	return stores, missing
}

func noSuchStore(kind string) error {
	return fmt.Errorf("finding a store of kind %q: %w", kind, ErrUnsupported)
}

// id is the first 16 hex digits of the SHA-256 fingerprint of root: enough to
// keep two roots of ours apart, short enough to read.
func id(root *x509.Certificate) string {
	sum := sha256.Sum256(root.Raw)
	return hex.EncodeToString(sum[:8])
}
