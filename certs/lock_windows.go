package certs

import (
	"errors"
	"fmt"
	"path/filepath"
	"syscall"
)

// tryLock locks a folder for one process that replaces the store in it, or
// returns errLocked. The lock is a file in it that is open in no second process
// and that the system deletes when it is closed, at the end of the process at
// the latest.
func tryLock(dir string) (unlock func(), err error) {
	const (
		noSharing        = 0          // dwShareMode of CreateFileW
		deleteOnClose    = 0x04000000 // FILE_FLAG_DELETE_ON_CLOSE
		deleteAccess     = 0x00010000 // DELETE
		sharingViolation = syscall.Errno(32)
	)
	name, err := syscall.UTF16PtrFromString(filepath.Join(dir, ".rtcdev-lock"))
	if err != nil {
		return nil, fmt.Errorf("locking a folder: %w", err)
	}
	file, err := syscall.CreateFile(name, syscall.GENERIC_WRITE|deleteAccess, noSharing, nil,
		syscall.OPEN_ALWAYS, syscall.FILE_ATTRIBUTE_HIDDEN|deleteOnClose, 0)
	switch {
	case errors.Is(err, sharingViolation) || errors.Is(err, syscall.ERROR_ACCESS_DENIED): // open, or about to be deleted
		return nil, errLocked
	case err != nil:
		return nil, fmt.Errorf("locking a folder: %w", err)
	}
	return func() { _ = syscall.CloseHandle(file) }, nil
}
