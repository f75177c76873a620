package portmux

import (
	"bytes"
	"crypto/tls"
	"io"
	"net"
	"testing"
	"time"
)

// FuzzFirstBytes checks that a connection goes where its first byte says and brings
// along every byte that the client sent, or is closed.
func FuzzFirstBytes(f *testing.F) {
	hello := clientHello(f, "h2")
	for _, seed := range [][]byte{
		nil, {0}, {3}, {4}, {21}, {22}, {23}, {128, 46, 1, 0, 2}, {255}, []byte("GET / HTTP/1.1\r\n\r\n"), []byte("PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"),
		bindingRequest(), hello, hello[:50], append(bytes.Clone(hello), 21, 3, 3, 0, 2, 2, 48), []byte("\x16GET /"),
		{22, 3, 1, 255, 255}, {22, 3, 1, 0, 0, 21, 3, 1, 0, 2, 2, 46}, {22, 3, 3, 0, 4, 1, 0, 0, 0}, {22, 3, 3, 0, 4, 1, 255, 255, 255},
	} {
		f.Add(seed)
	}
	cert, _, _ := issued(f)
	m := New([]net.Listener{nowhere{}}, Config{TLS: &tls.Config{Certificates: []tls.Certificate{cert}}, Patience: time.Minute})
	f.Cleanup(m.Close)
	type handed struct {
		from net.Listener
		text []byte
	}
	got := make(chan handed)
	for _, l := range []net.Listener{m.HTTPS(), m.Plain(), m.Relay()} {
		go func() {
			for {
				c, err := l.Accept()
				if err != nil {
					return
				}
				text, _ := io.ReadAll(c)
				c.Close()
				got <- handed{l, text}
			}
		}()
	}
	f.Fuzz(func(t *testing.T, sent []byte) {
		client, server := net.Pipe()
		go func() { _, _ = io.Copy(io.Discard, client) }() // TLS answers
		go func() {
			_, _ = client.Write(sent)
			client.Close()
		}()
		var closed bool
		m.cfg.Gone = func(net.Conn) { closed = true }
		m.handOver(&conn{Conn: server})
		want := m.plain
		switch {
		case len(sent) == 0 || sent[0] == 22:
			if !closed {
				t.Fatalf("handed over: %q", (<-got).text)
			}
			return
		case sent[0] < 4:
			want = m.relay
		}
		if closed {
			t.Fatal("closed")
		}
		if h := <-got; h.from != want || !bytes.Equal(h.text, sent) {
			t.Fatalf("to the right consumer: %v, with %q", h.from == want, h.text)
		}
	})
}

// nowhere is a listener that is never asked.
type nowhere struct{ net.Listener }

func (nowhere) Addr() net.Addr { return nil }
func (nowhere) Close() error   { return nil }

// What is noted of an alert never depends on more than the last seven bytes.
func TestLookForAlert(t *testing.T) {
	for text, want := range map[string]tls.AlertError{
		"":                                 0,
		"\x15\x03\x03\x00\x02\x02":         0,
		"\x15\x03\x03\x00\x02\x02\x30":     48,
		"\x15\x03\x01\x00\x02\x01\x2e":     46,
		"CCS\x15\x03\x03\x00\x02\x02\x2a":  42,
		"\x15\x03\x03\x00\x02\x02\x30more": 0,
		"\x17\x03\x03\x00\x02\x02\x30":     0,
		"\x15\x03\x03\x00\x03\x02\x30":     0,
		"\x15\x03\x03\x00\x02\x07\x30":     0,
	} {
		var b beginning
		b.lookForAlert([]byte(text))
		if b.alert != want {
			t.Errorf("%q: noted %d, want %d", text, b.alert, want)
		}
	}
}
