//go:build unix

package portmux

import (
	"net"
	"os"
	"syscall"
	"testing"
)

// The process runs out of files for real, while a client is already at the door.
func TestOutOfFiles(t *testing.T) {
	var errs []error
	seen := make(chan struct{})
	l := &watched{Listener: listenLoopback(t), saw: func(err error) {
		if errs = append(errs, err); len(errs) == 3 {
			close(seen)
		}
	}}
	p := openOn(t, l, nil)
	c := send(p, []byte("GET / HTTP/1.0\r\n\r\n"))
	lowLimit(t, 300)
	var taken []*os.File
	for {
		f, err := os.Open(os.DevNull)
		if err != nil {
			break
		}
		taken = append(taken, f)
	}
	p.everything(nil)
	<-seen
	for _, f := range taken {
		f.Close()
	}
	if n, err := c.Read(make([]byte, 100)); n == 0 {
		t.Errorf("no answer afterwards: %v", err)
	}
	for _, err := range errs {
		if op, ok := err.(*net.OpError); !ok || !op.Temporary() {
			t.Errorf("the errors were %v", errs)
		}
	}
}

// watched is a listener whose errors are told.
type watched struct {
	net.Listener
	saw func(error)
}

func (l *watched) Accept() (net.Conn, error) {
	c, err := l.Listener.Accept()
	if op, ok := err.(*net.OpError); ok && op.Temporary() {
		l.saw(err)
	}
	return c, err
}

// lowLimit is how many files this process may have open, until the test ends.
func lowLimit(t *testing.T, n uint64) {
	t.Helper()
	var old syscall.Rlimit
	if err := syscall.Getrlimit(syscall.RLIMIT_NOFILE, &old); err != nil {
		t.Fatal(err)
	}
	low := old
	low.Cur = n
	if err := syscall.Setrlimit(syscall.RLIMIT_NOFILE, &low); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := syscall.Setrlimit(syscall.RLIMIT_NOFILE, &old); err != nil {
			t.Error(err)
		}
	})
}
