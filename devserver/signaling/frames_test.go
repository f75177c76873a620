package signaling

import (
	"bufio"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"strings"
	"syscall"
	"testing"
	"time"
)

// rawClient speaks WebSocket byte by byte: what a library would never send can be
// sent, and what a library hides is seen.
type rawClient struct {
	t    *testing.T
	conn net.Conn
	in   *bufio.Reader
	id   string

	dialed time.Time
}

// raw joins a room.
func (s *server) raw(room string) *rawClient {
	s.t.Helper()
	c, resp := s.handshake("/?room="+url.QueryEscape(room), "")
	if resp.StatusCode != http.StatusSwitchingProtocols {
		s.t.Fatalf("handshake: %s", resp.Status)
	}
	welcome := c.nextText()
	c.id = between(welcome, `"id":"`, `"`)
	return c
}

// handshake asks for a WebSocket, with further header lines that end with \r\n.
func (s *server) handshake(path, header string) (*rawClient, *http.Response) {
	s.t.Helper()
	conn, err := net.Dial("tcp", s.addr)
	if err != nil {
		s.t.Fatal(err)
	}
	s.t.Cleanup(func() { conn.Close() })
	conn.SetDeadline(time.Now().Add(patience))
	c := &rawClient{t: s.t, conn: conn, in: bufio.NewReader(conn), dialed: time.Now()}
	c.bytes([]byte("GET " + path + " HTTP/1.1\r\nHost: " + s.addr + "\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n" +
		"Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: AAAAAAAAAAAAAAAAAAAAAA==\r\n" + header + "\r\n"))
	resp, err := http.ReadResponse(c.in, nil)
	if err != nil {
		s.t.Fatalf("reading the answer to the handshake: %v", err)
	}
	return c, resp
}

func between(s, before, after string) string {
	_, s, _ = strings.Cut(s, before)
	s, _, _ = strings.Cut(s, after)
	return s
}

func (c *rawClient) bytes(b []byte) {
	c.t.Helper()
	if _, err := c.conn.Write(b); err != nil {
		c.t.Fatalf("sending: %v", err)
	}
}

// Opcodes and bits of the first byte of a frame (RFC 6455 §5.2).
const (
	fin, rsv1, rsv2, rsv3         = 0x80, 0x40, 0x20, 0x10
	opMore, opText, opBinary      = 0x0, 0x1, 0x2
	opClose, opPing, opPong       = 0x8, 0x9, 0xa
	masked                   byte = 0x80
	hello                         = `{"type":"signal","data":"hello"}`
)

// frame makes a client's frame, masked.
func frame(first byte, payload string) []byte {
	b := []byte{first}
	switch n := len(payload); {
	case n < 126:
		b = append(b, masked|byte(n))
	case n < 1<<16:
		b = binary.BigEndian.AppendUint16(append(b, masked|126), uint16(n))
	default:
		b = binary.BigEndian.AppendUint64(append(b, masked|127), uint64(n))
	}
	key := []byte{1, 2, 3, 4}
	b = append(b, key...)
	for i := range len(payload) {
		b = append(b, payload[i]^key[i%4])
	}
	return b
}

func frames(parts ...[]byte) (all []byte) {
	for _, p := range parts {
		all = append(all, p...)
	}
	return all
}

// next returns the next frame that is no ping.
func (c *rawClient) next() (first byte, payload string, err error) {
	for {
		var head [2]byte
		if _, err := io.ReadFull(c.in, head[:]); err != nil {
			return 0, "", err
		}
		n := int64(head[1])
		long := map[byte]int{126: 2, 127: 8}[head[1]]
		if long > 0 {
			var size [8]byte
			if _, err := io.ReadFull(c.in, size[8-long:]); err != nil {
				return 0, "", err
			}
			n = int64(binary.BigEndian.Uint64(size[:]))
		}
		body := make([]byte, n)
		if _, err := io.ReadFull(c.in, body); err != nil {
			return 0, "", err
		}
		if head[0] != fin|opPing {
			return head[0], string(body), nil
		}
	}
}

func (c *rawClient) nextText() string {
	c.t.Helper()
	first, payload, err := c.next()
	if err != nil || first != fin|opText {
		c.t.Fatalf("got frame %#x %q, %v; want text", first, payload, err)
	}
	return payload
}

