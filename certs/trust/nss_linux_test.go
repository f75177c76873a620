package trust

import (
	"context"
	"errors"
	"io"
	"os"
	"path/filepath"
	"sync"
	"syscall"
	"testing"
	"time"
)

func TestNSSLockedDatabase(t *testing.T) {
	need(t, "certutil", "libnss3-tools")
	m, root := testMachine(t), newRoot(t).cert
	db := makeDB(t, filepath.Join(m.Home, ".pki/nssdb"))
	file, err := os.OpenFile(filepath.Join(db, "cert9.db"), os.O_RDWR, 0)
	must(t, err)
	defer file.Close()
	// SQLite's exclusive lock: https://www.sqlite.org/fileformat.html §1.3.10, "lock-byte page".
	lock := syscall.Flock_t{Type: syscall.F_WRLCK, Whence: io.SeekStart, Start: 1 << 30, Len: 512}
	// F_OFD_SETLK of fcntl(2): unlike F_SETLK, it survives another close of the file in this process.
	const openFileLock = 37
	must(t, syscall.FcntlFlock(file.Fd(), openFileLock, &lock))
	r := byName(t, m.Install(t.Context(), root, KindNSS), oldName)
	if !errors.Is(r.Err, ErrLocked) || r.State != StateUnknown || r.Fix == "" {
		t.Errorf("%+v", r)
	}
	must(t, file.Close())
	if r := byName(t, m.Install(t.Context(), root, KindNSS), oldName); r.Err != nil || r.State != StateTrusted {
		t.Errorf("after the lock went away: %+v", r)
	}
}

func TestNSSManyAtOnceOnAFreshAccount(t *testing.T) {
	need(t, "certutil", "libnss3-tools")
	m := testMachine(t)
	roots := []testRoot{newRoot(t), newRoot(t), newRoot(t)}
	var wg sync.WaitGroup
	for i := range 6 {
		wg.Go(func() {
			r := m.Install(t.Context(), roots[i%3].cert, KindNSS)
			if !Trusted(r) || r[0].Err != nil {
				t.Errorf("%+v", r)
			}
		})
	}
	wg.Wait()
	for _, root := range roots {
		if got := m.Status(t.Context(), root.cert); !Trusted(got) {
			t.Errorf("%+v", got)
		}
	}
}

// TestLockIsACourtesy: a file system without locks, or a process of ours that
// stands still, never keeps a store from being read.
func TestLockIsACourtesy(t *testing.T) {
	for _, answer := range []error{nil, syscall.EBADF, syscall.ENOTSUP, syscall.ENOLCK, syscall.ENOSYS, syscall.EINVAL} {
		tries := 0
		err := waitForLock(t.Context(), time.Minute, func() error {
			tries++
			return []error{syscall.EWOULDBLOCK, syscall.EINTR, answer}[tries-1]
		})
		if err != nil || tries != 3 {
			t.Errorf("flock answers %v: error %v after %d tries", answer, err, tries)
		}
	}
	taken := func() error { return syscall.EWOULDBLOCK }
	if err := waitForLock(t.Context(), 50*time.Millisecond, taken); !errors.Is(err, ErrTimeout) {
		t.Errorf("a lock that is never free: %v", err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if err := waitForLock(ctx, time.Minute, taken); !errors.Is(err, context.Canceled) || errors.Is(err, ErrTimeout) {
		t.Errorf("interrupted: %v", err)
	}
}

func TestNSSLockHeldForLong(t *testing.T) {
	need(t, "certutil", "libnss3-tools")
	m, one, two := testMachine(t), newRoot(t).cert, newRoot(t).cert
	must(t, byName(t, m.Install(t.Context(), one, KindNSS), oldName).Err)
	folder, err := os.Open(filepath.Join(m.Home, ".pki/nssdb"))
	must(t, err)
	defer folder.Close()
	must(t, syscall.Flock(int(folder.Fd()), syscall.LOCK_EX))
	m.Timeout = 100 * time.Millisecond // of the wait only: certutil may take its time
	run := m.Run
	m.Run = func(ctx context.Context, program string, args ...string) ([]byte, []byte, error) {
		return run(context.WithoutCancel(ctx), program, args...)
	}
	if got := m.Status(t.Context(), one); !Trusted(got) {
		t.Errorf("Status must not wait for ever, nor fail: %+v", got)
	}
	r := byName(t, m.Install(t.Context(), two, KindNSS), oldName)
	if !errors.Is(r.Err, ErrTimeout) || r.Fix == "" || r.Changed {
		t.Errorf("Install must not barge in: %+v", r)
	}
	t.Logf("%v\n  next: %s", r.Err, r.Fix)
	must(t, folder.Close())
	if r := byName(t, m.Install(t.Context(), two, KindNSS), oldName); r.Err != nil || r.State != StateTrusted {
		t.Errorf("after the lock went away: %+v", r)
	}
}
