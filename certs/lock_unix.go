//go:build unix

package certs

import (
	"errors"
	"fmt"
	"os"
	"syscall"
)

// tryLock locks a folder for one process that replaces the store in it, or
// returns errLocked. The lock ends with the process and leaves nothing behind.
// Where folders cannot be locked (NFS) it does without: two processes that
// replace one store at the same moment may then see each other's work undone.
func tryLock(dir string) (unlock func(), err error) {
	folder, err := os.Open(dir)
	if err != nil {
		return nil, fmt.Errorf("locking a folder: %w", err)
	}
	for {
		err = syscall.Flock(int(folder.Fd()), syscall.LOCK_EX|syscall.LOCK_NB)
		if !errors.Is(err, syscall.EINTR) {
			break
		}
	}
	if errors.Is(err, syscall.EWOULDBLOCK) {
		_ = folder.Close()
		return nil, errLocked
	}
	return func() { _ = folder.Close() }, nil
}
