package certs

import (
	"crypto/x509"
	"encoding/hex"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"time"
)

// lockWait is how long a second process waits for the first: replacing a store
// takes milliseconds.
const lockWait = 10 * time.Second

// errLocked says that another process is replacing the store.
var errLocked = errors.New("another process is replacing the authority")

// Replace makes a new authority in the folder dir, in the place of the one whose
// root is old, and deletes the old one with its key. old is what [OpenRoot]
// returns: nil where there is no authority, or none whose root can be read. The
// rest of the old store may be in any state. Removing the old root from the
// places that trust it is for the caller to do, and best done before.
//
// The old store is moved away and the new one, which was written beside it, is
// put in its place. Whoever looks in between finds no authority; so does the next
// command after a process that was killed there, and [OpenOrCreate] deletes what
// was moved away. If the new one cannot be written, the old one is untouched.
//
// When another process has put an authority in the place of old already, that
// one is returned if it may sign for the same names, so that two commands that
// ran at once end with the same one.
//
// Faults are a *StoreError. It wraps [ErrNotOwner] if the folder is another
// user's, as it is for a command that runs with sudo; it names a file in the
// folder that is not ours, which would be lost; and it names the old key if that
// could not be deleted, the one error with the new authority in place. A bad name
// in opts wraps a *NameError.
//
// To delete a key is to unlink its file. Copies of it, as in a backup, and what
// the disk itself keeps are beyond this package: whoever has one can still speak
// for the permitted names to devices that trust the old root.
func Replace(dir string, old *x509.Certificate, opts Options) (*Authority, error) {
	return replace(dir, old, opts, time.Now)
}

func replace(dir string, old *x509.Certificate, opts Options, now func() time.Time) (*Authority, error) {
	files, err := newAuthority(opts, now())
	if err != nil {
		return nil, err
	}
	parent := filepath.Dir(dir)
	if err := os.MkdirAll(parent, 0o700); err != nil {
		return nil, writeError(parent, err)
	}
	sweep(parent, now())
	unlock, err := lock(parent)
	if err != nil {
		return nil, err
	}
	defer unlock()
	if err := checkReplaceable(dir); err != nil {
		return nil, err
	}
	if isTaken(dir, old) {
		return settled(dir, opts, now)
	}
	return exchange(dir, old, files, opts, now)
}

// isTaken reports whether there is a readable root in dir that is not old.
func isTaken(dir string, old *x509.Certificate) bool {
	root, err := OpenRoot(dir)
	return err == nil && (old == nil || !root.Equal(old))
}

// exchange makes a new store in the place of dir, which may be absent.
func exchange(dir string, old *x509.Certificate, files map[string][]byte, opts Options, now func() time.Time) (*Authority, error) {
	fresh, err := stage(filepath.Dir(dir), files)
	if err != nil {
		return nil, writeError(dir, err)
	}
	defer removeStore(fresh) // which has another name once it is in place
	retired, err := swap(fresh, dir)
	switch {
	case err == nil:
		if err := destroy(retired); err != nil {
			return nil, err
		}
		return open(dir, now)
	case isTaken(dir, old): // by OpenOrCreate, which takes no lock
		a, err := settled(dir, opts, now)
		return a, errors.Join(err, destroy(retired))
	}
	return nil, errors.Join(writeError(dir, err), destroy(retired))
}

// swap moves the store in dir away and puts fresh in its place. It returns where
// the old store is now, "" if there was none or if it is back in its place
// because fresh could not be put there.
func swap(fresh, dir string) (retired string, err error) {
	retired, err = retire(dir)
	if err != nil {
		return "", err
	}
	if err := put(fresh, dir); err != nil {
		if retired != "" && os.Rename(retired, dir) == nil {
			retired = ""
		}
		return retired, err
	}
	return retired, nil
}

