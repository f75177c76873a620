package relay

import (
	"errors"
	"net"
	"net/netip"
	"os"
	"runtime"
	"strconv"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/pion/stun/v4"
	"github.com/pion/turn/v5"
)

// wire is a UDP socket in memory, on which many clients can be.
type wire struct {
	in   chan datagram // to the server
	out  chan datagram // from it
	done chan struct{}
	once sync.Once
}

type datagram struct {
	data []byte
	peer *net.UDPAddr
}

func newWire() *wire {
	return &wire{in: make(chan datagram), out: make(chan datagram, 10), done: make(chan struct{})}
}

func (w *wire) ReadFrom(p []byte) (int, net.Addr, error) {
	select {
	case d := <-w.in:
		return copy(p, d.data), d.peer, nil
	case <-w.done:
		return 0, nil, net.ErrClosed
	}
}

func (w *wire) WriteTo(p []byte, to net.Addr) (int, error) {
	select {
	case w.out <- datagram{append([]byte(nil), p...), to.(*net.UDPAddr)}:
	case <-w.done:
	}
	return len(p), nil
}

func (w *wire) Close() error                     { w.once.Do(func() { close(w.done) }); return nil }
func (w *wire) LocalAddr() net.Addr              { return &net.UDPAddr{IP: net.IPv4(127, 0, 0, 1), Port: 8443} }
func (w *wire) SetDeadline(time.Time) error      { return nil }
func (w *wire) SetReadDeadline(time.Time) error  { return nil }
func (w *wire) SetWriteDeadline(time.Time) error { return nil }

// wired starts a server on a wire. The caller closes it.
func wired(t *testing.T, cfg Config) (s *Server, w *wire, end func()) {
	t.Helper()
	s, err := New(cfg)
	if err != nil {
		t.Fatal(err)
	}
	w = newWire()
	served := make(chan error)
	go func() { served <- s.ServePacket(w) }()
	return s, w, func() {
		if err := s.Close(); err != nil {
			t.Error(err)
		}
		if err := <-served; !errors.Is(err, net.ErrClosed) {
			t.Error(err)
		}
	}
}

// ask sends a request of the client at from, and returns the error code or 0.
func (w *wire) ask(t *testing.T, s *Server, from *net.UDPAddr, session string, method stun.Method, more ...stun.Setter) stun.ErrorCode {
	t.Helper()
	user := s.Credentials(session)
	var nonce stun.Nonce
	for {
		setters := append([]stun.Setter{stun.TransactionID, stun.NewType(method, stun.ClassRequest)}, more...)
		if nonce != nil {
			key := turn.GenerateAuthKey(user.Username, Realm, user.Password)
			setters = append(setters, stun.NewUsername(user.Username), stun.NewRealm(Realm), nonce, stun.MessageIntegrity(key))
		}
		w.in <- datagram{stun.MustBuild(setters...).Raw, from}
		answer := &stun.Message{Raw: (<-w.out).data}
		if err := answer.Decode(); err != nil {
			t.Fatal(err)
		}
		var code stun.ErrorCodeAttribute
		if answer.Type.Class == stun.ClassSuccessResponse {
			return 0
		}
		if err := code.GetFrom(answer); err != nil {
			t.Fatal(err)
		}
		if code.Code != stun.CodeUnauthorized || nonce != nil {
			return code.Code
		}
		if err := nonce.GetFrom(answer); err != nil {
			t.Fatal(err)
		}
	}
}

// at is the n-th client's address.
func at(n int) *net.UDPAddr {
	return &net.UDPAddr{IP: net.IPv4(127, byte(n>>16), byte(n>>8), byte(n)), Port: 40000}
}

func (w *wire) allocate(t *testing.T, s *Server, n int, session string) stun.ErrorCode {
	t.Helper()
	return w.ask(t, s, at(n), session, stun.MethodAllocate, requestedTransport(17))
}

func TestQuotas(t *testing.T) {
	var mu sync.Mutex
	var refused []Refusal
	s, w, end := wired(t, Config{PerSession: 2, Total: 3, OnRefused: func(r Refusal) {
		mu.Lock()
		defer mu.Unlock()
		refused = append(refused, r)
	}})
	defer end()
	for n, want := range []stun.ErrorCode{0, 0, stun.CodeAllocQuotaReached} {
		if got := w.allocate(t, s, n, "a"); got != want {
			t.Errorf("allocation %d of a session: %d", n, got)
		}
	}
	for n, want := range []stun.ErrorCode{0, stun.CodeAllocQuotaReached} {
		if got := w.allocate(t, s, 10+n, "b"); got != want {
			t.Errorf("allocation %d of all: %d", 3+n, got)
		}
	}
	mu.Lock()
	defer mu.Unlock()
	if len(refused) != 2 || refused[0].Reason != QuotaReached || refused[0].Session != "a" || refused[1].Session != "b" {
		t.Errorf("reported: %v", refused)
	}
}

