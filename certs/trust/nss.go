package trust

import (
	"bytes"
	"context"
	"crypto/x509"
	"encoding/pem"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"regexp"
)

// nssStore is one NSS database ("sql:" form: cert9.db, key4.db, pkcs11.txt),
// worked on with NSS's own certutil.
type nssStore struct {
	m       Machine
	kind    string // KindNSS or KindFirefox
	dir     string
	browser string // which browser of this account reads it
	unused  string // why nobody needs it, and Install must not make it; empty for all others
}

func (s nssStore) Kind() string { return s.kind }
func (s nssStore) Path() string { return s.dir }
func (s nssStore) Name() string { return s.kind + " " + s.m.tilde(s.dir) }

// program is what most likely uses the database, for messages.
func (s nssStore) program() string {
	if s.kind == KindFirefox {
		return "Firefox"
	}
	return "Chromium"
}

// nickname names the entry for root. It is derived from the fingerprint so
// that two roots of ours never share one, and Remove deletes exactly its own.
func nickname(root *x509.Certificate) string { return nickPrefix + id(root) }

const nickPrefix = "rtcdev local authority "

// ourNick is what nickname returns for some root. A root that Chromium itself
// imported is named after its subject, which may begin with nickPrefix, too.
var ourNick = regexp.MustCompile("^" + nickPrefix + "[0-9a-f]{16}$")

func (s nssStore) Status(ctx context.Context, root *x509.Certificate) Status {
	st := Status{Path: s.dir, Browser: s.browser, running: s.running()}
	if s.unused != "" {
		st.State, st.Reason = StateUnused, s.unused
		return st
	}
	there, err := s.check()
	if err == nil {
		_, err = s.certutil()
	}
	switch {
	case err != nil:
		return unreadable(st, err)
	case !there:
		st.State, st.Reason = StateAbsent, "there is no database yet; it will be created"
		return st
	case s.unfinished():
		st.State, st.Reason = StateAbsent, "its database was begun and not finished; it will be completed"
		return st
	}
	e, stale, err := s.read(ctx, root)
	st.Stale = stale
	switch st.entry = e.ours; {
	case err != nil:
		return unreadable(st, err)
	case e.trusted():
		st.State = StateTrusted
	case e.ours:
		st.State, st.Reason = StateAbsent, "the root is in it, but is not trusted for websites"
	default:
		st.State, st.Reason = StateAbsent, reasonAbsent
		if err := s.hasPassword(ctx); errors.Is(err, ErrPassword) { // then Install cannot change it
			st = unreadable(st, err)
			st.State, st.because = StateUnavailable, ErrPassword
		}
	}
	return st
}

// lockToRead waits for those who change the database, because reading it in
// the middle of a change can fail, but not for one that takes too long.
func (s nssStore) lockToRead(ctx context.Context) (unlock func(), err error) {
	unlock, err = s.m.lockDir(ctx, s.dir)
	if errors.Is(err, ErrTimeout) {
		return func() {}, nil
	}
	return unlock, err
}

// read is find for those who change nothing. It also counts our other roots.
func (s nssStore) read(ctx context.Context, root *x509.Certificate) (e entry, stale int, err error) {
	unlock, err := s.lockToRead(ctx)
	if err != nil {
		return entry{}, 0, err
	}
	defer unlock()
	entries, err := s.list(ctx)
	if err != nil {
		return entry{}, 0, err
	}
	for _, other := range entries {
		if ourNick.MatchString(other.nick) && other.nick != nickname(root) {
			stale++
		}
	}
	e, err = s.find(ctx, entries, root)
	if err == nil && e.ours && !e.trusted() {
		err = s.hasPassword(ctx) // without it, certutil shows no trust at all
	}
	return e, stale, err
}

// unreadable fills st for a store that err keeps from being read.
func unreadable(st Status, err error) Status {
	st.State, st.Reason = StateUnknown, err.Error()
	for _, reason := range []error{ErrToolMissing, ErrUnsupported, ErrNotOwner} {
		if errors.Is(err, reason) {
			st.State, st.because = StateUnavailable, reason
		}
	}
	var f *Fault
	if errors.As(err, &f) {
		st.Fix = f.Fix
	}
	return st
}

