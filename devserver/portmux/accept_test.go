package portmux

import (
	"errors"
	"net"
	"sync/atomic"
	"testing"
	"time"
)

// failing is a listener that has another answer than the real one, while fail does.
type failing struct {
	net.Listener
	failed atomic.Int32
	fail   func(n int32) error // n counts from 1
}

func (l *failing) Accept() (net.Conn, error) {
	if err := l.fail(l.failed.Load() + 1); err != nil {
		l.failed.Add(1)
		return nil, err
	}
	return l.Listener.Accept()
}

type passing struct{}

func (passing) Error() string   { return "no more files" }
func (passing) Temporary() bool { return true }

func listenLoopback(t *testing.T) net.Listener {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	return l
}

// An error that passes is waited out, longer each time.
func TestPassingErrors(t *testing.T) {
	l := &failing{Listener: listenLoopback(t), fail: func(n int32) error {
		if n <= 5 {
			return &net.OpError{Op: "accept", Err: passing{}}
		}
		return nil
	}}
	p := openOn(t, l, nil)
	began := time.Now()
	p.everything(nil)
	p.wantPage(p.client(), `HTTP/2.0 TLS 1.3 alpn="h2"`)
	if took, least := time.Since(began), (5+10+20+40+80)*time.Millisecond; took < least {
		t.Errorf("five errors took %v, want %v", took, least)
	}
}

// Close does not wait for the next try.
func TestCloseDuringErrors(t *testing.T) {
	l := &failing{Listener: listenLoopback(t), fail: func(int32) error { return passing{} }}
	p := openOn(t, l, nil).serve()
	eventually(t, "tries are far apart", func() bool { return l.failed.Load() >= 7 })
	began := time.Now()
	p.Close()
	if took := time.Since(began); took > 200*time.Millisecond {
		t.Errorf("Close took %v", took)
	}
}

// When one listener fails for good, all ends, and Serve says why.
func TestListenerFails(t *testing.T) {
	broken := errors.New("broken")
	other := listenLoopback(t)
	cut := make(chan struct{})
	bad := &failing{Listener: listenLoopback(t), fail: func(int32) error { <-cut; return broken }}
	p := openOn(t, bad, nil)
	p.Mux = New([]net.Listener{other, bad}, Config{TLS: p.cfg.TLS})
	l := p.Plain()
	served := make(chan error, 1)
	go func() { served <- p.Serve() }()
	silent, err := net.Dial("tcp", other.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	defer silent.Close()
	eventually(t, "it is in the mux", func() bool { return telling() == 1 })
	close(cut)
	if err := <-served; !errors.Is(err, broken) {
		t.Errorf("Serve returned %v", err)
	}
	wantClosed(t, "what came in on the other listener", silent)
	if _, err := l.Accept(); !errors.Is(err, net.ErrClosed) {
		t.Errorf("Accept returned %v", err)
	}
	if _, err := net.Dial("tcp", other.Addr().String()); err == nil {
		t.Error("the other listener is open")
	}
}

// Two listeners are one port, as with the two loopback addresses.
func TestTwoListeners(t *testing.T) {
	first := openOn(t, listenLoopback(t), nil)
	second := listenLoopback(t)
	first.Mux = New(append(first.listeners, second), Config{TLS: first.cfg.TLS})
	p := first.everything(nil)
	client := p.client()
	p.wantPage(client, `HTTP/2.0 TLS 1.3 alpn="h2"`)
	p.addr = second.Addr().String()
	p.wantPage(client, `HTTP/2.0 TLS 1.3 alpn="h2"`)
}