// Sessions with the same name up to a "." have their quota together, whichever of them
// comes and goes, and nobody else has it.
func TestQuotaOfOwner(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s, w, end := wired(t, Config{PerSession: 2, Lifetime: time.Hour})
		defer end()
		for n, c := range []struct {
			session string
			want    stun.ErrorCode
		}{
			{"a.1", 0}, {"a.2", 0}, {"a.3", stun.CodeAllocQuotaReached}, {"a", stun.CodeAllocQuotaReached},
			{"a.1", stun.CodeAllocQuotaReached}, {"ab", 0}, {"b.a", 0}, {"b.a.1", 0}, {"b", stun.CodeAllocQuotaReached},
		} {
			if got := w.allocate(t, s, n, c.session); got != c.want {
				t.Errorf("allocation of %s: %d", c.session, got)
			}
		}
		none := stun.RawAttribute{Type: stun.AttrLifetime, Value: []byte{0, 0, 0, 0}}
		if code := w.ask(t, s, at(0), "a.1", stun.MethodRefresh, none); code != 0 {
			t.Fatalf("Refresh: %d", code)
		}
		synctest.Wait()
		if code := w.allocate(t, s, 10, "a.3"); code != 0 {
			t.Errorf("after one of the owner's has gone: %d", code)
		}
		if code := w.allocate(t, s, 11, "a.4"); code != stun.CodeAllocQuotaReached {
			t.Errorf("and one more: %d", code)
		}
		<-time.After(silent) // "ab" and "b" are as silent, and stay
		if code := w.ask(t, s, at(10), "a.3", stun.MethodRefresh); code != 0 {
			t.Fatalf("Refresh: %d", code)
		}
		if code := w.allocate(t, s, 11, "a.4"); code != 0 {
			t.Errorf("in the place of a silent one of the owner's: %d", code)
		}
		synctest.Wait()
		for n, session := range map[int]string{10: "a.3", 11: "a.4", 5: "ab", 6: "b.a", 7: "b.a.1"} {
			if code := w.ask(t, s, at(n), session, stun.MethodRefresh); code != 0 {
				t.Errorf("the allocation of %s: %d", session, code)
			}
		}
		for n, session := range map[int]string{10: "a.3", 11: "a.4", 5: "ab", 6: "b.a", 7: "b.a.1"} {
			w.ask(t, s, at(n), session, stun.MethodRefresh, none)
		}
		synctest.Wait()
		if len(s.hub.owners) != 0 || len(s.hub.sessions) != 0 {
			t.Errorf("%d owners and %d sessions are kept without an allocation", len(s.hub.owners), len(s.hub.sessions))
		}
	})
}

// Whoever takes a new session each time has the quota of the address. One of the
// address's own that is silent gives way.
func TestQuotaOfAddress(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var refused atomic.Int32
		s, w, end := wired(t, Config{PerAddress: 2, Lifetime: time.Hour, OnRefused: func(r Refusal) {
			if r.Reason == QuotaReached {
				refused.Add(1)
			}
		}})
		defer end()
		client := func(ip byte, port int) *net.UDPAddr { return &net.UDPAddr{IP: net.IPv4(127, 0, 0, ip), Port: port} }
		allocate := func(ip byte, port int, session string) stun.ErrorCode {
			return w.ask(t, s, client(ip, port), session, stun.MethodAllocate, requestedTransport(17))
		}
		allocate(2, 1, "other") // the one that will be silent for longest
		<-time.After(time.Second)
		for port, want := range []stun.ErrorCode{0, 0, stun.CodeAllocQuotaReached} {
			if got := allocate(1, 1+port, strconv.Itoa(port)); got != want {
				t.Errorf("allocation %d of an address: %d", port, got)
			}
		}
		if code := allocate(2, 2, "0"); code != 0 {
			t.Errorf("another address: %d", code)
		}
		<-time.After(silent)
		if code := w.ask(t, s, client(1, 1), "0", stun.MethodRefresh); code != 0 {
			t.Fatalf("Refresh: %d", code)
		}
		if code := allocate(1, 3, "2"); code != 0 {
			t.Errorf("in the place of a silent one: %d", code)
		}
		synctest.Wait()
		if code := allocate(1, 4, "3"); code != stun.CodeAllocQuotaReached {
			t.Errorf("in the place of one that is not silent: %d", code)
		}
		none := stun.RawAttribute{Type: stun.AttrLifetime, Value: []byte{0, 0, 0, 0}}
		for _, c := range []struct {
			from    *net.UDPAddr
			session string
		}{{client(2, 1), "other"}, {client(2, 2), "0"}, {client(1, 1), "0"}, {client(1, 3), "2"}} {
			if code := w.ask(t, s, c.from, c.session, stun.MethodRefresh, none); code != 0 {
				t.Errorf("the allocation of %s: %d", c.from, code)
			}
		}
		synctest.Wait()
		if n := refused.Load(); n != 2 || len(s.hub.clients) != 0 {
			t.Errorf("%d are reported, not 2; %d addresses are kept without an allocation", n, len(s.hub.clients))
		}
	})
}

