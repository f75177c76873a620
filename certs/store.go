package certs

import (
	"crypto/x509"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"time"
)

// The files of a store, and what their PEM blocks are called (RFC 7468 §5, §10).
const (
	rootFile         = "root.pem"
	intermediateFile = "intermediate.pem"
	keyFile          = "intermediate-key.pem"

	blockCertificate = "CERTIFICATE"
	blockKey         = "PRIVATE KEY"
)

const (
	// retiredPrefix begins the name of a store that was replaced.
	retiredPrefix = ".retired-"
	// temporaryPrefix begins the name of a store that is being written.
	temporaryPrefix = ".authority-"
	// temporaryAge is the age at which such a folder was left by a process that
	// died: writing one takes milliseconds.
	temporaryAge = time.Hour
)

var (
	// ErrNoAuthority says that there is no authority in the folder.
	ErrNoAuthority = errors.New("there is no authority yet")
	// ErrExpired says that an authority is past its end.
	ErrExpired = errors.New("the authority has expired")
	// ErrNotOwner says that an authority belongs to another user.
	ErrNotOwner = errors.New("the authority is another user's")
	// errExposed says that other users can read or change a file or folder.
	errExposed = errors.New("it is open to other users")
)

func storeFiles() []string { return []string{rootFile, intermediateFile, keyFile} }

// StoreError says what is wrong with a store and what a person can do about it.
type StoreError struct {
	File   string // the path of the file or folder
	Reason string // continues a sentence that begins with File; no full stop
	Fix    string // the next step, to be read after "next: "; never empty
	Err    error  // the cause, for errors.Is; may be nil
}

// Error returns "FILE REASON", without the fix.
func (e *StoreError) Error() string { return e.File + " " + e.Reason }

// Unwrap returns the cause.
func (e *StoreError) Unwrap() error { return e.Err }

// OpenOrCreate returns the authority in the folder dir, and makes one there if
// there is none; created tells which. Any number of processes may call it at
// the same moment: they all get the same authority. It makes the folders above
// dir, for their owner only. A fault of an existing store is a *StoreError, and
// a bad name in opts wraps a *NameError.
func OpenOrCreate(dir string, opts Options) (a *Authority, created bool, err error) {
	return openOrCreate(dir, opts, time.Now)
}

// Open returns the authority in the folder dir. The error wraps
// [ErrNoAuthority] if the folder is missing or empty, and is a *StoreError if
// the store is damaged, expired or open to others, or if others could replace
// the folder.
func Open(dir string) (*Authority, error) { return open(dir, time.Now) }

// OpenRoot returns the root certificate of the authority in the folder dir, from
// root.pem alone: what is needed to show or export it, and to add it to a
// machine's stores or remove it from them. The rest of the store may be missing,
// damaged, expired or readable by others, and may belong to another user, as for
// a command that runs with sudo. The error wraps [ErrNoAuthority] if the folder
// is missing or empty, and is a *StoreError otherwise.
func OpenRoot(dir string) (root *x509.Certificate, err error) {
	err = steadily(dir, func() error {
		if err := checkFolder(dir, false); err != nil {
			return err
		}
		s := &storeReader{dir: dir}
		root = s.root()
		return s.err
	})
	return root, err
}

func openOrCreate(dir string, opts Options, now func() time.Time) (*Authority, bool, error) {
	parent := filepath.Dir(dir)
	sweep(parent, now())
	a, err := open(dir, now)
	if !errors.Is(err, ErrNoAuthority) {
		return a, false, err
	}
	files, err := newAuthority(opts, now())
	if err != nil {
		return nil, false, err
	}
	if err := os.MkdirAll(parent, 0o700); err != nil {
		return nil, false, writeError(parent, err)
	}
	if err := commit(dir, files); err != nil {
		// Another process may have been first; then its authority counts.
		if a, openErr := open(dir, now); !errors.Is(openErr, ErrNoAuthority) {
			return a, false, openErr
		}
		return nil, false, writeError(dir, err)
	}
	a, err = open(dir, now)
	return a, err == nil, err
}

// commit writes the files into a temporary folder beside dir and renames it to
// dir. It fails if dir is there and not empty, and leaves nothing behind then.
func commit(dir string, files map[string][]byte) error {
	temporary, err := stage(filepath.Dir(dir), files)
	if err != nil {
		return err
	}
	if err := put(temporary, dir); err != nil {
		removeStore(temporary)
		return err
	}
	return nil
}

