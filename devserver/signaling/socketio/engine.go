package socketio

import (
	"bytes"
	"errors"
	"fmt"
	"strconv"
	"unicode/utf16"
	"unicode/utf8"
)

// The types of Engine.IO packets: the first character of each
// (engine.io-protocol, "Packet types"; the same in versions 3 and 4).
const (
	engineOpen    = '0'
	engineClose   = '1'
	enginePing    = '2'
	enginePong    = '3'
	engineMessage = '4'
	engineUpgrade = '5'
	engineNoop    = '6'
	engineBase64  = 'b' // a binary packet on a transport for text
)

// maxPackets is how many packets one request of a polling client may bring. A
// page that has emitted more before it was connected is told so.
const maxPackets = 512

// separator stands between the packets of a version 4 payload. JSON has it
// only escaped, so it is never part of one of ours.
const separator = 0x1e

var errBinary = errors.New("binary data is not supported here: send JSON")

// decodePayload splits the body of a polling request of the Engine.IO version
// given. octets says that the body came as application/octet-stream. The
// packets share the body's memory where they can.
func decodePayload(version int, body []byte, octets bool) ([][]byte, error) {
	var packets [][]byte
	for len(body) > 0 {
		if len(packets) == maxPackets {
			return nil, fmt.Errorf("there are more than %d packets in one request", maxPackets)
		}
		var packet []byte
		var err error
		switch {
		case version == 4:
			packet, body, _ = bytes.Cut(body, []byte{separator})
		case octets:
			packet, body, err = cutOctets(body)
		default:
			packet, body, err = cutCounted(body)
		}
		switch {
		case err != nil:
			return nil, err
		case len(packet) == 0:
			return nil, errors.New("a packet is empty")
		case packet[0] == engineBase64:
			return nil, errBinary
		case !utf8.Valid(packet):
			return nil, errors.New("a packet is not valid UTF-8")
		}
		packets = append(packets, packet)
	}
	if len(packets) == 0 {
		return nil, errors.New("the body is empty")
	}
	return packets, nil
}

// encodePayload puts packets, of which there is at least one, into the body of
// a polling response.
func encodePayload(version int, packets [][]byte) []byte {
	if version == 4 {
		return bytes.Join(packets, []byte{separator})
	}
	var b []byte
	for _, p := range packets {
		p = escapeNonASCII(p)
		b = strconv.AppendInt(b, int64(len(p)), 10)
		b = append(b, ':')
		b = append(b, p...)
	}
	return b
}

// cutCounted takes the first packet off a version 3 text payload: its length in
// UTF-16 code units, which is what JavaScript counts, a colon, the packet.
func cutCounted(body []byte) (packet, rest []byte, err error) {
	head, rest, found := bytes.Cut(body, []byte{':'})
	n, err := strconv.ParseUint(string(head), 10, 31)
	if !found || err != nil {
		return nil, nil, errors.New("a packet does not begin with its length")
	}
	end := 0
	for units := 0; units < int(n); {
		r, size := utf8.DecodeRune(rest[end:])
		if r == utf8.RuneError && size <= 1 {
			return nil, nil, errors.New("a packet is shorter than its length says, or not valid UTF-8")
		}
		units += utf16.RuneLen(r)
		if units > int(n) {
			return nil, nil, errors.New("a packet's length ends in the middle of a character")
		}
		end += size
	}
	return undouble(rest[:end]), rest[end:], nil
}

// cutOctets takes the first packet off a version 3 binary payload, which is how
// the 1.x client in a browser posts even text: 0, the digits of the length in
// bytes as numbers, 255, the packet. A 1 in front marks a binary packet.
func cutOctets(body []byte) (packet, rest []byte, err error) {
	if body[0] == 1 {
		return nil, nil, errBinary
	}
	const maxDigits = 9
	n := 0
	for i, d := range body[1:] {
		switch {
		case d == 255 && i > 0:
			rest = body[i+2:]
			if body[0] != 0 || n > len(rest) {
				return nil, nil, errors.New("a packet is shorter than its length says")
			}
			return rest[:n], rest[n:], nil
		case d > 9 || i == maxDigits:
			return nil, nil, errors.New("a packet does not begin with its length")
		}
		n = n*10 + int(d)
	}
	return nil, nil, errors.New("a packet does not begin with its length")
}

// undouble takes one of two layers of UTF-8 off: the 1.x client encodes a text
// twice, the 2.x client, which says that it is of the same version, once. Text
// that happens to look encoded twice ("Ã©" for "é") is not told apart from it.
func undouble(text []byte) []byte {
	ascii := true
	once := make([]byte, 0, len(text))
	for _, r := range string(text) {
		if r > 0xff {
			return text
		}
		ascii = ascii && r < utf8.RuneSelf
		once = append(once, byte(r))
	}
	if ascii || !utf8.Valid(once) {
		return text
	}
	return once
}

// escapeNonASCII writes what is not ASCII as \u escapes. In our packets that is
// only ever inside a string of JSON, so they mean the same, and the 1.x and 2.x
// clients, which disagree on how often to decode UTF-8, read them alike.
func escapeNonASCII(packet []byte) []byte {
	if !bytes.ContainsFunc(packet, func(r rune) bool { return r >= utf8.RuneSelf }) {
		return packet
	}
	b := make([]byte, 0, len(packet)*2)
	for _, r := range string(packet) {
		switch {
		case r < utf8.RuneSelf:
			b = append(b, byte(r))
		case r > 0xffff:
			high, low := utf16.EncodeRune(r)
			b = fmt.Appendf(b, `\u%04x\u%04x`, high, low)
		default:
			b = fmt.Appendf(b, `\u%04x`, r)
		}
	}
	return b
}
