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
// Limits of this form: the Linux system store and the NSS databases that
// Chromium and Chrome read. An NSS database created here is left in place,
// empty, by Remove: no record is kept of who created it, and an empty database
// trusts nothing. A Machine's methods must not run at the same time as each
// other within a process (the library behind the system store has global
// settings). A second process at the same time is safe; on a file system without
// locks (NFS), one of the two may fail, and then says so.
package trust

import (
	"context"
	"crypto/sha256"
	"crypto/x509"
	"encoding/hex"
	"errors"
	"fmt"
	"slices"
)

// Kinds of stores, as a person selects them.
const (
	KindSystem = "system" // the operating system's own store
	KindNSS    = "nss"    // a database of Mozilla's NSS, which Chromium and Chrome read on Linux
)

// Reasons a store cannot be used or changed. A [Fault] wraps one of them.
var (
	ErrNeedsRoot   = errors.New("only root may change it")
	ErrToolMissing = errors.New("not installed")
	ErrUnsupported = errors.New("not supported by this release")
	ErrPassword    = errors.New("it is protected by a password")
	ErrReadOnly    = errors.New("it may not be written")
	ErrDatabase    = errors.New("it is damaged, or locked by another program")
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
	Browser   bool   `json:"browser,omitempty"`   // Chromium on this account reads this store
	NeedsRoot bool   `json:"needsRoot,omitempty"` // changing it needs root, and we are not
	Path      string `json:"path,omitempty"`      // the file or folder that was read

	entry bool // an entry with this root is there, trusted or not
}

// Result is one store after Install, Remove or Status. Err is nil when the
// store is as asked, or was left alone because nobody asked for it.
type Result struct {
	Store   string `json:"store"` // Store.Name
	Kind    string `json:"kind"`  // Store.Kind
	Status         // read back after the change
	Changed bool   `json:"changed"`
	Skipped bool   `json:"skipped"` // left alone; Reason says why
	Err     error  `json:"-"`
}

// Store is one place that can trust a root.
type Store interface {
	Name() string // short and stable, such as "system" or "nss ~/.pki/nssdb"
	Kind() string // KindSystem or KindNSS
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

// restartNote is true of a changed store that the browser reads.
const restartNote = "Restart Chromium and Chrome if they are running: they read this store when they start."

const reasonAbsent = "the root is not in it"

// Status reads every store of the given kinds, all kinds when none is given.
func (m Machine) Status(ctx context.Context, root *x509.Certificate, kinds ...string) []Result {
	return m.each(kinds, func(s Store) Result {
		return Result{Store: s.Name(), Kind: s.Kind(), Status: s.Status(ctx, root)}
	})
}

// Install makes each store of the given kinds trust root, and reads it back: a
// Result says all that a call of Status would say then.
// Without kinds every store is tried, and one that needs root is left alone
// (Skipped) when we are not root; asked for by its kind, that is an error.
func (m Machine) Install(ctx context.Context, root *x509.Certificate, kinds ...string) []Result {
	return m.each(kinds, func(s Store) Result { return install(ctx, s, root, len(kinds) > 0) })
}

func install(ctx context.Context, s Store, root *x509.Certificate, asked bool) Result {
	before := s.Status(ctx, root)
	r := Result{Store: s.Name(), Kind: s.Kind(), Status: before}
	switch {
	case before.State == StateTrusted:
		return r
	case before.State == StateUnused, before.NeedsRoot && !asked:
		r.Skipped = true
		return r
	}
	r.Err = s.Install(ctx, root)
	r.settle(s.Status(ctx, root), before)
	if r.Err == nil && r.State != StateTrusted {
		r.Err = fmt.Errorf("%w: %s", ErrNotVerified, r.Reason)
	}
	return r
}

// Remove deletes root from each store of the given kinds, all kinds when none
// is given, and reads it back. A store that still trusts root afterwards is an
// error, also when only root may change it.
func (m Machine) Remove(ctx context.Context, root *x509.Certificate, kinds ...string) []Result {
	return m.each(kinds, func(s Store) Result { return remove(ctx, s, root) })
}

func remove(ctx context.Context, s Store, root *x509.Certificate) Result {
	before := s.Status(ctx, root)
	r := Result{Store: s.Name(), Kind: s.Kind(), Status: before}
	if before.State == StateUnused {
		r.Skipped = true
		return r
	}
	r.Err = s.Remove(ctx, root)
	r.settle(s.Status(ctx, root), before)
	if r.Err == nil && (r.entry || r.State == StateTrusted || r.State == StateUnknown) {
		r.Err = fmt.Errorf("%w: %s", ErrNotVerified, r.Reason)
	}
	if r.Err == nil { // what Status says of the store is about adding the root
		r.State, r.Reason, r.Fix = StateAbsent, reasonAbsent, ""
	}
	return r
}

// settle puts what was read back into r, with the fix of its error first, and
// with a note if a browser has to be told.
func (r *Result) settle(after, before Status) {
	r.Status = after
	r.Changed = after.State != before.State || after.entry != before.entry
	if r.Changed && r.Browser {
		r.Note = restartNote
	}
	var f *Fault
	if errors.As(r.Err, &f) && f.Fix != "" {
		r.Fix = f.Fix
	}
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

// Trusted reports whether the browser of this account trusts the
// root: every store marked Browser trusts it, and there is one.
func Trusted(results []Result) bool {
	found := false
	for _, r := range results {
		if r.Browser {
			found = true
			if r.State != StateTrusted {
				return false
			}
		}
	}
	return found
}

// id is the first 16 hex digits of the SHA-256 fingerprint of root: enough to
// keep two roots of ours apart, short enough to read.
func id(root *x509.Certificate) string {
	sum := sha256.Sum256(root.Raw)
	return hex.EncodeToString(sum[:8])
}