// wantEnd expects the error, unless code is empty, then the close frame, and then, when
// the client has answered it and says no more, that the server closes the connection:
// without a reset.
func (c *rawClient) wantEnd(code string, closeCode uint16) {
	c.t.Helper()
	if code != "" {
		if text := c.nextText(); !strings.Contains(text, `{"type":"error","code":"`+code+`"`) {
			c.t.Fatalf("got %s, want error %s", text, code)
		}
	}
	first, payload, err := c.next()
	if err != nil || first != fin|opClose || len(payload) < 2 {
		c.t.Fatalf("got frame %#x %q, %v; want a close frame", first, payload, err)
	}
	if got := binary.BigEndian.Uint16([]byte(payload)); got != closeCode {
		c.t.Fatalf("closed with %d %q, want %d", got, payload[2:], closeCode)
	}
	c.conn.Write(frame(fin|opClose, payload[:2])) // the server may be gone already
	c.conn.(*net.TCPConn).CloseWrite()
	c.wantEOF()
}

// wantEOF expects the end of the stream: for TCP, a FIN. Where the machine is so busy
// that this client has not answered within lingering, the server may have reset it.
func (c *rawClient) wantEOF() {
	c.t.Helper()
	first, payload, err := c.next()
	late := time.Since(c.dialed) > lingering
	if err != io.EOF && !(late && errors.Is(err, syscall.ECONNRESET)) {
		c.t.Fatalf("after the close frame: %#x %q, %v; want the end", first, payload, err)
	}
}

// What RFC 6455 allows is heard whole, however it is cut up, and pings are answered
// in between.
func TestFramesThatAreAllowed(t *testing.T) {
	t.Parallel()
	s := start(t, Config{})
	whole := `{"type":"signal","data":"` + strings.Repeat("안녕 ", 50) + `"}`
	cut := len(whole) - 8 // within a character
	tests := []struct {
		name  string
		send  []byte
		want  string // as data; none if empty
		pongs []string
	}{
		{"one frame", frame(fin|opText, hello), `"hello"`, nil},
		{"two fragments", frames(frame(opText, hello[:9]), frame(fin|opMore, hello[9:])), `"hello"`, nil},
		{"empty fragments", frames(frame(opText, ""), frame(opMore, ""), frame(opMore, hello), frame(opMore, ""), frame(fin|opMore, "")), `"hello"`, nil},
		{"a character cut in two", frames(frame(opText, whole[:cut]), frame(fin|opMore, whole[cut:])), `"` + strings.Repeat("안녕 ", 50) + `"`, nil},
		{"pings between fragments", frames(frame(opText, hello[:3]), frame(fin|opPing, "one"), frame(opMore, hello[3:7]), frame(fin|opPing, ""),
			frame(fin|opMore, hello[7:])), `"hello"`, []string{"one", ""}},
		{"a pong that nobody asked for", frames(frame(fin|opPong, "x"), frame(fin|opPong, strings.Repeat("y", 125)), frame(fin|opPong, "12345678"),
			frame(fin|opText, hello)), `"hello"`, nil},
		{"a long ping", frame(fin|opPing, strings.Repeat("\xff", 125)), "", []string{strings.Repeat("\xff", 125)}},
		{"many pings in a row", frames(frame(fin|opPing, "1"), frame(fin|opPing, "2"), frame(fin|opPing, "3")), "", []string{"1", "2", "3"}},
		{"lengths that could be shorter", func() []byte {
			b := binary.BigEndian.AppendUint64([]byte{fin | opText, masked | 127}, uint64(len(hello)))
			return append(append(b, 0, 0, 0, 0), hello...)
		}(), `"hello"`, nil},
	}
	for _, tt := range tests {
		for _, way := range []string{"at once", "byte by byte"} {
			t.Run(tt.name+", "+way, func(t *testing.T) {
				s, room := s.in(t), aRoom()
				witness, c := s.join(room), s.raw(room)
				witness.want(serverMessage{Type: "peer-joined", Peer: c.id})
				if way == "at once" {
					c.bytes(tt.send)
				} else {
					for i := range tt.send {
						c.bytes(tt.send[i : i+1])
					}
				}
				for _, want := range tt.pongs {
					if first, payload, err := c.next(); err != nil || first != fin|opPong || payload != want {
						t.Errorf("got frame %#x %q, %v; want pong %q", first, payload, err, want)
					}
				}
				if tt.want != "" {
					witness.want(serverMessage{Type: "signal", From: c.id, Data: []byte(tt.want)})
				}
				witness.send(hello) // the line is as good as before
				if text := c.nextText(); !strings.Contains(text, `"data":"hello"`) {
					t.Errorf("got %s", text)
				}
				witness.wantUndisturbed()
			})
		}
	}
}

