package relay

import (
	"encoding/binary"
	"errors"
	"io"
	"time"
)

var errFraming = errors.New("not STUN or ChannelData, or too large")

// stunHeader is the size of a STUN header (RFC 8489 §5).
const stunHeader = 20

// frameReader cuts a stream into STUN messages (RFC 8489 §6.2.2) and ChannelData
// (RFC 8656 §12.5), which say their own length.
type frameReader struct {
	r io.Reader
	// wait is called before each read, with when the message that is incomplete
	// began, or the zero time if none has.
	wait func(begun time.Time)

	buf        [4 * maxFrame]byte
	start, end int // what was read and not returned
	begun      time.Time
}

// next returns the next message, without padding. It is the caller's until the next
// call. The error wraps errFraming if what came can be no message.
func (f *frameReader) next() ([]byte, error) {
	for {
		size, padded, err := frameSize(f.buf[f.start:f.end])
		if err != nil {
			return nil, err
		}
		if size > 0 && f.end-f.start >= padded {
			frame := f.buf[f.start : f.start+size]
			f.start += padded
			f.begun = time.Time{}
			return frame, nil
		}
		if err := f.fill(); err != nil {
			return nil, err
		}
	}
}

// fill reads more.
func (f *frameReader) fill() error {
	if f.start > 0 {
		f.end = copy(f.buf[:], f.buf[f.start:f.end])
		f.start = 0
	}
	if f.end > 0 && f.begun.IsZero() {
		f.begun = time.Now()
	}
	f.wait(f.begun)
	n, err := f.r.Read(f.buf[f.end:])
	f.end += n
	if n > 0 {
		return nil
	}
	return err
}

// frameSize returns the size of the message that p begins with, and its size with
// padding, or 0 when p is too short to tell.
func frameSize(p []byte) (size, padded int, err error) {
	if len(p) < headroom {
		return 0, 0, nil
	}
	n := int(binary.BigEndian.Uint16(p[2:]))
	switch p[0] >> 6 {
	case 0:
		if n%4 != 0 {
			return 0, 0, errFraming
		}
		size = stunHeader + n
	case 1:
		size = headroom + n
	default:
		return 0, 0, errFraming
	}
	if padded = (size + 3) &^ 3; padded > maxFrame {
		return 0, 0, errFraming
	}
	return size, padded, nil
}
