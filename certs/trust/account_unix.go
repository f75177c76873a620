//go:build darwin || linux

package trust

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"syscall"
)

// nonblocking is the flag with which opening a pipe does not wait.
const nonblocking = syscall.O_NONBLOCK

// giveToOwner makes file belong to the owner of the folder it was made in, when
// this process is root's and the folder is not.
func giveToOwner(file *os.File, folder *os.Root) error {
	info, err := folder.Stat(".")
	if err != nil {
		return err
	}
	stat, ok := info.Sys().(*syscall.Stat_t)
	if !ok || os.Geteuid() != 0 || stat.Uid == 0 {
		return nil
	}
	return file.Chown(int(stat.Uid), int(stat.Gid))
}

// lockDir keeps a second process of ours from changing the same store at the
// same time. The lock goes away with the process, and leaves nothing behind.
// It is waited for no longer than an outside command is.
func (m Machine) lockDir(ctx context.Context, dir string) (unlock func(), err error) {
	folder, err := os.OpenFile(dir, os.O_RDONLY|syscall.O_DIRECTORY|syscall.O_NONBLOCK, 0)
	if errors.Is(err, fs.ErrNotExist) || errors.Is(err, fs.ErrPermission) {
		return func() {}, nil // as where there are no locks; whoever reads the store says why it cannot be read
	}
	if err != nil {
		return nil, fmt.Errorf("locking %s: %w", dir, err)
	}
	err = waitForLock(ctx, m.timeout(), func() error {
		return syscall.Flock(int(folder.Fd()), syscall.LOCK_EX|syscall.LOCK_NB)
	})
	if err != nil {
		folder.Close()
		return nil, fmt.Errorf("locking %s: %w", dir, err)
	}
	return func() { folder.Close() }, nil
}