func (s nssStore) Install(ctx context.Context, root *x509.Certificate) error {
	there, err := s.check()
	if err != nil {
		return err
	}
	if !there {
		if err := s.makeFolder(); err != nil {
			return err
		}
	}
	// certutil does not wait for another certutil: of two at once, one fails.
	unlock, err := s.m.lockDir(ctx, s.dir)
	if err != nil {
		return err
	}
	defer unlock()
	if err := s.create(ctx); err != nil {
		return err
	}
	entries, err := s.list(ctx)
	if err != nil {
		return err
	}
	e, err := s.find(ctx, entries, root)
	switch {
	case err != nil:
		return err
	case e.trusted():
		return nil
	case !e.ours && e.nick != "":
		return fault(fmt.Sprintf("certutil -D -d %s -n %s", quote(s.m.OS, "sql:"+s.dir), quote(s.m.OS, e.nick)),
			"adding the root to %s: %w", s.dir, ErrNameTaken)
	}
	return s.add(ctx, root, e)
}

// add puts root in, or corrects the trust of the entry that already holds it.
func (s nssStore) add(ctx context.Context, root *x509.Certificate, e entry) error {
	file, err := os.CreateTemp("", "rtcdev-root-*.pem")
	if err != nil {
		return fmt.Errorf("writing the root for certutil: %w", err)
	}
	defer os.Remove(file.Name())
	err = pem.Encode(file, &pem.Block{Type: "CERTIFICATE", Bytes: root.Raw})
	if err = errors.Join(err, file.Close()); err != nil {
		return fmt.Errorf("writing the root for certutil: %w", err)
	}
	nick := nickname(root)
	if e.ours {
		nick = e.nick
	}
	// "C,,": a trusted authority for TLS servers, and for nothing else.
	_, err = s.run(ctx, "-A", "-n", nick, "-t", "C,,", "-i", file.Name())
	if err != nil && !e.ours {
		// certutil adds first and sets the trust second, which a master password
		// stops: take the half-made entry back, even when ctx has ended. The
		// first error is the one to report.
		_, _ = s.run(context.WithoutCancel(ctx), "-D", "-n", nick)
	}
	return err
}

func (s nssStore) Remove(ctx context.Context, root *x509.Certificate) error {
	there, err := s.check()
	if err != nil || !there {
		return err
	}
	if _, err := s.certutil(); err != nil && !s.mentions(root) {
		return nil
	}
	unlock, err := s.m.lockDir(ctx, s.dir)
	if err != nil {
		return err
	}
	defer unlock()
	if err := s.complete(ctx); err != nil {
		return err
	}
	entries, err := s.list(ctx)
	if err != nil {
		return err
	}
	e, err := s.find(ctx, entries, root)
	if err != nil || !e.ours {
		return err
	}
	if !e.trusted() {
		// A certutil that was killed in the middle of -D leaves a record of the trust
		// that NSS does not see any more, and that -D would leave there. To set the
		// trust anew makes it whole; "p" is distrust. A master password prevents it.
		_, _ = s.run(ctx, "-M", "-n", e.nick, "-t", "p,,")
	}
	_, err = s.run(ctx, "-D", "-n", e.nick)
	return err
}

// maxDatabase is more than any database of certificates takes, in bytes.
const maxDatabase = 256 << 20

// mentions reports whether the database may hold root, without certutil: its
// serial number, of 128 random bits, is in the file. SQLite may cut a value in two
// where a page ends, but there are three with that number in it: the certificate,
// the number, and the number that goes with the trust.
func (s nssStore) mentions(root *x509.Certificate) bool {
	serial := root.SerialNumber.Bytes()
	data, err := readSmall(filepath.Join(s.dir, "cert9.db"), maxDatabase)
	return err != nil || len(data) > maxDatabase || len(serial) < 8 || bytes.Contains(data, serial)
}
