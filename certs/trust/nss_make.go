package trust

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
)

// nssFiles are what certutil -N makes, in this order, and the journals that
// SQLite keeps beside them during a change.
func nssFiles() []string {
	return []string{"pkcs11.txt", "cert9.db", "cert9.db-journal", "key4.db", "key4.db-journal"}
}

// size returns a file's length in bytes, and -1 when there is no such file.
func (s nssStore) size(name string) int64 {
	info, err := os.Stat(filepath.Join(s.dir, name))
	if err != nil {
		return -1
	}
	return info.Size()
}

// check reports whether the database exists, and looks at its first bytes:
// certutil's answer to a damaged file is the same as to a locked one.
func (s nssStore) check() (there bool, err error) {
	if err := s.m.guardedFolder(s.dir); err != nil {
		return false, err
	}
	for _, name := range nssFiles() { // certutil would wait for ever for a pipe
		if info, err := os.Stat(filepath.Join(s.dir, name)); err == nil && !info.Mode().IsRegular() {
			return false, fault(s.m.listing(filepath.Join(s.dir, name)), "reading %s: %w: %w", filepath.Join(s.dir, name), ErrDatabase, errIrregular)
		}
	}
	const magic = "SQLite format 3\x00" // https://www.sqlite.org/fileformat.html §1.3.1
	path := filepath.Join(s.dir, "cert9.db")
	raw, err := openRegular(path)
	if errors.Is(err, fs.ErrNotExist) {
		if s.size("key4.db") > 0 { // certutil -N would fail, and somebody's keys may be in it
			return false, fault(fmt.Sprintf("start %s once, which makes a new one, close it, and try again", s.program()),
				"reading %s: there is a key4.db without it: %w", path, ErrDatabase)
		}
		return false, nil
	}
	if err != nil {
		return false, fault(s.m.listing(s.dir), "reading the NSS database: %w", err)
	}
	defer raw.Close()
	head := make([]byte, len(magic))
	if n, err := raw.ReadAt(head, 0); n == 0 && s.unfinished() {
		return true, nil
	} else if err != nil || string(head) != magic {
		return true, fault(s.damagedFix(), "reading %s: %w", path, ErrDatabase)
	}
	return true, nil
}

// unfinished reports whether there is a cert9.db and no key4.db yet, as certutil
// -N leaves it when it is stopped.
func (s nssStore) unfinished() bool { return s.size("cert9.db") >= 0 && s.size("key4.db") <= 0 }

// complete lets NSS finish what a certutil that was killed had begun: files and
// tables that are still to be made, and a change whose journal is to be rolled
// back. Every program that opens the database in order to write does that;
// certutil -L only reads, and says that such a database is damaged. Seen with
// thousands of certutil killed at any moment of -N, -A and -D. It needs the lock.
func (s nssStore) complete(ctx context.Context) error {
	if !s.unfinished() && s.size("cert9.db-journal") <= 0 && s.size("key4.db-journal") <= 0 {
		return nil
	}
	if err := s.locked(); err != nil {
		return err // its journal is that of a program at work
	}
	// To delete an entry that does not exist is what opens it and changes nothing.
	if _, err := s.run(ctx, "-D", "-n", "rtcdev: no such entry"); errors.Is(err, ErrToolMissing) || errors.Is(err, ErrTimeout) || ctx.Err() != nil {
		return err
	}
	return nil
}

func (s nssStore) missing() string {
	if there, err := s.check(); there || err != nil {
		return ""
	}
	if top := firstMissing(s.dir); top != "" {
		return top
	}
	return filepath.Join(s.dir, "cert9.db")
}

// makeFolder makes the folder of a database that is to be created.
func (s nssStore) makeFolder() error {
	if _, err := s.certutil(); err != nil {
		return err
	}
	if err := os.MkdirAll(s.dir, 0o700); err != nil {
		return fault(s.m.listing(s.m.Home), "creating the NSS database: %w: %w", ErrReadOnly, err)
	}
	return nil
}

