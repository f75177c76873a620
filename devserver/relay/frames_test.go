package relay

import (
	"bytes"
	"crypto/tls"
	"errors"
	"io"
	"net"
	"os"
	"strings"
	"testing"
	"testing/iotest"
	"time"

	"github.com/pion/stun/v4"
)

// stream is what a TCP client may send: a Binding request, ChannelData of every
// padding, and again.
func stream() (raw []byte, frames []string) {
	binding := stun.MustBuild(stun.TransactionID, stun.BindingRequest, stun.Fingerprint).Raw
	for _, text := range []string{"", "a", "ab", "abc", "abcd", strings.Repeat("x", maxPayload)} {
		data := append([]byte{0x40, 0, byte(len(text) >> 8), byte(len(text))}, text...)
		raw = append(append(raw, binding...), data...)
		raw = append(raw, make([]byte, -len(data)&3)...)
		frames = append(frames, string(binding), string(data))
	}
	return raw, frames
}

func readFrames(r io.Reader) (got []string, err error) {
	f := frameReader{r: r, wait: func(time.Time) {}}
	for {
		frame, err := f.next()
		if err != nil {
			return got, err
		}
		got = append(got, string(frame))
	}
}

func TestFrames(t *testing.T) {
	raw, want := stream()
	check := func(t *testing.T, r io.Reader) {
		t.Helper()
		got, err := readFrames(r)
		if !errors.Is(err, io.EOF) || strings.Join(got, "|") != strings.Join(want, "|") {
			t.Fatalf("%d frames, %v", len(got), err)
		}
	}
	check(t, bytes.NewReader(raw))
	check(t, iotest.OneByteReader(bytes.NewReader(raw)))
	check(t, iotest.DataErrReader(bytes.NewReader(raw)))
	for i := range raw { // split in two at every byte
		check(t, io.MultiReader(bytes.NewReader(raw[:i]), bytes.NewReader(raw[i:])))
	}
}

func TestFramesRefused(t *testing.T) {
	for name, begin := range map[string]string{
		"HTTP":                  "GET / HTTP/1.1\r\n",
		"TLS":                   "\x16\x03\x01\x02\x00",
		"STUN of odd length":    "\x00\x01\x00\x03",
		"STUN too large":        "\x00\x01\x07\xf0",
		"ChannelData too large": "\x40\x00\x07\xfd",
		"the largest there is":  "\x40\x00\xff\xff",
	} {
		if _, err := readFrames(strings.NewReader(begin + strings.Repeat("\x00", 3000))); !errors.Is(err, errFraming) {
			t.Errorf("%s: %v", name, err)
		}
	}
}

func FuzzFrames(f *testing.F) {
	raw, _ := stream()
	f.Add(raw, 7)
	f.Add([]byte("\x40\x00\xff\xff"), 1)
	f.Fuzz(func(t *testing.T, raw []byte, split int) {
		whole, errWhole := readFrames(bytes.NewReader(raw))
		split = min(max(split, 0), len(raw))
		parts, errParts := readFrames(io.MultiReader(bytes.NewReader(raw[:split]), iotest.OneByteReader(bytes.NewReader(raw[split:]))))
		if strings.Join(whole, "|") != strings.Join(parts, "|") || !errors.Is(errParts, errWhole) {
			t.Errorf("%d frames and %v, in parts %d and %v", len(whole), errWhole, len(parts), errParts)
		}
		total := 0
		for _, frame := range whole {
			total += len(frame)
			if len(frame) < headroom || len(frame) > maxFrame {
				t.Errorf("a frame of %d bytes", len(frame))
			}
		}
		if total > len(raw) {
			t.Errorf("%d bytes out of %d", total, len(raw))
		}
	})
}

// A real server gets a request in two writes, cut at every byte.
func TestSplitOverTCP(t *testing.T) {
	w := start(t, Config{})
	for _, transport := range []string{"tcp", "tls"} {
		conn := w.connect(transport)
		request := stun.MustBuild(stun.TransactionID, stun.BindingRequest, stun.Fingerprint).Raw
		frames := frameReader{r: conn, wait: func(time.Time) {}}
		for i := range request {
			if _, err := conn.Write(request[:i]); err != nil {
				t.Fatal(err)
			}
			if _, err := conn.Write(request[i:]); err != nil {
				t.Fatal(err)
			}
			_ = conn.SetReadDeadline(time.Now().Add(patience))
			answer, err := frames.next()
			if err != nil || !bytes.Equal(answer[8:20], request[8:20]) {
				t.Fatalf("%s, cut at %d: %x, %v", transport, i, answer, err)
			}
		}
	}
}

// connect opens a connection that the test closes.
func (w *world) connect(transport string) net.Conn {
	w.t.Helper()
	var conn net.Conn
	var err error
	if transport == "tls" {
		conn, err = tls.Dial("tcp", w.tls.String(), &tls.Config{RootCAs: w.roots})
	} else {
		conn, err = net.Dial("tcp", w.tcp.String())
	}
	if err != nil {
		w.t.Fatal(err)
	}
	w.t.Cleanup(func() { conn.Close() })
	return conn
}

func TestOversizeClosesConnection(t *testing.T) {
	w := start(t, Config{})
	conn := w.connect("tcp")
	if _, err := conn.Write([]byte("\x40\x00\xff\xff")); err != nil {
		t.Fatal(err)
	}
	_ = conn.SetReadDeadline(time.Now().Add(patience))
	if _, err := conn.Read(make([]byte, 1)); err == nil || errors.Is(err, os.ErrDeadlineExceeded) {
		t.Errorf("reading says %v", err)
	}
	w.waitRefusal(func(r Refusal) bool { return r.Reason == BadFraming && r.Transport == "tcp" })
}
