package relay

import (
	"encoding/binary"
	"errors"
	"io"
	"net"
	"net/netip"
	"slices"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/pion/stun/v4"
)

// Whatever comes, the relay goes on: a Binding request after it is answered.
func FuzzDatagram(f *testing.F) {
	s, err := New(Config{})
	if err != nil {
		f.Fatal(err)
	}
	w := newWire()
	served := make(chan error)
	go func() { served <- s.ServePacket(w) }()
	f.Cleanup(func() {
		_ = s.Close()
		<-served
	})
	for _, seed := range []*stun.Message{
		stun.MustBuild(stun.TransactionID, stun.BindingRequest, stun.Fingerprint),
		stun.MustBuild(stun.TransactionID, stun.NewType(stun.MethodAllocate, stun.ClassRequest), requestedTransport(17),
			stun.NewUsername(s.Credentials("a").Username), stun.NewRealm(Realm), stun.NewNonce("x"), stun.MessageIntegrity("key")),
		stun.MustBuild(stun.TransactionID, stun.NewType(stun.MethodSend, stun.ClassIndication), to(netip.MustParseAddrPort("127.0.0.1:9"))),
	} {
		f.Add(seed.Raw)
	}
	f.Add(channelData(20))
	f.Add([]byte("\x40\x01\xff\xff"))
	f.Add([]byte{})
	ping := stun.MustBuild(stun.TransactionID, stun.BindingRequest).Raw
	f.Fuzz(func(t *testing.T, raw []byte) {
		w.in <- datagram{raw, at(1)}
		w.in <- datagram{ping, at(2)}
		for answer := range w.out {
			if answer.peer.String() == at(2).String() {
				return
			}
		}
	})
}

// keeper is a collector that keeps what it gets.
type keeper struct{ got []string }

func (k *keeper) collect(_ *client, message []byte) bool {
	k.got = append(k.got, string(message))
	return true
}

// FuzzChannelData drives the fast path with an allocation and a channel that exist.
// What comes out is what went in, without padding, or nothing.
func FuzzChannelData(f *testing.F) {
	s, err := New(Config{})
	if err != nil {
		f.Fatal(err)
	}
	front, clients := twoEnds(f, s, [2]string{"a", "b"})
	f.Add([]byte("\x40\x01\x00\x05hello\x00\x00\x00"))
	f.Add([]byte("\x40\x01\x00\x05hell"))
	f.Add([]byte("\x40\x02\x00\x05hello"))
	f.Add([]byte("\x40\x01\x00\x00"))
	f.Add([]byte("\x40\x01\x00"))
	f.Add([]byte("\x7f\xff\xff\xff"))
	f.Add(channelData(maxPayload))
	f.Add(channelData(maxPayload + 1))
	f.Fuzz(func(t *testing.T, raw []byte) {
		var want []string
		if len(raw) >= headroom && raw[0] == 0x40 && raw[1] == 1 {
			n := int(binary.BigEndian.Uint16(raw[2:]))
			if n <= maxPayload && n <= len(raw)-headroom {
				want = append(want, string(raw[:headroom+n]))
			}
		}
		var k keeper
		before := s.Stats().Packets
		front.take(clients[0].addr, append([]byte(nil), raw...), 1, &k)
		if !slices.Equal(k.got, want) || s.Stats().Packets-before != uint64(len(want)) {
			t.Errorf("%q comes out as %q", raw, k.got)
		}
	})
}

// A client that does not read loses packets, and holds up nobody.
func TestSlowReader(t *testing.T) {
	o := newOutbox()
	server, client := net.Pipe()
	defer client.Close()
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		o.run(server)
	}()
	accepted := 0
	for range 1000 {
		if o.put(channelData(1201)) {
			accepted++
		}
	}
	if accepted > 2*maxPending/1200 || accepted < maxPending/1300 {
		t.Errorf("%d packets were kept", accepted)
	}
	frames := frameReader{r: client, wait: func(time.Time) {}}
	for range accepted { // all that were kept come, whole
		if frame, err := frames.next(); err != nil || len(frame) != headroom+1201 {
			t.Fatalf("%d bytes, %v", len(frame), err)
		}
	}
	o.close()
	<-ended
	if o.put([]byte("more")) {
		t.Error("it keeps more after close")
	}
}

// pipes is a listener for connections in memory, in virtual time.
type pipes struct {
	conns chan net.Conn
	done  chan struct{}
}

func (p pipes) Accept() (net.Conn, error) {
	select {
	case c := <-p.conns:
		return c, nil
	case <-p.done:
		return nil, net.ErrClosed
	}
}
func (p pipes) Close() error {
	select {
	case <-p.done:
	default:
		close(p.done)
	}
	return nil
}
func (p pipes) Addr() net.Addr { return &net.TCPAddr{IP: net.IPv4(127, 0, 0, 1), Port: 8443} }

// named is one end of a pipe, that has an address and says when it is closed.
type named struct {
	net.Conn
	once   sync.Once
	closed chan struct{}
}

func (n *named) Close() error {
	n.once.Do(func() { close(n.closed) })
	return n.Conn.Close()
}

func (*named) RemoteAddr() net.Addr { return &net.TCPAddr{IP: net.IPv4(127, 0, 0, 1), Port: 40000} }

// A client has 30 s to begin a message, 10 s to end it, and 10 s to read the answer.
func TestSlowTCP(t *testing.T) {
	ping := stun.MustBuild(stun.TransactionID, stun.BindingRequest).Raw
	for name, c := range map[string]struct {
		do   func(net.Conn)
		want time.Duration
	}{
		"says nothing": {func(net.Conn) {}, idle},
		"a byte at a time": {func(c net.Conn) {
			for _, b := range ping {
				if _, err := c.Write([]byte{b}); err != nil {
					return
				}
				<-time.After(9 * time.Second)
			}
		}, slow},
		"says something, then nothing": {func(c net.Conn) {
			<-time.After(20 * time.Second)
			_, _ = c.Write(ping)
			_, _ = io.ReadFull(c, make([]byte, stunHeader))
		}, 20*time.Second + slow}, // it leaves the answer's rest unread
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				s, err := New(Config{})
				if err != nil {
					t.Fatal(err)
				}
				l := pipes{make(chan net.Conn), make(chan struct{})}
				served := make(chan error)
				go func() { served <- s.Serve(l) }()
				ours, theirs := net.Pipe()
				conn := &named{Conn: theirs, closed: make(chan struct{})}
				begin := time.Now()
				l.conns <- conn
				var doing sync.WaitGroup
				doing.Go(func() { c.do(ours) })
				<-conn.closed
				if took := time.Since(begin); took != c.want {
					t.Errorf("it was closed after %s, not %s", took, c.want)
				}
				ours.Close()
				doing.Wait()
				_ = s.Close()
				if err := <-served; !errors.Is(err, net.ErrClosed) {
					t.Error(err)
				}
			})
		})
	}
}
