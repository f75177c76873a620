package trust

import (
	"bytes"
	"context"
	"crypto/x509"
	"encoding/pem"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
)

// nssStore is one NSS database ("sql:" form: cert9.db, key4.db, pkcs11.txt),
// worked on with NSS's own certutil.
type nssStore struct {
	m       Machine
	dir     string
	wanted  bool   // it is there, or it is the one to create
	browser string // which browser of this account reads it
}

// nssStores returns the two databases Chromium and Chrome may read.
//
// Chromium 146 and later reads the one under the data home when ~/.pki/nssdb is
// absent, and ignores it when both folders exist, even when ~/.pki/nssdb is
// empty; earlier versions and other programs read ~/.pki/nssdb only. Seen with
// Chromium 156: a database in ~/.pki/nssdb alone is read, and one under the data
// home alone is read. So when there is neither, ~/.pki/nssdb is the one to
// create: every version reads it. When only the other exists, ~/.pki/nssdb must
// not be created: Chromium would turn away from what the person keeps there.
func (m Machine) nssStores() []Store {
	if m.OS != "linux" {
		return nil
	}
	old := filepath.Join(m.Home, ".pki", "nssdb")
	current := filepath.Join(m.DataHome, "pki", "nssdb")
	first, second := nssStore{m: m, dir: old, wanted: true}, nssStore{m: m, dir: current, wanted: true}
	if isDir(old) || !isDir(current) {
		first.browser, second.wanted = BrowserChromium, isDir(current)
	} else {
		second.browser, first.wanted = BrowserChromium, false
	}
	return []Store{first, second}
}

// nssAt is a database that the journal knows.
func (m Machine) nssAt(dir string) Store { return nssStore{m: m, dir: dir, wanted: true} }

func (s nssStore) Kind() string { return KindNSS }
func (s nssStore) Path() string { return s.dir }

func (s nssStore) missing() string {
	if there, err := s.check(); there || err != nil {
		return ""
	}
	if top := firstMissing(s.dir); top != "" {
		return top
	}
	return filepath.Join(s.dir, "cert9.db")
}

// unmake is how Remove takes back a database that Install made.
func (s nssStore) unmake(ctx context.Context, top string) error {
	if s.missing() == "" {
		entries, err := s.list(ctx)
		if err != nil || len(entries) > 0 {
			return err
		}
		for _, name := range []string{"cert9.db", "key4.db", "pkcs11.txt"} {
			if err := os.Remove(filepath.Join(s.dir, name)); err != nil {
				return err
			}
		}
	}
	removeEmptied(s.dir, top)
	return nil
}

func (s nssStore) Name() string {
	if rel, err := filepath.Rel(s.m.Home, s.dir); err == nil && filepath.IsLocal(rel) {
		return "nss ~/" + filepath.ToSlash(rel)
	}
	return "nss " + s.dir
}

// nickname names the entry for root. It is derived from the fingerprint so
// that two roots of ours never share one, and Remove deletes exactly its own.
func nickname(root *x509.Certificate) string { return nickPrefix + id(root) }

const nickPrefix = "rtcdev local authority "

// ourNick is what nickname returns for some root. A root that Chromium itself
// imported is named after its subject, which may begin with nickPrefix, too.
var ourNick = regexp.MustCompile("^" + nickPrefix + "[0-9a-f]{16}$")

