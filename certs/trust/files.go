package trust

import (
	"crypto/rand"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
)

// errIrregular is why a pipe, a device or a folder is not read as a file.
var errIrregular = errors.New("it is not a regular file")

// openRegular opens a file for reading. To open a pipe would wait for somebody who
// writes into it, for ever: anything but a regular file is refused.
func openRegular(path string) (*os.File, error) {
	if info, err := os.Stat(path); err != nil {
		return nil, err
	} else if !info.Mode().IsRegular() { // to open some devices does something
		return nil, errIrregular
	}
	file, err := os.OpenFile(path, os.O_RDONLY|nonblocking, 0)
	if err != nil {
		return nil, err
	}
	if info, err := file.Stat(); err != nil || !info.Mode().IsRegular() { // it was replaced meanwhile
		_ = file.Close()
		return nil, errors.Join(err, errIrregular)
	}
	return file, nil
}

// readSmall reads a regular file of at most limit bytes, and one byte of a longer
// one too many.
func readSmall(path string, limit int64) ([]byte, error) {
	file, err := openRegular(path)
	if err != nil {
		return nil, err
	}
	defer file.Close()
	return io.ReadAll(io.LimitReader(file, limit+1))
}

// firstMissing returns the topmost part of path that does not exist, or "" when
// path does.
func firstMissing(path string) string {
	missing := ""
	for !exists(path) && path != filepath.Dir(path) {
		path, missing = filepath.Dir(path), path
	}
	return missing
}

// removeEmptied removes dir and the folders above it up to top, as far as there
// is nothing in them. A link to a folder is not one.
func removeEmptied(dir, top string) {
	for ; within(top, dir); dir = filepath.Dir(dir) {
		info, err := os.Lstat(dir)
		if errors.Is(err, fs.ErrNotExist) {
			continue
		}
		if err != nil || !info.IsDir() || os.Remove(dir) != nil {
			return
		}
	}
}

// temporaryPrefix begins the names of files that are being written. One that is
// found under the lock was left by a process that was killed.
const temporaryPrefix = ".rtcdev-trust-"

// sweep deletes what a process of ours that was killed left half-written in a
// folder. It needs the lock of those who write there.
func sweep(dir string) {
	entries, _ := os.ReadDir(dir) // of one that cannot be read, nothing can be deleted
	for _, e := range entries {
		if strings.HasPrefix(e.Name(), temporaryPrefix) && e.Type().IsRegular() {
			_ = os.Remove(filepath.Join(dir, e.Name())) // what stays does no harm
		}
	}
}

// replaceFile writes a file as a whole: a reader, and a power failure, finds the
// old or the new one. As root it gives the file to the owner of the folder: with
// sudo, that is the person whose folder it is.
func replaceFile(path string, data []byte, mode fs.FileMode) error {
	return writeWhole(path, data, mode, (*os.Root).Rename)
}

// createFile is replaceFile for a file that must not be there: then it stays as it
// is, and the error is fs.ErrExist.
func createFile(path string, data []byte, mode fs.FileMode) error {
	return writeWhole(path, data, mode, func(folder *os.Root, from, to string) error {
		return errors.Join(folder.Link(from, to), folder.Remove(from))
	})
}

// writeWhole writes a file under a name of its own and puts it in place. It opens
// the folder once: whoever owns a part of the path can lead it elsewhere meanwhile.
func writeWhole(path string, data []byte, mode fs.FileMode, put func(folder *os.Root, from, to string) error) (err error) {
	folder, err := os.OpenRoot(filepath.Dir(path))
	if err != nil {
		return err
	}
	defer folder.Close()
	name := temporaryPrefix + rand.Text()
	file, err := folder.OpenFile(name, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o600)
	if err != nil {
		return err
	}
	defer func() {
		if err != nil {
			_ = folder.Remove(name)
		}
	}()
	_, err = file.Write(data)
	if err := errors.Join(err, file.Chmod(mode), giveToOwner(file, folder), file.Sync(), file.Close()); err != nil {
		return fmt.Errorf("writing %s: %w", path, err)
	}
	if err := put(folder, name, filepath.Base(path)); err != nil {
		return err
	}
	if dir, err := folder.Open("."); err == nil {
		_ = dir.Sync() // makes the new name last; where a folder cannot be synced (Windows), nothing is to be done
		_ = dir.Close()
	}
	return nil
}