// lock waits for tryLock.
func lock(parent string) (unlock func(), err error) {
	deadline := time.NewTimer(lockWait)
	defer deadline.Stop()
	retry := time.NewTicker(20 * time.Millisecond)
	defer retry.Stop()
	for {
		unlock, err := tryLock(parent)
		switch {
		case err == nil:
			return unlock, nil
		case !errors.Is(err, errLocked):
			return nil, writeError(parent, err)
		}
		select {
		case <-retry.C:
		case <-deadline.C:
			return nil, &StoreError{File: parent, Err: errLocked, Reason: "is in use: another rtcdev is replacing the authority in it",
				Fix: "wait for the other one to end, or end it, then run rtcdev certs status to see what it did"}
		}
	}
}

// checkReplaceable returns a *StoreError if the store in dir is not one to
// delete: it is another user's, or holds what is not ours, or a key that lies
// elsewhere and would be left.
func checkReplaceable(dir string) error {
	if blocker, ok := fileInTheWay(dir); ok {
		return notFolder(blocker)
	}
	if err := checkParent(filepath.Dir(dir)); err != nil {
		return err
	}
	info, err := os.Lstat(dir)
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if err != nil {
		return unreadable(dir, err)
	}
	const again = "then run rtcdev certs new-authority"
	if info.Mode()&fs.ModeSymlink != 0 {
		return &StoreError{File: dir, Reason: "is a link, and an authority is replaced by renaming its folder",
			Fix: "put the folder that it leads to in its place, " + again}
	}
	if err := checkOwner(dir, info); err != nil {
		return err
	}
	entries, err := os.ReadDir(dir)
	if err != nil && !errors.Is(err, fs.ErrPermission) { // a folder closed to its owner can be replaced, too
		return unreadable(dir, err)
	}
	for _, entry := range entries {
		path := filepath.Join(dir, entry.Name())
		switch {
		case !slices.Contains(storeFiles(), entry.Name()):
			return &StoreError{File: path, Reason: "is not a part of the authority, and would be lost with it",
				Fix: "move it to another folder, " + again}
		case entry.Name() == keyFile && entry.Type()&fs.ModeSymlink != 0:
			return &StoreError{File: path, Reason: "is a link, and the key that it leads to would be left",
				Fix: "delete that key and the link, " + again}
		}
	}
	return nil
}

// retire moves the store in dir out of the way and returns its new path, "" if
// there is none.
func retire(dir string) (string, error) {
	retired := filepath.Join(filepath.Dir(dir), retiredPrefix+hex.EncodeToString(randomBytes(8)))
	err := os.Rename(dir, retired)
	if errors.Is(err, fs.ErrNotExist) {
		return "", nil
	}
	if err != nil {
		return "", err
	}
	syncDir(filepath.Dir(dir))
	return retired, nil
}

// destroy deletes a store that was moved away; "" stands for none. The error is
// a *StoreError if the key is still there.
func destroy(retired string) error {
	if retired == "" {
		return nil
	}
	_ = os.Chmod(retired, 0o700) // it may have been closed to its owner
	removeStore(retired)
	key := filepath.Join(retired, keyFile)
	info, err := os.Lstat(key)
	if errors.Is(err, fs.ErrNotExist) || err == nil && info.IsDir() {
		return nil
	}
	return &StoreError{File: key, Err: err, Reason: "is the key of the authority that was replaced, and could not be deleted",
		Fix: "delete the folder " + quote(runtime.GOOS, retired) + " yourself; the new authority is in place"}
}

// settled returns the authority that another process has put into dir, if it may
// sign for the same names as one made with opts.
func settled(dir string, opts Options, now func() time.Time) (*Authority, error) {
	a, err := open(dir, now)
	if err != nil {
		return nil, err
	}
	wanted, err := newConstraints(opts)
	if err != nil {
		return nil, fmt.Errorf("reading the names to permit: %w", err)
	}
	if !a.constraints.equal(wanted) {
		return nil, &StoreError{File: dir, Reason: "was replaced by another rtcdev in the meantime, which permits other names",
			Fix: "look at it with rtcdev certs status, and run rtcdev certs new-authority again if it is not what you want"}
	}
	return a, nil
}
