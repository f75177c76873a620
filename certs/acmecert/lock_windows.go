package acmecert

import (
	"errors"
	"syscall"
)

// lockFile opens a file, which is made if it is not there, so that nobody else can open it, or
// returns errLocked.
func lockFile(path string) (unlock func(), err error) {
	const (
		noSharing        = 0 // dwShareMode of CreateFileW
		sharingViolation = syscall.Errno(32)
	)
	name, err := syscall.UTF16PtrFromString(path)
	if err != nil {
		return nil, err
	}
	file, err := syscall.CreateFile(name, syscall.GENERIC_READ|syscall.GENERIC_WRITE, noSharing, nil,
		syscall.OPEN_ALWAYS, syscall.FILE_ATTRIBUTE_NORMAL, 0)
	if errors.Is(err, sharingViolation) {
		return nil, errLocked
	}
	if err != nil {
		return nil, err
	}
	return func() { _ = syscall.CloseHandle(file) }, nil
}
