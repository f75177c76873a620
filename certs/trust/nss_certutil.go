package trust

import (
	"bytes"
	"cmp"
	"context"
	"crypto/x509"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
)

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

// find looks in a listing for exactly root, first under our nickname, then under
// any other, because NSS keeps the nickname under which somebody imported it
// earlier; but there only if the file can hold it, since each of hundreds of
// entries takes a run of certutil. Without it, the answer has ours false, and a
// nick when our nickname is taken.
func (s nssStore) find(ctx context.Context, entries []entry, root *x509.Certificate) (entry, error) {
	own := nickname(root)
	var taken entry
	for i, e := range entries {
		if e.nick == own {
			taken, entries[0], entries[i] = e, e, entries[0]
		}
	}
	if !s.mentions(root) {
		entries = slices.DeleteFunc(slices.Clone(entries), func(e entry) bool { return e.nick != own })
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

// nssCertutil returns the path of NSS's certutil, and "" when there is none: the
// program of that name that belongs to Windows is another one.
func (m Machine) nssCertutil() string {
	path, err := m.LookPath("certutil")
	if err != nil {
		return ""
	}
	if m.OS == "windows" {
		for _, folder := range []string{`\system32\`, `\syswow64\`} {
			if strings.Contains(strings.ToLower(path), folder) {
				return ""
			}
		}
	}
	return path
}

func (s nssStore) certutil() (string, error) {
	if path := s.m.nssCertutil(); path != "" {
		return path, nil
	}
	if s.m.OS == "linux" && s.m.UID == 0 {
		command := cmp.Or(s.m.RootCommand, "rtcdev certs")
		return "", fault(s.m.certutilFix(), "looking for certutil: %w; install it or, as root without it: %s trust --stores policy", ErrToolMissing, command)
	}
	return "", fault(s.m.certutilFix(), "looking for certutil: %w", ErrToolMissing)
}

// run runs one certutil command on the database and names what went wrong.
func (s nssStore) run(ctx context.Context, command string, args ...string) (string, error) {
	if err := s.m.guardedFolder(s.dir); err != nil { // certutil loads the modules that pkcs11.txt names
		return "", err
	}
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
		return out, fault("close "+s.program()+" and try again", what, s.dir, err)
	case strings.Contains(said, "SEC_ERROR_BAD_PASSWORD"):
		return out, fault(s.passwordFix(), what, s.dir, ErrPassword)
	case strings.Contains(said, "SEC_ERROR_READ_ONLY"):
		return out, fault(s.m.listing(s.dir), what, s.dir, ErrReadOnly)
	case strings.Contains(said, "SEC_ERROR_BAD_DATABASE"), strings.Contains(said, "SEC_ERROR_PKCS11_GENERAL_ERROR"):
		if err := s.locked(); err != nil {
			return out, err
		}
		return out, fault(s.damagedFix(), what, s.dir, ErrDatabase)
	}
	return out, fmt.Errorf(what, s.dir, err)
}

// passwordFix says how the owner of the password adds the root.
func (s nssStore) passwordFix() string {
	if s.kind == KindFirefox {
		return "in Firefox, open Settings, Privacy & Security, View Certificates, Authorities, Import, and choose the root's certificate; " +
			"or take the Primary Password away and try again"
	}
	return fmt.Sprintf("add it by hand, certutil will ask for the password: certutil -A -d %s -n %s -t C,, -i FILE, where FILE is the root's certificate",
		quote(s.m.OS, "sql:"+s.dir), quote(s.m.OS, strings.TrimSpace(nickPrefix)))
}

// damagedFix moves away as little as helps: in Firefox's profile there is more.
func (s nssStore) damagedFix() string {
	what := s.dir
	if s.kind == KindFirefox {
		what = filepath.Join(s.dir, "cert9.db")
	}
	return fmt.Sprintf("close %s and try again; if that does not help, move it away: %s", s.program(), s.m.moveAway(what))
}

// SQLite's locks are on 512 bytes from PENDING_BYTE on, which no program reads or
// writes (https://www.sqlite.org/lockingv3.html).
const (
	sqliteLocks   = 0x40000000
	sqliteLockLen = 512
)

// locked returns an ErrLocked fault when a program holds a lock on the database.
// certutil waits up to three seconds for it, and then says the same as of a
// damaged one.
func (s nssStore) locked() error {
	for _, name := range []string{"cert9.db", "key4.db"} {
		pid, held := lockHolder(filepath.Join(s.dir, name), sqliteLocks, sqliteLockLen)
		if !held {
			continue
		}
		who, whom := s.program(), ""
		if name := programName(pid); name != "" {
			who = fmt.Sprintf("%s (process %d)", name, pid)
			whom = ": " + who
		}
		return fault("close "+who+" and try again", "using the NSS database %s: %w%s", s.dir, ErrLocked, whom)
	}
	return nil
}
