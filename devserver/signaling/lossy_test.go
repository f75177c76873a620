package signaling

import (
	"bufio"
	"context"
	"fmt"
	"io"
	"math/rand/v2"
	"net"
	"net/http"
	"net/url"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/gorilla/websocket"
)

// lossyProxy stands before a server. Each of its connections carries so many bytes, a
// random number, and is then dead: reset, or silent for ever.
type lossyProxy struct {
	listener net.Listener
	target   string
	cut      func() int // how many bytes the next one carries, both ways together
	silent   bool       // dead connections stay open, as without a FIN
	done     sync.WaitGroup
	hushed   atomic.Bool // from now on all are dead

	mu    sync.Mutex
	conns []net.Conn
	over  bool
}

func newLossyProxy(t *testing.T, target string, silent bool, cut func() int) *lossyProxy {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	p := &lossyProxy{listener: l, target: target, cut: cut, silent: silent}
	p.done.Go(func() {
		for {
			conn, err := l.Accept()
			if err != nil {
				return
			}
			p.done.Go(func() { p.carry(conn) })
		}
	})
	t.Cleanup(p.close)
	return p
}

func (p *lossyProxy) close() {
	p.listener.Close()
	p.mu.Lock()
	p.over = true
	for _, c := range p.conns {
		c.Close()
	}
	p.mu.Unlock()
	p.done.Wait()
}

// hold has close close the connection.
func (p *lossyProxy) hold(c net.Conn) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.conns = append(p.conns, c)
	if p.over {
		c.Close()
	}
}

func (p *lossyProxy) carry(client net.Conn) {
	p.hold(client)
	server, err := net.Dial("tcp", p.target)
	if err != nil {
		client.Close()
		return
	}
	p.hold(server)
	var mu sync.Mutex
	left := p.cut()
	half := func(to, from net.Conn) {
		buffer := make([]byte, 4096)
		for {
			n, err := from.Read(buffer)
			mu.Lock()
			if p.hushed.Load() {
				left = 0
			}
			n = min(n, left)
			left -= n
			dead := left == 0
			mu.Unlock()
			if n > 0 {
				_, _ = to.Write(buffer[:n])
			}
			switch {
			case dead && p.silent:
				_, _ = io.Copy(io.Discard, from) // until the end of the test, or theirs
				return
			case dead || err != nil:
				for _, c := range []net.Conn{client, server} {
					if dead {
						c.(*net.TCPConn).SetLinger(0)
					}
					c.Close()
				}
				return
			}
		}
	}
	var both sync.WaitGroup
	both.Go(func() { half(server, client) })
	both.Go(func() { half(client, server) })
	both.Wait()
}

// steady is a page that keeps to the protocol: it comes back whenever its line breaks,
// through one door or the other.
type steady struct {
	t        *testing.T
	address  string
	random   *rand.Rand
	patience time.Duration // with a line on which nothing comes

	id, token string
	seen      int      // messages of the server since the welcome
	before    int      // messages of its own before those
	sent      []string // of its own, the last of which is a ping
	want      int      // signals
	got       []string // data of the signals
	pong      bool     // the answer to the ping has come
	left      int      // how many signals had come when the other left; 0: it has not
	resumed   int
}

func (p *steady) done() bool { return p.pong && len(p.got) == p.want }

// run comes and goes until all that was sent has arrived, either way.
func (p *steady) run() error {
	for began := time.Now(); time.Since(began) < 4*patience; {
		line := p.overWebSocket
		if p.random.IntN(2) == 0 {
			line = p.overEvents
		}
		if err := line(); err != nil || p.done() {
			return err
		}
	}
	return fmt.Errorf("it has %d of %d messages, pong: %v, and came back %d times", len(p.got), p.want, p.pong, p.resumed)
}

// resume takes the first message of a new line. It returns what the server does not have.
func (p *steady) resume(m serverMessage) ([]string, error) {
	have := int(m.Seen) - p.before
	if m.Type != "resumed" || m.ID != p.id || have < 0 || have > len(p.sent) {
		return nil, fmt.Errorf("coming back it got %+v", m)
	}
	p.token = m.Resume
	p.resumed++
	return p.sent[have:], nil
}

func (p *steady) take(m serverMessage) {
	p.seen++
	switch m.Type {
	case "signal":
		p.got = append(p.got, string(m.Data))
	case "pong":
		p.pong = true
	case "peer-left":
		p.left = len(p.got)
	}
}

func (p *steady) query() string {
	return url.Values{"resume": {p.token}, "seen": {fmt.Sprint(p.seen)}}.Encode()
}

// overWebSocket is its life on one line. An error is the end of it.
func (p *steady) overWebSocket() error {
	conn, _, err := (&websocket.Dialer{HandshakeTimeout: p.patience}).Dial("ws://"+p.address+"/?"+p.query(), nil)
	if err != nil {
		return nil
	}
	read := func() (m serverMessage, err error) {
		conn.SetReadDeadline(time.Now().Add(p.patience))
		err = conn.ReadJSON(&m)
		return m, err
	}
	var sending sync.WaitGroup
	defer sending.Wait()
	defer conn.Close()
	m, err := read()
	if err != nil {
		return nil
	}
	rest, err := p.resume(m)
	if err != nil {
		return err
	}
	sending.Go(func() {
		for _, text := range rest {
			if conn.WriteMessage(websocket.TextMessage, []byte(text)) != nil {
				return
			}
		}
	})
	for !p.done() {
		m, err := read()
		if err != nil {
			return nil
		}
		p.take(m)
	}
	return nil
}