// A page that is reloaded takes the place of what it left behind, once that is
// silent for 15 s; nobody else's.
func TestReload(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s, w, end := wired(t, Config{PerSession: 2, Lifetime: time.Hour})
		defer end()
		w.allocate(t, s, 0, "other page") // the one that will be silent for longest
		<-time.After(time.Second)
		w.allocate(t, s, 1, "page")
		w.allocate(t, s, 2, "page")
		<-time.After(silent - time.Second)
		if code := w.ask(t, s, at(2), "page", stun.MethodRefresh); code != 0 {
			t.Fatalf("Refresh: %d", code)
		}
		if code := w.allocate(t, s, 3, "page"); code != stun.CodeAllocQuotaReached {
			t.Errorf("too early: %d", code)
		}
		<-time.After(time.Second)
		if code := w.allocate(t, s, 3, "page"); code != 0 {
			t.Errorf("after a reload: %d", code)
		}
		synctest.Wait()
		for n, session := range []string{"other page", "gone", "page", "page"} {
			if session == "gone" {
				continue
			}
			if code := w.ask(t, s, at(n), session, stun.MethodRefresh); code != 0 {
				t.Errorf("the allocation of client %d: %d", n, code)
			}
		}
		if n := s.Stats().Allocations; n != 3 {
			t.Errorf("there are %d allocations", n)
		}
	})
}

func TestLifetime(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s, w, end := wired(t, Config{})
		defer end()
		w.allocate(t, s, 0, "a")
		w.allocate(t, s, 1, "a")
		<-time.After(defaultLifetime - time.Second)
		if code := w.ask(t, s, at(1), "a", stun.MethodRefresh); code != 0 {
			t.Errorf("Refresh: %d", code)
		}
		<-time.After(2 * time.Second)
		synctest.Wait()
		if n := s.Stats().Allocations; n != 1 {
			t.Errorf("there are %d allocations", n)
		}
		<-time.After(defaultLifetime)
		synctest.Wait()
		if n := s.Stats().Allocations; n != 0 || len(s.hub.sessions) != 0 {
			t.Errorf("there are %d allocations", n)
		}
	})
}

func TestBudget(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := budget{rate: 1000}
		passed := 0
		for range 1000 {
			if b.allow(100) {
				passed += 100
			}
			<-time.After(10 * time.Millisecond)
		}
		if passed < 10_500 || passed > 11_100 { // ten seconds, and the first second's worth
			t.Errorf("%d bytes passed", passed)
		}
	})
}

func TestRelayedAddressesAreUnique(t *testing.T) {
	h := newHub(&Server{cfg: Config{Total: 5, PerSession: 5, PerAddress: 5}})
	h.next = closedWorldSize - 2
	seen := map[netip.AddrPort]bool{}
	for i := range 4 {
		r, err := h.insert(&client{}, "a", i == 3, nil)
		if err != nil || seen[r.addr] || !closedWorld(r.addr.Addr()) || r.addr.Addr().Is6() != (i == 3) {
			t.Fatalf("%v, %v after %v", r, err, seen)
		}
		seen[r.addr] = true
	}
}

// What 10,000 allocations cost. Over UDP, where the clients need no sockets here.
func TestManyAllocations(t *testing.T) {
	const many = 10_000
	s, w, end := wired(t, Config{PerSession: many, Total: many})
	defer end()
	before := memory()
	for n := range many {
		if code := w.allocate(t, s, n, "a"); code != 0 {
			t.Fatalf("allocation %d: %d", n, code)
		}
	}
	each := (memory() - before) / many
	fds := "unknown"
	if entries, err := os.ReadDir("/proc/self/fd"); err == nil {
		fds = strconv.Itoa(len(entries))
		if len(entries) > 20 {
			t.Errorf("%s file descriptors are open", fds)
		}
	}
	t.Logf("%d allocations: %d bytes each, %s file descriptors", s.Stats().Allocations, each, fds)
	if each > 20<<10 {
		t.Errorf("an allocation takes %d bytes", each)
	}
}

func memory() uint64 {
	runtime.GC()
	runtime.GC()
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	return m.HeapInuse + m.StackInuse
}