// What RFC 6455 does not allow ends the connection, with its code and without a reset
// that overtakes it, and the peer's stay with it.
func TestFramesThatAreNotAllowed(t *testing.T) {
	t.Parallel()
	s := start(t, Config{MaxMessage: 1000})
	unmasked := append([]byte{fin | opText, byte(len(hello))}, hello...)
	closing := func(code uint16, reason string) []byte {
		return frame(fin|opClose, string(binary.BigEndian.AppendUint16(nil, code))+reason)
	}
	long := func(size uint64) []byte {
		return append(binary.BigEndian.AppendUint64([]byte{fin | opText, masked | 127}, size), 1, 2, 3, 4)
	}
	tests := []struct {
		name string
		send []byte
		code string
		end  uint16
	}{
		{"not masked", unmasked, "protocol-error", 1002},
		{"RSV1: compressed, which was not agreed", frame(fin|rsv1|opText, hello), "protocol-error", 1002},
		{"RSV2", frame(fin|rsv2|opText, hello), "protocol-error", 1002},
		{"RSV3", frame(fin|rsv3|opText, hello), "protocol-error", 1002},
		{"RSV1 on a ping", frame(fin|rsv1|opPing, ""), "protocol-error", 1002},
		{"opcode 3", frame(fin|0x3, hello), "protocol-error", 1002},
		{"opcode 7", frame(fin|0x7, ""), "protocol-error", 1002},
		{"opcode 11", frame(fin|0xb, ""), "protocol-error", 1002},
		{"opcode 15", frame(fin|0xf, hello), "protocol-error", 1002},
		{"a ping of 126 bytes", frame(fin|opPing, strings.Repeat("x", 126)), "protocol-error", 1002},
		{"a fragmented ping", frames(frame(opPing, "a"), frame(fin|opMore, "b")), "protocol-error", 1002},
		{"a continuation of nothing", frame(fin|opMore, hello), "protocol-error", 1002},
		{"a continuation after the end", frames(frame(fin|opPong, ""), frame(opMore, ""), frame(fin|opMore, "")), "protocol-error", 1002},
		{"a message within a message", frames(frame(opText, hello[:5]), frame(fin|opText, hello)), "protocol-error", 1002},
		{"a length of 2⁶³", long(1 << 63), "too-large", 1009},
		{"a length of 2⁶⁴-1", long(1<<64 - 1), "too-large", 1009},
		{"fragments of 2⁶³ bytes together", frames(frame(opText, "x"), append(binary.BigEndian.AppendUint64([]byte{opMore, masked | 127}, 1<<63-1), 0, 0, 0, 0)),
			"too-large", 1009},
		{"a length of 2⁴⁰", append(long(1<<40), make([]byte, 2000)...), "too-large", 1009},
		{"close 1005", closing(1005, ""), "protocol-error", 1002},
		{"close 1006", closing(1006, ""), "protocol-error", 1002},
		{"close 999", closing(999, ""), "protocol-error", 1002},
		{"close 0", closing(0, ""), "protocol-error", 1002},
		{"close 5000", closing(5000, ""), "protocol-error", 1002},
		{"a close reason that is not UTF-8", closing(1000, "\xff"), "protocol-error", 1002},
		{"a close frame of 126 bytes", closing(1000, strings.Repeat("x", 124)), "protocol-error", 1002},
		{"a fragmented close frame", frame(opClose, "\x03\xe8"), "protocol-error", 1002},
		{"binary", frame(fin|opBinary, hello), "bad-message", 4002},
		{"binary in fragments", frames(frame(opBinary, hello[:4]), frame(fin|opMore, hello[4:])), "bad-message", 4002},
		{"an empty text", frame(fin|opText, ""), "bad-message", 4002},
		{"UTF-8 that is invalid across fragments", frames(frame(opText, `{"type":"signal","data":"`+"\xc3"), frame(fin|opMore, `("}`)), "bad-message", 4002},
		{"UTF-8 that stops short", frames(frame(opText, `{"type":"signal","data":"`), frame(fin|opMore, "\xed\x95\"}")), "bad-message", 4002},
		{"a surrogate in UTF-8", frame(fin|opText, `{"type":"signal","data":"`+"\xed\xa0\x80\"}"), "bad-message", 4002},
		{"fragments above the limit", frames(frame(opText, hello[:20]), frame(opMore, strings.Repeat("x", 990)), frame(fin|opMore, "")), "too-large", 1009},
	}
	for _, tt := range tests {
		for name, then := range map[string][]byte{"": nil, ", and goes on": frames(frame(fin|opText, hello), make([]byte, 32<<10))} {
			t.Run(tt.name+name, func(t *testing.T) {
				t.Parallel()
				s, room := s.in(t), aRoom()
				witness, c := s.join(room), s.raw(room)
				witness.want(serverMessage{Type: "peer-joined", Peer: c.id})
				c.conn.Write(frames(tt.send, then)) // the server may close before it has read all
				c.wantEnd(tt.code, tt.end)
				witness.want(serverMessage{Type: "peer-left", Peer: c.id})
				witness.wantUndisturbed()
			})
		}
	}
}

