package trust

import (
	"bytes"
	"context"
	"crypto/sha256"
	"crypto/x509"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
)

// javaStore is the keystore of roots that the programs of one Java trust by
// default, worked on with that Java's own keytool. Each keytool starts a Java
// virtual machine, which takes about half a second: Status and Roots run one,
// Install three, Remove at least three.
//
// keytool writes a keystore in place: it empties the file first, and a full disk
// or a kill leaves nothing of a person's roots. So a change is made on a copy in
// the same folder, the copy is read back, and only when it differs from the
// original by exactly the root does it take the original's place.
type javaStore struct {
	m       Machine
	name    string
	keytool string // its path, "" when there is none
	file    string // the keystore itself, links followed
}

// javaPassword protects a keystore of roots unless somebody changes it. It keeps
// nobody out and is in every JDK's documentation, so it may be on a command line.
const javaPassword = "changeit"

// javaAlias names the entry for root, as nickname does. keytool makes names lower case.
func javaAlias(root *x509.Certificate) string { return javaStem + id(root) }

const javaStem = "rtcdev-local-authority-"

// javaOurs reports whether an entry of this name and certificate is what Install
// put in, here or, through the hook of Debian's package ca-certificates-java, in
// the system store.
func javaOurs(alias string, cert *x509.Certificate) bool {
	return alias == javaAlias(cert) || strings.HasPrefix(alias, "debian:"+anchorPrefix(cert))
}

func (s javaStore) Name() string { return "java " + s.name }
func (s javaStore) Kind() string { return KindJava }
func (s javaStore) Path() string { return s.file }

func (s javaStore) Status(ctx context.Context, root *x509.Certificate) Status {
	st := Status{Path: s.file}
	blocked := s.writable()
	st.NeedsRoot = errors.Is(blocked, ErrNeedsRoot)
	entries, err := s.list(ctx, s.file)
	if err != nil {
		return unreadable(st, s.byHand(err, "-importcert", root))
	}
	for _, e := range entries {
		if e.holds(root) {
			st.entry = true
		} else if e.ours() != nil {
			st.Stale++
		}
	}
	if st.entry {
		st.State = StateTrusted
		return st
	}
	st.State, st.Reason = StateAbsent, reasonAbsent
	if st.NeedsRoot {
		st.Reason += "; only root may change it"
	} else if blocked != nil {
		st.Reason += "; " + blocked.Error()
	}
	if s.m.UID == 0 && errors.Is(blocked, ErrNotOwner) {
		st.because = ErrNotOwner // root leaves it alone, unless it is asked for
	}
	var f *Fault
	if errors.As(blocked, &f) {
		st.Fix = f.Fix
	}
	return st
}

func (s javaStore) Roots(ctx context.Context) ([]*x509.Certificate, error) {
	entries, err := s.list(ctx, s.file)
	var roots []*x509.Certificate
	for _, e := range entries {
		if root := e.ours(); root != nil {
			roots = append(roots, root)
		}
	}
	return roots, err
}

func (s javaStore) Install(ctx context.Context, root *x509.Certificate) error {
	if err := s.writable(); err != nil {
		return err
	}
	unlock, err := s.m.lockDir(ctx, filepath.Dir(s.file))
	if err != nil {
		return err
	}
	defer unlock()
	entries, err := s.list(ctx, s.file)
	if err != nil || slices.ContainsFunc(entries, func(e javaEntry) bool { return e.holds(root) }) {
		return s.byHand(err, "-importcert", root)
	}
	alias := javaAlias(root)
	if slices.ContainsFunc(entries, func(e javaEntry) bool { return e.alias == alias }) {
		return fault(s.command("-delete", "-alias", alias), "adding the root to %s: %w", s.file, ErrNameTaken)
	}
	file, remove, err := rootFile(root)
	if err != nil {
		return err
	}
	defer remove()
	want := append(entries, javaEntry{alias: alias, trusted: true, certs: [][]byte{root.Raw}})
	return s.rewrite(ctx, want, func(copied string) error {
		_, err := s.run(ctx, copied, "-importcert", "-noprompt", "-trustcacerts", "-alias", alias, "-file", file)
		return err
	})
}

// Remove deletes every entry that holds root and nothing else, whatever it is
// called: also what Debian's hook added, and what a person did by hand.
func (s javaStore) Remove(ctx context.Context, root *x509.Certificate) error {
	unlock := func() {}
	blocked := s.writable()
	if blocked == nil {
		var err error
		if unlock, err = s.m.lockDir(ctx, filepath.Dir(s.file)); err != nil {
			return err
		}
	}
	defer unlock()
	entries, err := s.list(ctx, s.file)
	if err != nil {
		return s.byHand(err, "-delete", root)
	}
	var mine, others []javaEntry
	for _, e := range entries {
		if e.holds(root) {
			mine = append(mine, e)
		} else {
			others = append(others, e)
		}
	}
	switch {
	case len(mine) == 0 && blocked == nil:
		return s.sweep()
	case len(mine) == 0:
		return nil
	case errors.Is(blocked, ErrNeedsRoot):
		return fault(s.m.RootCommand+" untrust --stores java", "changing %s: %w", s.file, ErrNeedsRoot)
	case blocked != nil:
		return blocked
	}
	return s.rewrite(ctx, others, func(copied string) error {
		for _, e := range mine {
			if _, err := s.run(ctx, copied, "-delete", "-alias", e.alias); err != nil {
				return err
			}
		}
		return nil
	})
}

