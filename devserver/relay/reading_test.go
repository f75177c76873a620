package relay

import (
	"errors"
	"net"
	"os"
	"sync"
	"syscall"
	"testing"
	"testing/synctest"
	"time"

	"github.com/pion/stun/v4"
)

// failing is a wire whose reading fails with each of the errors first.
type failing struct {
	*wire
	mu   sync.Mutex
	errs []error
}

func (f *failing) ReadFrom(p []byte) (int, net.Addr, error) {
	f.mu.Lock()
	if len(f.errs) > 0 {
		err := f.errs[0]
		f.errs = f.errs[1:]
		f.mu.Unlock()
		return 0, nil, err
	}
	f.mu.Unlock()
	return f.wire.ReadFrom(p)
}

func repeat(err error, n int) (errs []error) {
	for range n {
		errs = append(errs, &net.OpError{Op: "read", Net: "udp", Err: os.NewSyscallError("wsarecvfrom", err)})
	}
	return errs
}

// Errors of reading end nothing: any number of datagrams that are too long, which take no
// time, and some of others in a row.
func TestReadingGoesOn(t *testing.T) {
	for name, c := range map[string]struct {
		errs []error
		want time.Duration
	}{
		"too long": {repeat(tooLong, 1000), 0},
		"others":   {repeat(syscall.ECONNREFUSED, 10), 55 * time.Millisecond},
		"many":     {repeat(syscall.ENOBUFS, maxReadErrors), 5050 * time.Millisecond},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				s, err := New(Config{})
				if err != nil {
					t.Fatal(err)
				}
				w := &failing{wire: newWire(), errs: c.errs}
				served := make(chan error, 1)
				go func() { served <- s.ServePacket(w) }()
				begin := time.Now()
				select {
				case w.in <- datagram{stun.MustBuild(stun.TransactionID, stun.BindingRequest).Raw, at(1)}:
					<-w.out
				case err := <-served:
					t.Fatalf("reading ended: %v", err)
				}
				if took := time.Since(begin); took != c.want {
					t.Errorf("it took %s, not %s", took, c.want)
				}
				_ = s.Close()
				if err := <-served; !errors.Is(err, net.ErrClosed) {
					t.Error(err)
				}
			})
		})
	}
}

// A socket on which nothing but errors comes is given up, and Close does not wait.
func TestReadingEnds(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		for _, closes := range []bool{false, true} {
			s, err := New(Config{})
			if err != nil {
				t.Fatal(err)
			}
			served := make(chan error)
			go func() {
				served <- s.ServePacket(&failing{wire: newWire(), errs: repeat(syscall.ENOBUFS, maxReadErrors+1)})
			}()
			<-time.After(3 * time.Second)
			begin := time.Now()
			want := error(syscall.ENOBUFS)
			if closes {
				_ = s.Close()
				want = net.ErrClosed
			}
			if err := <-served; !errors.Is(err, want) || closes && time.Since(begin) > 0 {
				t.Errorf("after %s: %v, not %v", time.Since(begin), err, want)
			}
			_ = s.Close()
		}
	})
}