// A close frame is answered with one, and the server closes the connection
// (RFC 6455 §5.5.1, §7.1.1), at once and not when it has waited for something.
func TestCloseIsAnswered(t *testing.T) {
	t.Parallel()
	s := start(t, Config{})
	for name, payload := range map[string]string{
		"without a code": "", "1000": "\x03\xe8", "1001": "\x03\xe9", "4999 with a reason": "\x13\x87that is all", "3000": "\x0b\xb8",
		"1011, 123 bytes": "\x03\xf3" + strings.Repeat("x", 123), "one byte": "\x03",
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s := s.in(t)
			answer := func() time.Duration {
				room := aRoom()
				witness, c := s.join(room), s.raw(room)
				witness.want(serverMessage{Type: "peer-joined", Peer: c.id})
				c.bytes(frames(frame(fin|opText, hello), frame(fin|opClose, payload)))
				began := time.Now()
				if first, body, err := c.next(); err != nil || first != fin|opClose || body != "\x03\xe8" {
					t.Fatalf("got frame %#x %q, %v; want close 1000", first, body, err)
				}
				c.wantEOF()
				took := time.Since(began)
				witness.want(serverMessage{Type: "signal", From: c.id, Data: []byte(`"hello"`)})
				witness.want(serverMessage{Type: "peer-left", Peer: c.id})
				witness.wantUndisturbed()
				return took
			}
			least := answer()
			for range 4 { // a busy machine is slow now and then, a server that waits is so always
				if least > lingering*3/4 {
					least = min(least, answer())
				}
			}
			if least > lingering*3/4 {
				t.Errorf("that took %v or longer, each time", least)
			}
		})
	}
}

// What is queued for a peer that closes is written before the answer, and what it sends
// after its close frame is not taken.
func TestCloseAfterAndBefore(t *testing.T) {
	t.Parallel()
	s := start(t, Config{MessageRate: 1e6, ByteRate: 1 << 30, QueueMessages: 1000})
	witness, c := s.join("r"), s.raw("r")
	witness.next()
	const n = 100
	for i := range n {
		c.bytes(frame(fin|opText, fmt.Sprintf(`{"type":"signal","to":"nobody","data":%d}`, i)))
	}
	c.bytes(frames(frame(fin|opClose, "\x03\xe8"), frame(fin|opText, hello)))
	for range n {
		if text := c.nextText(); !strings.Contains(text, "no-such-peer") {
			t.Fatalf("got %s", text)
		}
	}
	if first, body, err := c.next(); err != nil || first != fin|opClose || body != "\x03\xe8" {
		t.Fatalf("got frame %#x %q, %v; want close 1000", first, body, err)
	}
	witness.want(serverMessage{Type: "peer-left", Peer: c.id})
	witness.wantUndisturbed()
}

// A client that goes on sending after the server has closed is cut off in the end.
func TestNobodyHangsOnAfterAProtocolError(t *testing.T) {
	t.Parallel()
	s := start(t, Config{})
	c := s.raw("r")
	c.bytes(frame(fin|0xf, ""))
	if text := c.nextText(); !strings.Contains(text, "protocol-error") {
		t.Fatalf("got %s", text)
	}
	if first, _, err := c.next(); err != nil || first != fin|opClose {
		t.Fatalf("got frame %#x, %v", first, err)
	}
	for began := time.Now(); time.Since(began) < patience; {
		if _, err := c.conn.Write(frame(fin|opText, hello)); err != nil {
			return
		}
	}
	t.Error("the line is still open")
}

// Compression is never agreed to: a few KiB of it can become a hundred MiB.
func TestCompressionIsNotAgreedTo(t *testing.T) {
	t.Parallel()
	s := start(t, Config{})
	_, resp := s.handshake("/?room=r", "Sec-WebSocket-Extensions: permessage-deflate; client_max_window_bits\r\n")
	if resp.StatusCode != http.StatusSwitchingProtocols || resp.Header.Get("Sec-WebSocket-Extensions") != "" {
		t.Errorf("%s, extensions %q", resp.Status, resp.Header.Get("Sec-WebSocket-Extensions"))
	}
}
