//go:build darwin || linux

package trust

import (
	"context"
	"errors"
	"fmt"
	"os"
	"syscall"
	"time"
)

// ownedByAnother reports whether a path belongs to somebody else than the
// user this process runs as.
func ownedByAnother(path string) bool {
	info, err := os.Stat(path)
	if err != nil {
		return false
	}
	stat, ok := info.Sys().(*syscall.Stat_t)
	return ok && int(stat.Uid) != os.Geteuid()
}

// giveToOwner makes file belong to the owner of the folder it was made in, when
// this process is root's and the folder is not.
func giveToOwner(file *os.File, folder string) error {
	info, err := os.Stat(folder)
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
	folder, err := os.Open(dir)
	if err != nil {
		return func() {}, nil // as where there are no locks; whoever reads the store says why it cannot be read
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

// waitForLock calls try until it gets the lock. It also returns nil where there
// are no locks to be had: NFS locks no folder, because it wants a file that is
// open for writing (EBADF), and other file systems answer ENOTSUP or ENOLCK. The
// lock only keeps two processes from getting in each other's way; without it, one
// of them may fail and say so, but alone each works as well.
func waitForLock(ctx context.Context, limit time.Duration, try func() error) error {
	limited, cancel := context.WithTimeout(ctx, limit)
	defer cancel()
	retry := time.NewTicker(20 * time.Millisecond)
	defer retry.Stop()
	for {
		err := try()
		if !errors.Is(err, syscall.EWOULDBLOCK) && !errors.Is(err, syscall.EINTR) {
			return nil
		}
		select {
		case <-retry.C:
		case <-limited.Done():
			if ctx.Err() != nil {
				return ctx.Err()
			}
			return fault("wait for the other rtcdev to end, or end it, and try again",
				"%w: another rtcdev has kept it locked for %s", ErrTimeout, limit)
		}
	}
}
