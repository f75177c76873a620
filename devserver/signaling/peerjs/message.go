package peerjs

import (
	"bytes"
	"encoding/json"
	"errors"
	"strings"
)

// The types of messages.
const (
	typeOpen      = "OPEN"
	typeIDTaken   = "ID-TAKEN"
	typeError     = "ERROR"
	typeOffer     = "OFFER"
	typeAnswer    = "ANSWER"
	typeCandidate = "CANDIDATE"
	typeLeave     = "LEAVE"
	typeExpire    = "EXPIRE"
)

// message is the envelope of what a client sends. Its slices are parts of the
// frame; they are nil for what the frame does not have.
type message struct {
	kind    string // empty if it is not a string
	dst     []byte // as JSON; nil also for what JavaScript takes for false
	payload []byte // as JSON
}

// parse reads one frame. The error's text is for the author of the page that
// sent it.
func parse(frame []byte) (message, error) {
	var m message
	// Checking first makes the rest short: what is valid needs no more care.
	if !json.Valid(frame) {
		return m, errors.New("the message is not valid JSON")
	}
	i := skipSpace(frame, 0)
	if frame[i] != '{' {
		return m, errors.New("the message is not a JSON object")
	}
	for i = skipSpace(frame, i+1); frame[i] != '}'; i = skipSpace(frame, i) {
		if frame[i] == ',' {
			i = skipSpace(frame, i+1)
		}
		end := skipValue(frame, i)
		name := frame[i:end]
		i = skipSpace(frame, skipSpace(frame, end)+1) // over the colon
		end = skipValue(frame, i)
		m.set(text(name), frame[i:end])
		i = end
	}
	return m, nil
}

// set takes one member of the object. Of several with one name JavaScript keeps
// the last.
func (m *message) set(name string, value []byte) {
	switch name {
	case "type":
		m.kind = text(value)
	case "dst":
		m.dst = value
		switch string(value) {
		case `null`, `""`, `false`, `0`:
			m.dst = nil
		}
	case "payload":
		m.payload = value
	}
}

// to is the id that dst names. What is not a string is nobody's id, and made such
// that it stays nobody's.
func (m *message) to() string {
	if m.dst[0] == '"' {
		return text(m.dst)
	}
	return "\x00" + string(m.dst)
}

// text decodes a JSON string; anything else is the empty one.
func text(value []byte) string {
	if value[0] != '"' {
		return ""
	}
	if bytes.IndexByte(value, '\\') < 0 {
		return string(value[1 : len(value)-1])
	}
	var s string
	_ = json.Unmarshal(value, &s) // valid, as the whole frame is
	return s
}

// skipSpace returns the index of the first byte from i on that is not white
// space (RFC 8259 §2).
func skipSpace(b []byte, i int) int {
	for i < len(b) && (b[i] == ' ' || b[i] == '\t' || b[i] == '\n' || b[i] == '\r') {
		i++
	}
	return i
}

// skipValue returns the end of the valid JSON value that begins at i.
func skipValue(b []byte, i int) int {
	depth := 0
	for ; i < len(b); i++ {
		switch b[i] {
		case '"':
			i = skipString(b, i) - 1
		case '{', '[':
			depth++
			continue
		case '}', ']':
			depth--
		default:
			if depth == 0 {
				return i + literal(b[i:])
			}
			continue
		}
		if depth == 0 {
			return i + 1
		}
	}
	return i
}

// literal is the length of the number, true, false or null that b begins with.
func literal(b []byte) int {
	if n := bytes.IndexAny(b, ",]} \t\n\r"); n >= 0 {
		return n
	}
	return len(b)
}

// skipString returns the end of the JSON string that begins at i.
func skipString(b []byte, i int) int {
	for i++; ; i++ {
		i += bytes.IndexByte(b[i:], '"')
		escapes := 0
		for b[i-1-escapes] == '\\' {
			escapes++
		}
		if escapes%2 == 0 {
			return i + 1
		}
	}
}

// relayed is what dst gets of m. src needs no escaping: see checkID.
func relayed(m message, src string) []byte {
	b := make([]byte, 0, len(`{"type":"","src":"","dst":,"payload":}`)+len(m.kind)+len(src)+len(m.dst)+len(m.payload))
	b = append(b, `{"type":"`...)
	b = append(b, m.kind...)
	b = append(b, `","src":"`...)
	b = append(b, src...)
	b = append(b, `","dst":`...)
	b = append(b, m.dst...)
	if m.payload != nil {
		b = append(b, `,"payload":`...)
		b = append(b, m.payload...)
	}
	return append(b, '}')
}

// expired tells src that what it sent to dst, a JSON value, is given up.
func expired(dst []byte, src string) []byte {
	return []byte(`{"type":"` + typeExpire + `","src":` + string(dst) + `,"dst":"` + src + `"}`)
}

// opened is the server's first message when all is well.
func opened() []byte { return []byte(`{"type":"` + typeOpen + `"}`) }

// refused says why the line is going to be closed.
func refused(kind, why string) []byte {
	quoted, _ := json.Marshal(why) // a string always encodes
	return []byte(`{"type":"` + kind + `","payload":{"msg":` + string(quoted) + `}}`)
}

// maxID is the longest id in bytes. The client knows no limit; a hash with a
// name before it fits well.
const maxID = 128

// checkID tells whether the client would take id for one: letters and digits, with
// single separators between them.
func checkID(id string) error {
	alnum := func(c byte) bool { return c >= 'a' && c <= 'z' || c >= 'A' && c <= 'Z' || c >= '0' && c <= '9' }
	if len(id) > maxID {
		return errors.New("the id is too long: at most 128 characters")
	}
	for i := range len(id) {
		inside := i > 0 && i < len(id)-1 && alnum(id[i-1])
		if !alnum(id[i]) && !(inside && strings.IndexByte(" _-", id[i]) >= 0) {
			return errors.New(`the id may only have letters, digits, and a single "-", "_" or space between them`)
		}
	}
	return nil
}
