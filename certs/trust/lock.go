package trust

import (
	"context"
	"errors"
	"syscall"
	"time"
)

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