// create makes an empty database without a password, as Chromium and Firefox do
// themselves, and completes one that was begun; for a complete one, certutil -N
// would loop for ever. It needs the lock.
func (s nssStore) create(ctx context.Context) error {
	there, err := s.check()
	if err != nil {
		return err
	}
	if there {
		return s.complete(ctx)
	}
	var ours []string
	for _, name := range nssFiles() {
		if s.size(name) < 0 {
			ours = append(ours, name)
		}
	}
	_, err = s.run(ctx, "-N", "--empty-password")
	if err == nil {
		return nil
	}
	// It may be half-made; or a browser that was started meanwhile made it, and has
	// something in it by now. It is taken away even when ctx has ended.
	if empty, fault := s.halfMade(context.WithoutCancel(ctx)); fault == nil && empty {
		for _, name := range ours {
			_ = os.Remove(filepath.Join(s.dir, name)) // the first error is the one to report
		}
	}
	return err
}

// halfMade reports whether what certutil -N left holds nothing: no database in it
// is longer than nothing, or the whole is empty.
func (s nssStore) halfMade(ctx context.Context) (bool, error) {
	if s.size("cert9.db") <= 0 && s.size("key4.db") <= 0 {
		return true, nil
	}
	return s.empty(ctx)
}

// unmake is how Remove takes back a database that Install made. It goes only when
// it holds nothing at all: no certificate, no key, no password, no module. One
// that cannot be read is an error, and stays.
//
// A browser that runs meanwhile is not told: it makes another one when it starts.
func (s nssStore) unmake(ctx context.Context, top string) error {
	if err := s.m.guardedFolder(s.dir); err != nil {
		return err
	}
	unlock, err := s.m.lockDir(ctx, s.dir)
	if err != nil {
		return err
	}
	defer unlock()
	return s.discard(ctx, top)
}

// discard is unmake for those who have the lock.
func (s nssStore) discard(ctx context.Context, top string) error {
	if empty, err := s.empty(ctx); err != nil || !empty {
		return err
	}
	if err := s.locked(); err != nil {
		return err
	}
	for _, name := range nssFiles() {
		if err := os.Remove(filepath.Join(s.dir, name)); err != nil && !errors.Is(err, fs.ErrNotExist) {
			return fmt.Errorf("removing the NSS database that was made for the root: %w", err)
		}
	}
	removeEmptied(s.dir, top)
	return nil
}

// empty reports whether the database holds no more than certutil -N makes. One
// that is not there is empty, too.
func (s nssStore) empty(ctx context.Context) (bool, error) {
	modules, err := readSmall(filepath.Join(s.dir, "pkcs11.txt"), maxDatabase)
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return false, err
	}
	// Each module begins so. certutil -N writes NSS's own, which has no path.
	if strings.Count("\n"+string(modules), "\nlibrary=") > 1 {
		return false, nil
	}
	if there, err := s.check(); err != nil || !there {
		return err == nil, err
	}
	if err := s.complete(ctx); err != nil {
		return false, err
	}
	entries, err := s.list(ctx)
	if err != nil || len(entries) > 0 {
		return false, err
	}
	if err := s.hasPassword(ctx); errors.Is(err, ErrPassword) {
		return false, nil
	} else if err != nil {
		return false, err
	}
	for _, name := range []string{"cert9.db", "key4.db"} {
		if empty, err := firstTableEmpty(filepath.Join(s.dir, name)); err != nil || !empty {
			return false, err
		}
	}
	return true, nil
}

// firstTableEmpty reports whether the first table of a SQLite file has no rows.
// In cert9.db and key4.db, that is the table of all objects: certutil -K does not
// list every key, such as the one that Firefox encrypts passwords with.
//
// The first table's root is page 2. Empty, it is a leaf (type 13) with 0 cells
// (https://www.sqlite.org/fileformat.html §1.6, §2).
func firstTableEmpty(path string) (bool, error) {
	file, err := openRegular(path)
	if err != nil {
		return false, err
	}
	defer file.Close()
	var head [2]byte
	if _, err := file.ReadAt(head[:], 16); err != nil {
		return false, fmt.Errorf("reading %s: %w", path, err)
	}
	pageSize := int64(binary.BigEndian.Uint16(head[:]))
	if pageSize == 1 {
		pageSize = 65536
	}
	var page [5]byte
	if _, err := file.ReadAt(page[:], pageSize); err != nil {
		return false, fmt.Errorf("reading %s: %w", path, err)
	}
	return page[0] == 13 && binary.BigEndian.Uint16(page[3:]) == 0, nil
}
