package trust

import (
	"context"
	"crypto/x509"
	"errors"
	"fmt"
	"strings"
)

// Install makes each store of the given kinds trust root, and reads it back: a
// Result says all that a call of Status would say then.
// Without kinds every store is tried, and one that needs root when we are not
// root, or that root leaves alone because another user may change it, is left
// alone (Skipped); asked for by its kind, that is an error.
func (m Machine) Install(ctx context.Context, root *x509.Certificate, kinds ...string) []Result {
	return served(kinds, m.each(kinds, func(s Store) Result { return m.install(ctx, s, root, len(kinds) > 0) }))
}

func (m Machine) install(ctx context.Context, s Store, root *x509.Certificate, asked bool) Result {
	j, _ := m.readJournal() // with the stores before this one; a fault of it stops record
	before := j.status(ctx, s, root)
	r := Result{Store: s.Name(), Kind: s.Kind(), Status: before}
	_, known := s.(knownStore)
	switch {
	case before.State == StateTrusted:
		return r
	case before.State == StateUnused, known, (before.NeedsRoot || before.foreign()) && !asked:
		r.Skipped = true
		return r
	}
	unlock, err := m.lockChange(ctx)
	if err != nil {
		r.Err = err
		r.settle(before, before)
		return r
	}
	defer unlock()
	if r.Err = m.record(ctx, s, root); r.Err != nil {
		r.settle(before, before)
		return r
	}
	r.Err = s.Install(ctx, root)
	after := s.Status(ctx, root)
	if r.Err == nil && after.State != StateTrusted {
		r.Err = m.notVerified(after)
	}
	if r.Err != nil && !after.entry && ctx.Err() == nil {
		// Nothing of the change is there. The first error is the one to report;
		// what cannot be taken back stays in the journal.
		_ = m.forget(ctx, s, root)
	}
	j, _ = m.readJournal()
	r.settle(j.status(ctx, s, root), before)
	return r
}

// Remove deletes root from each store of the given kinds, all kinds when none
// is given, and reads it back. A store that still trusts root afterwards is an
// error, also when only root may change it. Without kinds, one that root leaves
// alone because another user may change it is passed over (Skipped), unless the
// journal says that this root was put there.
func (m Machine) Remove(ctx context.Context, root *x509.Certificate, kinds ...string) []Result {
	_, err := m.readJournal()
	return withFault(err, m.each(kinds, func(s Store) Result { return m.remove(ctx, s, root, len(kinds) > 0) }))
}

func (m Machine) remove(ctx context.Context, s Store, root *x509.Certificate, asked bool) Result {
	unlock, err := m.lockChange(ctx)
	if errors.Is(err, ErrTimeout) || err != nil && ctx.Err() != nil {
		r := Result{Store: s.Name(), Kind: s.Kind(), Err: err}
		st := s.Status(ctx, root)
		r.settle(st, st)
		return r
	}
	if err == nil { // otherwise the journal cannot be used, which Remove reports
		defer unlock()
	}
	j, _ := m.readJournal()
	before := j.status(ctx, s, root)
	r := Result{Store: s.Name(), Kind: s.Kind(), Status: before}
	_, recorded := j.find(s, root)
	passOver := recorded == nil && !asked
	if recorded == nil && !before.entry && before.State == StateUnused || passOver && before.foreign() {
		r.Skipped = true
		return r
	}
	there := stands(s)
	if !before.entry {
		r.Err = j.clear(ctx, s, root)
	}
	if r.Err == nil {
		r.Err = s.Remove(ctx, root)
	}
	after := s.Status(ctx, root)
	if errors.Is(r.Err, ErrPassword) && passOver {
		r.Err, r.Skipped = nil, true // Install has no password: what is in there is not of its doing
		return r
	}
	if r.Err == nil && (after.entry || after.State == StateTrusted || after.State == StateUnknown) {
		r.Err = m.notVerified(after)
	}
	if r.Err == nil {
		r.Err = m.forget(ctx, s, root)
	}
	if r.settle(after, before); r.Err == nil { // what Status says of the store is about adding the root
		r.State, r.Reason, r.Fix = StateAbsent, reasonAbsent, ""
		r.Unmade = before.Made && there && !stands(s)
		if p, ok := s.(policyStore); ok && r.Changed {
			r.Note = strings.TrimSpace(r.Note + " " + p.removedNote())
		}
	}
	return r
}

// stands reports whether a store that can be made is there.
func stands(s Store) bool {
	k, ok := s.(maker)
	return ok && k.missing() == ""
}

// notVerified is the fault of a change that went well by what its program said,
// and does not show.
func (m Machine) notVerified(after Status) error {
	reason, fix := after.Reason, after.Fix
	if reason == "" {
		reason = "the root is still in it"
	}
	if path := after.Path; fix == "" && path != "" {
		fix = fmt.Sprintf("make sure that %s may be written and that its disk has room: %s", quote(m.OS, path), m.listing(path))
		if m.OS != "windows" {
			fix += "; df " + quote(m.OS, path)
		}
	}
	return fault(fix, "%w: %s", ErrNotVerified, reason)
}

// settle puts what was read back into r, with the fix of its error first, and
// with a note if a browser has to be told.
func (r *Result) settle(after, before Status) {
	r.Status = after
	r.Changed = after.entry != before.entry || (after.State == StateTrusted) != (before.State == StateTrusted)
	if r.Changed && r.Browser != "" {
		r.Note = restartNote(r.Browser, r.running)
	}
	var f *Fault
	if errors.As(r.Err, &f) && f.Fix != "" {
		r.Fix = f.Fix
	}
}
