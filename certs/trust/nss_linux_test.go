package trust

import (
	"errors"
	"io"
	"os"
	"path/filepath"
	"sync"
	"syscall"
	"testing"
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
	if !errors.Is(r.Err, ErrDatabase) || r.State != StateUnknown || r.Fix == "" {
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
