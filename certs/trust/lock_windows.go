package trust

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"path/filepath"
	"syscall"
)

// lockDir is that of the other systems. The lock is a file in the folder that is
// open in no second process and that the system deletes when it is closed, at the
// end of the process at the latest.
func (m Machine) lockDir(ctx context.Context, dir string) (unlock func(), err error) {
	const (
		noSharing        = 0          // dwShareMode of CreateFileW
		deleteOnClose    = 0x04000000 // FILE_FLAG_DELETE_ON_CLOSE
		deleteAccess     = 0x00010000 // DELETE
		sharingViolation = syscall.Errno(32)
	)
	name, err := syscall.UTF16PtrFromString(filepath.Join(dir, ".rtcdev-lock-of-stores"))
	if err != nil {
		return nil, fmt.Errorf("locking %s: %w", dir, err)
	}
	var file syscall.Handle
	var fault error
	const patience = 10 // tries, while a lock that was given up is still being deleted: access is denied then, too
	tries := 0
	err = waitForLock(ctx, m.timeout(), func() error {
		file, fault = syscall.CreateFile(name, syscall.GENERIC_WRITE|deleteAccess, noSharing, nil,
			syscall.OPEN_ALWAYS, syscall.FILE_ATTRIBUTE_HIDDEN|deleteOnClose, 0)
		tries++
		if errors.Is(fault, sharingViolation) || errors.Is(fault, fs.ErrPermission) && tries < patience {
			return syscall.EWOULDBLOCK
		}
		return nil
	})
	switch {
	case err != nil:
		return nil, fmt.Errorf("locking %s: %w", dir, err)
	case errors.Is(fault, fs.ErrNotExist) || errors.Is(fault, fs.ErrPermission):
		return func() {}, nil // as where there are no locks; whoever reads the store says why it cannot be read
	case fault != nil:
		return nil, fmt.Errorf("locking %s: %w", dir, fault)
	}
	return func() { _ = syscall.CloseHandle(file) }, nil
}