func (s nssStore) Status(ctx context.Context, root *x509.Certificate) Status {
	st := Status{Path: s.dir, Browser: s.browser}
	if !s.wanted {
		st.State, st.Reason = StateUnused, "there is no such database, and Chromium on this account reads another one"
		return st
	}
	there, err := s.check()
	if err == nil {
		_, err = s.certutil()
	}
	if err != nil {
		return unreadable(st, err)
	}
	if !there {
		st.State, st.Reason = StateAbsent, "there is no database yet; it will be created"
		return st
	}
	e, err := s.read(ctx, root)
	switch st.entry = e.ours; {
	case err != nil:
		return unreadable(st, err)
	case e.trusted():
		st.State = StateTrusted
	case e.ours:
		st.State, st.Reason = StateAbsent, "the root is in it, but is not trusted for websites"
	default:
		st.State, st.Reason = StateAbsent, reasonAbsent
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

// read is find for those who change nothing.
func (s nssStore) read(ctx context.Context, root *x509.Certificate) (entry, error) {
	unlock, err := s.lockToRead(ctx)
	if err != nil {
		return entry{}, err
	}
	defer unlock()
	e, err := s.find(ctx, root)
	if err == nil && e.ours && !e.trusted() {
		err = s.hasPassword(ctx) // without it, certutil shows no trust at all
	}
	return e, err
}

// unreadable fills st for a store that err keeps from being read.
func unreadable(st Status, err error) Status {
	st.State, st.Reason = StateUnknown, err.Error()
	if errors.Is(err, ErrToolMissing) || errors.Is(err, ErrUnsupported) {
		st.State = StateUnavailable
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
	e, err := s.find(ctx, root)
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
	unlock, err := s.m.lockDir(ctx, s.dir)
	if err != nil {
		return err
	}
	defer unlock()
	e, err := s.find(ctx, root)
	if err != nil || !e.ours {
		return err
	}
	_, err = s.run(ctx, "-D", "-n", e.nick)
	return err
}

// check reports whether the database exists, and looks at its first bytes:
// certutil's answer to a damaged file is the same as to a locked one.
func (s nssStore) check() (there bool, err error) {
	const magic = "SQLite format 3\x00" // https://www.sqlite.org/fileformat.html §1.3.1
	path := filepath.Join(s.dir, "cert9.db")
	raw, err := os.Open(path)
	if errors.Is(err, fs.ErrNotExist) {
		return false, nil
	}
	if err != nil {
		return false, fault("ls -la "+quote(s.m.OS, s.dir), "reading the NSS database: %w", err)
	}
	defer raw.Close()
	head := make([]byte, len(magic))
	if _, err := raw.ReadAt(head, 0); err != nil || string(head) != magic {
		return true, fault(s.damagedFix(), "reading %s: %w", path, ErrDatabase)
	}
	return true, nil
}

func (s nssStore) damagedFix() string {
	return fmt.Sprintf("close Chromium and try again; if that does not help, move it away: mv %s %s",
		quote(s.m.OS, s.dir), quote(s.m.OS, s.dir+".damaged"))
}

// makeFolder makes the folder of a database that is to be created.
func (s nssStore) makeFolder() error {
	if s.m.UID == 0 && ownedByAnother(s.m.Home) {
		return fault("run the same command without sudo",
			"creating %s as root: the home folder %s: %w", s.dir, s.m.Home, ErrNotOwner)
	}
	if _, err := s.certutil(); err != nil {
		return err
	}
	if err := os.MkdirAll(s.dir, 0o700); err != nil {
		return fault("ls -la "+quote(s.m.OS, s.m.Home), "creating the NSS database: %w: %w", ErrReadOnly, err)
	}
	return nil
}

// create makes an empty database without a password, as Chromium does itself,
// unless there is one: certutil -N would loop for ever. It needs the lock.
func (s nssStore) create(ctx context.Context) error {
	there, err := s.check()
	if there || err != nil {
		return err
	}
	if _, err = s.run(ctx, "-N", "--empty-password"); err != nil {
		for _, name := range []string{"cert9.db", "key4.db", "pkcs11.txt"} {
			os.Remove(filepath.Join(s.dir, name)) // half-made, and none of them was there before
		}
	}
	return err
}

// entry is a line of certutil's listing.
type entry struct {
	nick, flags string
	ours        bool // it holds exactly the root in question
}

// trusted reports whether the entry holds the root and trusts it for TLS servers.
func (e entry) trusted() bool {
	ssl, _, _ := strings.Cut(e.flags, ",")
	return e.ours && strings.Contains(ssl, "C")
}

// listLine is "nickname   flags" with flags such as "C,," or "CTu,Cu,Cu".
var listLine = regexp.MustCompile(`^(.*\S)\s+([a-zA-Z]*,[a-zA-Z]*,[a-zA-Z]*)\s*$`)

// find looks for exactly root, first under our nickname, then under any other,
// because NSS keeps the nickname under which somebody imported it earlier.
// Without it, the answer has ours false, and a nick when our nickname is taken.
func (s nssStore) find(ctx context.Context, root *x509.Certificate) (entry, error) {
	entries, err := s.list(ctx)
	if err != nil {
		return entry{}, err
	}
	own := nickname(root)
	var taken entry
	for i, e := range entries {
		if e.nick == own {
			taken, entries[0], entries[i] = e, e, entries[0]
		}
	}
	for _, e := range entries {
		if ourNick.MatchString(e.nick) && e.nick != own {
			continue // another root of ours
		}
		held, err := s.certificates(ctx, e.nick)
		if err != nil {
			return entry{}, err
		}
		if slices.ContainsFunc(held, func(der []byte) bool { return bytes.Equal(der, root.Raw) }) {
			e.ours = true
			return e, nil
		}
	}
	return taken, nil
}

// list returns the entries of the database.
func (s nssStore) list(ctx context.Context) ([]entry, error) {
	out, err := s.run(ctx, "-L")
	if err != nil {
		return nil, err
	}
	var entries []entry
	for line := range strings.Lines(out) {
		if match := listLine.FindStringSubmatch(strings.TrimRight(line, "\r\n")); match != nil {
			entries = append(entries, entry{nick: match[1], flags: match[2]})
		}
	}
	return entries, nil
}

// certificates returns, in DER, the certificates that certutil prints for an
// entry: every one with the entry's subject, so there can be more than one.
func (s nssStore) certificates(ctx context.Context, nick string) ([][]byte, error) {
	out, err := s.run(ctx, "-L", "-n", nick, "-a")
	if err != nil && strings.Contains(err.Error(), "Could not find cert") {
		return nil, nil // it went away meanwhile, or its name cannot be given on a command line
	}
	if err != nil {
		return nil, err
	}
	return pemBlocks([]byte(out)), nil
}

// hasPassword returns an ErrPassword fault when the database has a master
// password, and other errors only when certutil could not answer at all.
func (s nssStore) hasPassword(ctx context.Context) error {
	_, err := s.run(ctx, "-K")
	if errors.Is(err, ErrPassword) || errors.Is(err, ErrTimeout) || ctx.Err() != nil {
		return err
	}
	return nil // certutil -K also fails when there are no keys, which is the usual case
}

func (s nssStore) certutil() (string, error) {
	path, err := s.m.LookPath("certutil")
	if err != nil {
		return "", fault(s.m.certutilFix(), "looking for certutil: %w", ErrToolMissing)
	}
	return path, nil
}

// run runs one certutil command on the database and names what went wrong.
func (s nssStore) run(ctx context.Context, command string, args ...string) (string, error) {
	program, err := s.certutil()
	if err != nil {
		return "", err
	}
	// An empty password file: otherwise certutil asks on the terminal.
	args = append([]string{command, "-d", "sql:" + s.dir, "-f", os.DevNull}, args...)
	out, said, err := s.m.output(ctx, program, args...)
	if err == nil {
		return out, nil
	}
	const what = "using the NSS database %s: %w"
	switch {
	case errors.Is(err, ErrTimeout):
		return out, fault("close Chromium and try again", what, s.dir, err)
	case strings.Contains(said, "SEC_ERROR_BAD_PASSWORD"):
		return out, fault(fmt.Sprintf("add it by hand, certutil will ask for the password: certutil -A -d %s -n %s -t C,, -i FILE, where FILE is the root's certificate",
			quote(s.m.OS, "sql:"+s.dir), quote(s.m.OS, strings.TrimSpace(nickPrefix))), what, s.dir, ErrPassword)
	case strings.Contains(said, "SEC_ERROR_READ_ONLY"):
		return out, fault("ls -la "+quote(s.m.OS, s.dir), what, s.dir, ErrReadOnly)
	case strings.Contains(said, "SEC_ERROR_BAD_DATABASE"), strings.Contains(said, "SEC_ERROR_PKCS11_GENERAL_ERROR"):
		return out, fault(s.damagedFix(), what, s.dir, ErrDatabase)
	}
	return out, fmt.Errorf(what, s.dir, err)
}

func isDir(path string) bool {
	info, err := os.Stat(path)
	return err == nil && info.IsDir()
}