// stage writes the files into a new temporary folder in parent. It leaves nothing
// behind if it fails.
func stage(parent string, files map[string][]byte) (temporary string, err error) {
	temporary, err = os.MkdirTemp(parent, temporaryPrefix+"*")
	if err != nil {
		return "", err
	}
	for _, name := range storeFiles() {
		mode := fs.FileMode(0o644)
		if name == keyFile {
			mode = 0o600
		}
		if err := writeSynced(filepath.Join(temporary, name), files[name], mode); err != nil {
			removeStore(temporary)
			return "", err
		}
	}
	syncDir(temporary)
	return temporary, nil
}

// put renames a temporary folder to dir. It fails if dir is there and not empty.
func put(temporary, dir string) error {
	// An empty folder may be in the way. os.Rename replaces no folder, and
	// os.Remove no folder that has something in it.
	if info, err := os.Lstat(dir); err == nil && info.IsDir() {
		if err := os.Remove(dir); err != nil && !errors.Is(err, fs.ErrNotExist) {
			return err
		}
	}
	if err := os.Rename(temporary, dir); err != nil {
		return err
	}
	syncDir(filepath.Dir(dir))
	return nil
}

// writeSynced writes a new file and waits until it is on the disk.
func writeSynced(path string, data []byte, mode fs.FileMode) error {
	file, err := os.OpenFile(path, os.O_WRONLY|os.O_CREATE|os.O_EXCL, mode)
	if err != nil {
		return err
	}
	_, err = file.Write(data)
	return errors.Join(err, file.Sync(), file.Close())
}

// syncDir makes a rename in the folder last through a power failure. Where a
// folder cannot be synced (Windows) there is nothing to be done.
func syncDir(dir string) {
	if folder, err := os.Open(dir); err == nil {
		_ = folder.Sync()
		_ = folder.Close()
	}
}

// sweep removes what a killed process left behind in parent: temporary stores,
// when they are old, and stores that were replaced, unless a process is about to
// replace one and may yet need it back. What cannot be removed stays.
func sweep(parent string, now time.Time) {
	entries, err := os.ReadDir(parent)
	if err != nil {
		return
	}
	var retired []string
	for _, entry := range entries {
		path := filepath.Join(parent, entry.Name())
		switch {
		case !entry.IsDir():
		case strings.HasPrefix(entry.Name(), retiredPrefix):
			retired = append(retired, path)
		case strings.HasPrefix(entry.Name(), temporaryPrefix):
			if info, err := entry.Info(); err == nil && now.Sub(info.ModTime()) > temporaryAge {
				removeStore(path)
			}
		}
	}
	if len(retired) == 0 {
		return
	}
	if unlock, err := tryLock(parent); err == nil {
		defer unlock()
		for _, path := range retired {
			_ = destroy(path)
		}
	}
}

// removeStore removes the files of a store and its folder, and nothing that is
// not ours.
func removeStore(dir string) {
	for _, name := range storeFiles() {
		_ = os.Remove(filepath.Join(dir, name))
	}
	_ = os.Remove(dir)
}

// writeError explains why the store in dir could not be written.
func writeError(path string, err error) error {
	if blocker, ok := fileInTheWay(path); ok {
		return notFolder(blocker)
	}
	if info, err := os.Lstat(path); err == nil && info.Mode()&fs.ModeSymlink != 0 {
		return &StoreError{File: path, Reason: "is a link to an empty folder, and the authority is put in place by renaming a folder",
			Fix: "remove the link, or set RTCDEV_HOME to the folder where the authority should be"}
	}
	return &StoreError{File: path, Reason: fmt.Sprintf("cannot be written: %v", cause(err)), Err: err,
		Fix: "make room or give write access there, or set RTCDEV_HOME to another folder"}
}

// fileInTheWay returns the part of a path that should be a folder and is a file
// or a dangling link. The error that the system reports for it differs from one
// system to the next, and none of them names the part.
func fileInTheWay(path string) (string, bool) {
	for {
		if _, err := os.Lstat(path); err == nil {
			info, err := os.Stat(path)
			if err == nil && info.IsDir() {
				return "", false
			}
			return path, err == nil || errors.Is(err, fs.ErrNotExist)
		}
		parent := filepath.Dir(path)
		if parent == path {
			return "", false
		}
		path = parent
	}
}

// cause strips the operation and path from an error of package os: the message
// names the file already, and a temporary name would mislead.
func cause(err error) error {
	var pathErr *fs.PathError
	var linkErr *os.LinkError
	switch {
	case errors.As(err, &pathErr):
		return pathErr.Err
	case errors.As(err, &linkErr):
		return linkErr.Err
	}
	return err
}
