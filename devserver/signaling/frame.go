package signaling

import "encoding/binary"

// Frame headers of a server (RFC 6455 §5.2): FIN and the opcode, then the length.
// A server's frames are not masked.
const (
	textFrame  = 0x81
	closeFrame = 0x88
	pingFrame  = 0x89
	pongFrame  = 0x8a
	maxHeader  = 10
)

// appendFrame appends a whole frame to b.
func appendFrame(b []byte, kind byte, payload []byte) []byte {
	return append(appendHeader(b, kind, len(payload)), payload...)
}

func appendHeader(b []byte, kind byte, size int) []byte {
	switch {
	case size < 126:
		return append(b, kind, byte(size))
	case size < 1<<16:
		return append(b, kind, 126, byte(size>>8), byte(size))
	default:
		return binary.BigEndian.AppendUint64(append(b, kind, 127), uint64(size))
	}
}

// nextFrame returns the first frame's opcode and payload, and the rest. The frames are our own,
// so they are whole.
func nextFrame(frames []byte) (kind byte, payload, rest []byte) {
	size, header := int(frames[1]), 2
	switch size {
	case 126:
		size, header = int(binary.BigEndian.Uint16(frames[2:])), 4
	case 127:
		size, header = int(binary.BigEndian.Uint64(frames[2:])), 10
	}
	return frames[0], frames[header : header+size], frames[header+size:]
}