// javaCopies matches the copies that rewrite makes, in the folder of the keystore.
const javaCopies = ".rtcdev-keystore-*"

// sweep deletes the copies that a process which was killed left behind. It
// needs the lock.
func (s javaStore) sweep() error {
	left, err := filepath.Glob(filepath.Join(filepath.Dir(s.file), javaCopies))
	for _, path := range left {
		err = errors.Join(err, os.Remove(path))
	}
	return err
}

// rewrite puts an edited copy in the keystore's place, once reading the copy
// shows exactly the entries wanted. It needs the lock.
func (s javaStore) rewrite(ctx context.Context, want []javaEntry, edit func(file string) error) error {
	if err := s.sweep(); err != nil {
		return fmt.Errorf("changing %s: %w", s.file, err)
	}
	original, err := readKeystore(s.file)
	if err != nil {
		return fmt.Errorf("changing %s: %w", s.file, err)
	}
	copied, err := writeBeside(s.file, javaCopies, original)
	if err != nil {
		fix := "there must be room and write access in " + quote(s.m.OS, filepath.Dir(s.file))
		if errors.Is(err, fs.ErrPermission) || isReadOnly(err) {
			err = fmt.Errorf("%w: %w", ErrReadOnly, err)
		}
		return fault(fix, "copying %s, to change the copy: %w", s.file, err)
	}
	defer os.Remove(copied) // fails when all went well: it is the keystore then
	if err := edit(copied); err != nil {
		return err
	}
	got, err := s.list(ctx, copied)
	if err != nil {
		return err
	}
	if !sameEntries(got, want) {
		return fmt.Errorf("%w: %s changed a copy of %s in another way; the keystore itself was not touched", ErrNotVerified, s.keytool, s.file)
	}
	if now, err := readKeystore(s.file); err != nil || !bytes.Equal(now, original) {
		return fault("try again", "changing %s: %w", s.file, errors.Join(errors.New("another program has just changed it"), err))
	}
	return moveInto(copied, s.file)
}

// maxKeystore bounds what is read of a keystore, in bytes. That of a JDK has some
// hundred thousand.
const maxKeystore = 64 << 20

func readKeystore(path string) ([]byte, error) {
	raw, err := readSmall(path, maxKeystore)
	if err == nil && len(raw) > maxKeystore {
		err = errors.New("it is too large")
	}
	return raw, err
}

// writeBeside writes data into a new file in the folder of another, with the
// mode and the owner of that.
func writeBeside(other, pattern string, data []byte) (path string, err error) {
	info, err := os.Stat(other)
	if err != nil {
		return "", err
	}
	file, err := os.CreateTemp(filepath.Dir(other), pattern)
	if err != nil {
		return "", err
	}
	_, err = file.Write(data)
	if err := errors.Join(err, giveLike(file, info), file.Chmod(info.Mode().Perm()), file.Close()); err != nil {
		_ = os.Remove(file.Name())
		return "", err
	}
	return file.Name(), nil
}

// moveInto puts a complete file in the place of another, so that a power failure
// leaves one of the two.
func moveInto(from, to string) error {
	file, err := os.OpenFile(from, os.O_RDWR, 0)
	if err != nil {
		return err
	}
	if err := errors.Join(file.Sync(), file.Close()); err != nil {
		return fmt.Errorf("writing %s: %w", to, err)
	}
	return os.Rename(from, to)
}

// writable says, as a fault, why this process may not put another file in the
// keystore's place. Root may only where nobody else can put links on the way:
// JAVA_HOME and the journal may be an ordinary user's.
func (s javaStore) writable() error {
	if err := s.m.guarded(s.file); err != nil {
		return fmt.Errorf("changing %s: %w", s.file, err)
	}
	info, err := os.Stat(s.file)
	if err != nil {
		return fmt.Errorf("reading %s: %w", s.file, err)
	}
	folder, err := os.Stat(filepath.Dir(s.file))
	if err != nil {
		return fmt.Errorf("reading %s: %w", s.file, err)
	}
	const what = "changing %s: %w"
	may := s.m.mayWrite(info) && s.m.mayWrite(folder)
	switch {
	case !may && (ownedByRoot(info) || ownedByRoot(folder)):
		return fault(s.m.RootCommand+" trust --stores java", what, s.file, ErrNeedsRoot)
	case !may:
		return fault("ls -la "+quote(s.m.OS, filepath.Dir(s.file)), what, s.file, ErrNotOwner)
	case info.Mode()&0o200 != 0:
		return nil
	case within(filepath.Join(s.m.Root, "/etc/pki/ca-trust"), s.file): // Fedora writes it anew from the system store
		return fault(s.m.RootCommand+" trust --stores system", what, s.file, ErrReadOnly)
	case s.m.OS == "windows":
		return fault("attrib -r "+quote(s.m.OS, s.file), what, s.file, ErrReadOnly)
	}
	return fault("chmod u+w "+quote(s.m.OS, s.file), what, s.file, ErrReadOnly)
}

// sameEntries compares two listings, in any order.
func sameEntries(a, b []javaEntry) bool {
	sums := func(entries []javaEntry) []string {
		var all []string
		for _, e := range entries {
			sum := sha256.New()
			for _, der := range e.certs {
				fmt.Fprintf(sum, "%x.", der)
			}
			all = append(all, fmt.Sprintf("%q %t %x", e.alias, e.trusted, sum.Sum(nil)))
		}
		slices.Sort(all)
		return all
	}
	return slices.Equal(sums(a), sums(b))
}
