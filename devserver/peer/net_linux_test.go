package peer

import (
	"context"
	"net"
	"os"
	"syscall"
	"testing"
	"time"
)

// A TURN server that does not even answer a SYN (RFC 9293 §3.5) does not keep anybody
// waiting beyond the end.
func TestBoundDial(t *testing.T) {
	fd, err := syscall.Socket(syscall.AF_INET, syscall.SOCK_STREAM|syscall.SOCK_CLOEXEC, 0)
	if err != nil {
		t.Fatal(err)
	}
	file := os.NewFile(uintptr(fd), "listener")
	defer file.Close()
	if err := syscall.Bind(fd, &syscall.SockaddrInet4{Addr: [4]byte{127, 0, 0, 1}}); err != nil {
		t.Fatal(err)
	}
	if err := syscall.Listen(fd, 0); err != nil {
		t.Fatal(err)
	}
	name, err := syscall.Getsockname(fd)
	if err != nil {
		t.Fatal(err)
	}
	at := &net.TCPAddr{IP: net.IPv4(127, 0, 0, 1), Port: name.(*syscall.SockaddrInet4).Port}
	fillBacklog(t, at)
	ctx, cancel := context.WithCancel(t.Context())
	network, err := newBoundNet(ctx)
	if err != nil {
		t.Fatal(err)
	}
	failed := make(chan error, 1)
	go func() {
		_, err := network.DialTCP("tcp4", nil, at)
		failed <- err
	}()
	select {
	case err := <-failed:
		t.Fatalf("the dial did not wait: %v", err)
	case <-time.After(50 * time.Millisecond):
	}
	cancel()
	if err := receive(t, "the end of the dial", failed); err == nil {
		t.Error("no error")
	}
}

// fillBacklog connects until the system drops what comes.
func fillBacklog(t *testing.T, at *net.TCPAddr) {
	t.Helper()
	for range 100 {
		conn, err := net.DialTimeout("tcp4", at.String(), 200*time.Millisecond)
		if err != nil {
			return
		}
		t.Cleanup(func() { conn.Close() })
	}
	t.Fatal("the backlog does not fill")
}
