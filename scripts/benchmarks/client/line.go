// Package client is the peers' side of the servers that scripts/bench measures:
// rtcdev's native signaling, socket.io 4, PeerServer and a bare relay.
//
// It is made to cost less than any server it talks to: a message is one Write,
// an arriving one is read where it lies in the buffer, and nothing is decoded.
// Pings are answered at once by whoever reads; a [Line] that nobody reads
// answers none.
//
// It has its own WebSocket framing (RFC 6455) for that, of the client's side
// only, without compression. It is no general client: what does not belong to
// a measurement is an error.
package client

import (
	"bufio"
	"context"
	"crypto/rand"
	"crypto/subtle"
	"crypto/tls"
	"encoding/base64"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
)

// A Server is what lines are opened to.
type Server struct {
	Address string      // host:port
	TLS     *tls.Config // nil for plain TCP
	From    net.IP      // the address to come from; nil for any
}

// A CloseError is the close frame with which a server ended a line.
type CloseError struct {
	Code   int // RFC 6455 §7.4; 1005 when the frame had none
	Reason string
}

func (e *CloseError) Error() string { return fmt.Sprintf("closed with %d %s", e.Code, e.Reason) }

// A StatusError is an answer to the WebSocket handshake that refuses it.
type StatusError struct{ Status string }

func (e *StatusError) Error() string { return "the handshake was answered with " + e.Status }

// Opcodes of RFC 6455 §5.2.
const (
	opContinuation = 0
	opText         = 1
	opClose        = 8
	opPing         = 9
	opPong         = 10
)

const (
	// readBuffer holds the largest usual message, so that it need not be copied.
	readBuffer = 8 << 10
	// maxFrame bounds what a server may send at once.
	maxFrame = 1 << 20
	// maskLength is how much is masked at a time.
	maskLength = 4 << 10
)

// A Line is one connection that carries messages. One goroutine may read from
// it; any number may send.
type Line struct {
	conn net.Conn
	in   *bufio.Reader
	used int    // bytes of in that the last message lies in
	long []byte // the last message, when it did not lie in the buffer in one piece
	bare bool   // four bytes of length before each message, instead of WebSocket
	mute atomic.Bool

	writing sync.Mutex
	out     []byte
	mask    []byte // the key, again and again
}

// connect opens a TCP connection and, where the server has it, TLS on it.
func connect(ctx context.Context, s Server) (*Line, error) {
	var d net.Dialer
	if s.From != nil {
		d.LocalAddr = &net.TCPAddr{IP: s.From}
	}
	conn, err := d.DialContext(ctx, "tcp", s.Address)
	if err != nil {
		return nil, err
	}
	if s.TLS != nil {
		secure := tls.Client(conn, s.TLS)
		if err := secure.HandshakeContext(ctx); err != nil {
			conn.Close()
			return nil, fmt.Errorf("TLS handshake: %w", err)
		}
		conn = secure
	}
	return &Line{conn: conn, in: bufio.NewReaderSize(conn, readBuffer)}, nil
}

// DialWebSocket opens a WebSocket at the path (with its query).
func DialWebSocket(ctx context.Context, s Server, path string) (*Line, error) {
	l, err := connect(ctx, s)
	if err != nil {
		return nil, err
	}
	stop := context.AfterFunc(ctx, func() { l.conn.Close() })
	err = l.upgrade(s.Address, path)
	if !stop() && err == nil {
		err = ctx.Err()
	}
	if err != nil {
		l.conn.Close()
		return nil, err
	}
	return l, nil
}

func (l *Line) upgrade(host, path string) error {
	var key [16]byte
	_, _ = rand.Read(key[:]) // never fails
	_, port, _ := net.SplitHostPort(host)
	_, err := fmt.Fprintf(l.conn, "GET %s HTTP/1.1\r\nHost: localhost:%s\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"+
		"Sec-WebSocket-Key: %s\r\nSec-WebSocket-Version: 13\r\n\r\n", path, port, base64.StdEncoding.EncodeToString(key[:]))
	if err != nil {
		return fmt.Errorf("asking for a WebSocket: %w", err)
	}
	resp, err := http.ReadResponse(l.in, nil)
	if err != nil {
		return fmt.Errorf("asking for a WebSocket: %w", err)
	}
	defer resp.Body.Close()
	if resp.StatusCode != http.StatusSwitchingProtocols {
		return &StatusError{resp.Status}
	}
	mask := make([]byte, 4)
	_, _ = rand.Read(mask)
	l.mask = mask
	return nil
}

// Send sends one message, in one Write. Its parts follow each other.
func (l *Line) Send(parts ...[]byte) error {
	l.writing.Lock()
	defer l.writing.Unlock()
	l.out = l.out[:0]
	if l.bare {
		l.out = binary.BigEndian.AppendUint32(l.out, uint32(total(parts)))
		for _, p := range parts {
			l.out = append(l.out, p...)
		}
	} else {
		l.frame(opText, parts...)
	}
	_, err := l.conn.Write(l.out)
	return err
}

// SendHalf sends the first half of a message and no more: as when a line breaks
// in the middle of one.
func (l *Line) SendHalf(parts ...[]byte) error {
	l.writing.Lock()
	defer l.writing.Unlock()
	l.out = l.out[:0]
	l.frame(opText, parts...)
	_, err := l.conn.Write(l.out[:len(l.out)/2])
	return err
}