// overEvents is the same over an event stream.
func (p *steady) overEvents() error {
	ctx, cancel := context.WithCancel(context.Background())
	silence := time.AfterFunc(p.patience, cancel)
	defer silence.Stop()
	req, err := http.NewRequestWithContext(ctx, "GET", "http://"+p.address+"/events?"+p.query(), nil)
	if err != nil {
		return err
	}
	resp, err := (&http.Transport{DisableKeepAlives: true}).RoundTrip(req)
	if err != nil {
		cancel()
		return nil
	}
	var sending sync.WaitGroup
	defer sending.Wait()
	defer resp.Body.Close()
	defer cancel()
	l := &listener{t: p.t, lines: bufio.NewReader(resp.Body)}
	m, err := l.read()
	if err != nil {
		return nil
	}
	rest, err := p.resume(m)
	if err != nil {
		return err
	}
	first, token := int(m.Seen)+1, p.token
	sending.Go(func() {
		for i, text := range rest {
			status := p.post(ctx, token, first+i, text)
			if status != http.StatusNoContent {
				cancel()
				return
			}
		}
	})
	for !p.done() {
		m, err := l.read()
		if err != nil {
			return nil
		}
		silence.Reset(p.patience)
		p.take(m)
	}
	return nil
}

// post sends one message, twice if need be. It returns the status, or 0 for none.
func (p *steady) post(ctx context.Context, token string, n int, text string) int {
	query := url.Values{"resume": {token}, "n": {fmt.Sprint(n)}}
	for range 2 {
		ctx, cancel := context.WithTimeout(ctx, p.patience)
		defer cancel()
		req, err := http.NewRequestWithContext(ctx, "POST", "http://"+p.address+"/send?"+query.Encode(), strings.NewReader(text))
		if err != nil {
			return 0
		}
		resp, err := (&http.Transport{DisableKeepAlives: true}).RoundTrip(req)
		if err == nil {
			resp.Body.Close()
			return resp.StatusCode
		}
	}
	return 0
}

// Lines break at any byte, both ways, loudly or silently; the pages come back through
// either door. All that was sent arrives, once and in order, and nobody leaves.
func TestNothingIsLostOnBadLines(t *testing.T) {
	t.Parallel()
	for name, tt := range map[string]struct {
		silent            bool
		messages, largest int
		patience          time.Duration
	}{
		"reset":  {false, 200, 12_000, patience},
		"silent": {true, 100, 25_000, 300 * time.Millisecond},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s := start(t, Config{MessageRate: 1e6, ByteRate: 1 << 30, QueueMessages: 5000})
			a, b := s.pair()
			a.wantUndisturbed()
			b.wantUndisturbed()
			pages := make([]*steady, 2)
			for i, c := range []*client{a, b} {
				cuts := rand.New(rand.NewPCG(uint64(i), 5))
				var mu sync.Mutex
				proxy := newLossyProxy(t, s.addr, tt.silent, func() int {
					mu.Lock()
					defer mu.Unlock()
					return cuts.IntN(tt.largest)
				})
				p := &steady{
					t: t, address: proxy.listener.Addr().String(), random: rand.New(rand.NewPCG(uint64(i), 6)), patience: tt.patience,
					id: c.id, token: c.token, seen: 1, before: 1, want: tt.messages,
				}
				if c == b {
					p.seen, p.before = 2, 2
				} else {
					p.seen = 2 // the other's coming
				}
				for k := range tt.messages {
					p.sent = append(p.sent, fmt.Sprintf(`{"type":"signal","data":"%d %s"}`, k, strings.Repeat("x", p.random.IntN(600))))
				}
				p.sent = append(p.sent, `{"type":"ping"}`)
				pages[i] = p
				c.snap()
			}
			ends := make(chan error, 2)
			for _, p := range pages {
				go func() { ends <- p.run() }()
			}
			for range pages {
				if err := <-ends; err != nil {
					t.Error(err)
				}
			}
			for i, p := range pages {
				wantAll(t, p, pages[1-i])
			}
		})
	}
}

// wantAll checks that p has got what other has sent.
func wantAll(t *testing.T, p, other *steady) {
	t.Helper()
	for i, data := range p.got {
		if want := fmt.Sprintf(`{"type":"signal","data":%s}`, data); other.sent[i] != want {
			t.Fatalf("message %d of %d is %.20s", i, p.want, data)
		}
	}
	if len(p.got) != p.want || p.left != 0 && p.left != p.want {
		t.Errorf("%d of %d messages; %d when the other left", len(p.got), p.want, p.left)
	}
	t.Logf("it came back %d times", p.resumed)
	if p.resumed < 3 {
		t.Error("the lines were too good for this test")
	}
}
