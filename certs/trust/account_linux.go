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

// lockDir keeps a second process of ours from changing the same store at the
// same time. The lock goes away with the process, and leaves nothing behind.
func lockDir(ctx context.Context, dir string) (unlock func(), err error) {
	folder, err := os.Open(dir)
	if err != nil {
		return nil, fmt.Errorf("locking %s: %w", dir, err)
	}
	retry := time.NewTicker(20 * time.Millisecond)
	defer retry.Stop()
	for {
		err = syscall.Flock(int(folder.Fd()), syscall.LOCK_EX|syscall.LOCK_NB)
		if err == nil {
			return func() { folder.Close() }, nil
		}
		if !errors.Is(err, syscall.EWOULDBLOCK) && !errors.Is(err, syscall.EINTR) {
			break
		}
		select {
		case <-retry.C:
			continue
		case <-ctx.Done():
			err = ctx.Err()
		}
		break
	}
	folder.Close()
	return nil, fmt.Errorf("locking %s: %w", dir, err)
}