// frame puts a masked frame (RFC 6455 §5.2) into l.out.
func (l *Line) frame(op byte, parts ...[]byte) {
	const final, masked = 0x80, 0x80
	n := total(parts)
	l.out = append(l.out, final|op)
	switch {
	case n < 126:
		l.out = append(l.out, masked|byte(n))
	case n < 1<<16:
		l.out = binary.BigEndian.AppendUint16(append(l.out, masked|126), uint16(n))
	default:
		l.out = binary.BigEndian.AppendUint64(append(l.out, masked|127), uint64(n))
	}
	l.out = append(l.out, l.mask[:4]...)
	start := len(l.out)
	for _, p := range parts {
		l.out = append(l.out, p...)
	}
	body := l.out[start:]
	for want := min(len(body), maskLength); len(l.mask) < want; { // no more memory than the messages need
		l.mask = append(l.mask, l.mask...)
	}
	for whole := len(l.mask) &^ 3; len(body) > 0; {
		piece := body[:min(len(body), whole)]
		subtle.XORBytes(piece, piece, l.mask)
		body = body[len(piece):]
	}
}

func total(parts [][]byte) int {
	n := 0
	for _, p := range parts {
		n += len(p)
	}
	return n
}

// Next waits for the next message. It is valid until the next call. A close frame
// is answered and returned as a [*CloseError].
func (l *Line) Next() ([]byte, error) {
	if l.bare {
		return l.nextBare()
	}
	var long []byte // the pieces of a fragmented message
	for {
		op, final, body, err := l.nextFrame()
		if err != nil {
			return nil, err
		}
		switch {
		case op == opPing && !l.mute.Load():
			err = l.control(opPong, body)
		case op == opPing:
		case op == opPong:
		case op == opClose:
			_ = l.control(opClose, body) // the line is over either way
			return nil, closeError(body)
		case op == opText && final:
			return body, nil
		case op == opText || op == opContinuation:
			long = append(long, body...)
			if final {
				return long, nil
			}
		default:
			err = fmt.Errorf("the server sent a frame with opcode %d", op)
		}
		if err != nil {
			return nil, err
		}
	}
}

func closeError(body []byte) error {
	if len(body) < 2 {
		return &CloseError{Code: 1005}
	}
	return &CloseError{int(binary.BigEndian.Uint16(body)), string(body[2:])}
}

// nextFrame reads one frame, whose body lies in the buffer if it fits.
func (l *Line) nextFrame() (op byte, final bool, body []byte, err error) {
	l.release()
	head, err := l.in.Peek(2)
	if err != nil {
		return 0, false, nil, err
	}
	op, final = head[0]&0x0f, head[0]&0x80 != 0
	if head[1]&0x80 != 0 {
		return 0, false, nil, errors.New("the server sent a masked frame")
	}
	n, skip := int(head[1]), 2
	switch n {
	case 126:
		if head, err = l.in.Peek(4); err == nil {
			n, skip = int(binary.BigEndian.Uint16(head[2:])), 4
		}
	case 127:
		if head, err = l.in.Peek(10); err == nil {
			n, skip = int(min(binary.BigEndian.Uint64(head[2:]), maxFrame+1)), 10
		}
	}
	if err != nil {
		return 0, false, nil, err
	}
	_, _ = l.in.Discard(skip) // was peeked at
	body, err = l.body(n)
	return op, final, body, err
}

func (l *Line) nextBare() ([]byte, error) {
	l.release()
	head, err := l.in.Peek(4)
	if err != nil {
		return nil, err
	}
	n := int(binary.BigEndian.Uint32(head))
	_, _ = l.in.Discard(4)
	return l.body(n)
}

// release gives back the part of the buffer that the last message lies in.
func (l *Line) release() {
	_, _ = l.in.Discard(l.used) // was peeked at
	l.used = 0
}

func (l *Line) body(n int) ([]byte, error) {
	if n > maxFrame {
		return nil, fmt.Errorf("the server sent a message of %d bytes", n)
	}
	if n <= readBuffer {
		body, err := l.in.Peek(n)
		if err != nil {
			return nil, err
		}
		l.used = n
		return body, nil
	}
	l.long = slices.Grow(l.long[:0], n)[:n]
	_, err := io.ReadFull(l.in, l.long)
	return l.long, err
}

func (l *Line) control(op byte, body []byte) error {
	l.writing.Lock()
	defer l.writing.Unlock()
	l.out = l.out[:0]
	l.frame(op, body)
	_, err := l.conn.Write(l.out)
	return err
}

// Close ends the line as a browser does: with a close frame, and having waited
// for the server's.
func (l *Line) Close() error {
	defer l.conn.Close()
	if l.bare {
		return nil
	}
	if err := l.control(opClose, []byte{1000 >> 8, 1000 & 0xff}); err != nil {
		return err
	}
	for {
		_, err := l.Next()
		var closed *CloseError
		switch {
		case errors.As(err, &closed):
			return nil
		case err != nil:
			return fmt.Errorf("waiting for the server's close frame: %w", err)
		}
	}
}

// Mute has the line answer no more pings: they would acknowledge what its owner no
// longer takes in.
func (l *Line) Mute() { l.mute.Store(true) }

// Drop closes the connection without a word, from any goroutine: not of
// WebSocket, not of TLS. With reset, not even of TCP (RST).
func (l *Line) Drop(reset bool) {
	conn := l.conn
	if secure, ok := conn.(*tls.Conn); ok {
		conn = secure.NetConn()
	}
	if tcp, ok := conn.(*net.TCPConn); ok && reset {
		_ = tcp.SetLinger(0) // a closed connection has nothing to reset
	}
	conn.Close()
}

// query is a query string, of names and values in turns.
func query(pairs ...string) string {
	var b strings.Builder
	for i := 0; i+1 < len(pairs); i += 2 {
		b.WriteByte("?&"[min(i, 1)])
		b.WriteString(pairs[i] + "=" + url.QueryEscape(pairs[i+1]))
	}
	return b.String()
}
