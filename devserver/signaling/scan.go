package signaling

import (
	"bytes"
	"encoding/binary"
	"encoding/json"
	"errors"
	"math/bits"
)

// The reasons why a frame is no envelope. Their text is for the author of the page.
var (
	errNotObject = errors.New("the message is not a JSON object")
	errNotJSON   = errors.New("the message is not valid JSON")
	errDeep      = errors.New("the message is nested too deeply")
)

// maxDepth is how deep a message may be nested: as deep as encoding/json reads it.
const maxDepth = 10_000

// envelope is what the server reads of a peer's message. Data is a part of the frame.
type envelope struct {
	kind string
	to   []byte // empty: everyone else; of the frame where that says it as it is
	data []byte // of the frame; nil: there was none
}

// scanEnvelope reads one frame in one pass: it checks all of it, for JavaScript
// throws on what is not JSON, but makes nothing of "data". It takes what encoding/json
// takes for a map[string]json.RawMessage with strings in "type" and "to"; of members
// with the same name the last one counts. Whether it is UTF-8 has been looked at.
func scanEnvelope(frame []byte) (e envelope, err error) {
	s := scanner{b: frame}
	s.space()
	if s.next() != '{' {
		return e, errNotObject
	}
	if s.space(); s.peek() == '}' {
		s.i++
	} else if err := s.members(&e); err != nil {
		return envelope{}, err
	}
	if s.space(); s.i != len(frame) {
		return envelope{}, errNotJSON
	}
	return e, nil
}

// members reads the object's members and its closing brace.
func (s *scanner) members(e *envelope) error {
	for {
		s.space()
		name, err := s.text()
		if err != nil {
			return err
		}
		if s.space(); s.next() != ':' {
			return errNotJSON
		}
		s.space()
		begin := s.i
		if err := s.value(); err != nil {
			return err
		}
		if err := e.set(name, s.b[begin:s.i]); err != nil {
			return err
		}
		s.space()
		switch s.next() {
		case ',':
		case '}':
			return nil
		default:
			return errNotJSON
		}
	}
}

// set takes up a member that the envelope has a place for.
func (e *envelope) set(name, value []byte) error {
	switch string(name) {
	case "type":
		text, err := textOf(value)
		if err == nil && text != nil {
			e.kind = known(text)
		}
		return err
	case "to":
		text, err := textOf(value)
		if err == nil && text != nil {
			e.to = text
		}
		return err
	case "data":
		e.data = value
	}
	return nil
}

// textOf reads "type" or "to". Null is nil: as for encoding/json, it changes nothing.
func textOf(value []byte) ([]byte, error) {
	switch {
	case value[0] == '"':
		return unquote(value), nil
	case string(value) == "null":
		return nil, nil
	}
	return nil, errors.New(`"type" and "to" must be strings`)
}

// unquote returns the text of a string that was found to be valid; without
// escapes it is the string's own bytes.
func unquote(value []byte) []byte {
	inner := value[1 : len(value)-1]
	if bytes.IndexByte(inner, '\\') < 0 {
		return inner
	}
	var text string
	_ = json.Unmarshal(value, &text) // valid, as the caller knows
	return []byte(text)
}

// known returns the text as a string, the usual ones without making one.
func known(text []byte) string {
	switch string(text) {
	case typeSignal:
		return typeSignal
	case typePing:
		return typePing
	}
	return string(text)
}

// scanner walks through JSON text (RFC 8259).
type scanner struct {
	b []byte
	i int
}

// next returns the byte at the scanner and steps over it; 0, which is no part of
// JSON, at the end.
func (s *scanner) next() byte {
	c := s.peek()
	s.i++
	return c
}

func (s *scanner) peek() byte {
	if s.i < len(s.b) {
		return s.b[s.i]
	}
	return 0
}

func (s *scanner) space() {
	for s.i < len(s.b) {
		switch s.b[s.i] {
		case ' ', '\t', '\n', '\r':
			s.i++
		default:
			return
		}
	}
}

// text reads a string and returns what it says.
func (s *scanner) text() ([]byte, error) {
	begin := s.i
	if err := s.skipString(); err != nil {
		return nil, err
	}
	return unquote(s.b[begin:s.i]), nil
}

// value steps over one value of any kind.
func (s *scanner) value() error {
	switch c := s.peek(); c {
	case '"':
		return s.skipString()
	case '{', '[':
		return s.nested()
	case 't':
		return s.word("true")
	case 'f':
		return s.word("false")
	case 'n':
		return s.word("null")
	default:
		return s.number()
	}
}

func (s *scanner) word(w string) error {
	if len(s.b)-s.i < len(w) || string(s.b[s.i:s.i+len(w)]) != w {
		return errNotJSON
	}
	s.i += len(w)
	return nil
}

// number steps over -?(0|[1-9][0-9]*)(\.[0-9]+)?([eE][+-]?[0-9]+)?
func (s *scanner) number() error {
	if s.peek() == '-' {
		s.i++
	}
	if s.peek() == '0' {
		s.i++
	} else if !s.digits() {
		return errNotJSON
	}
	if s.peek() == '.' {
		s.i++
		if !s.digits() {
			return errNotJSON
		}
	}
	if c := s.peek(); c == 'e' || c == 'E' {
		s.i++
		if c := s.peek(); c == '+' || c == '-' {
			s.i++
		}
		if !s.digits() {
			return errNotJSON
		}
	}
	return nil
}

// digits steps over digits and tells whether there were any.
func (s *scanner) digits() bool {
	begin := s.i
	for c := s.peek(); c >= '0' && c <= '9'; c = s.peek() {
		s.i++
	}
	return s.i > begin
}

// skipString steps over a string: eight bytes at a time where nothing in them needs a look.
func (s *scanner) skipString() error {
	if s.next() != '"' {
		return errNotJSON
	}
	b, i := s.b, s.i
	for {
		for i+8 <= len(b) {
			if special := specialBytes(binary.LittleEndian.Uint64(b[i:])); special != 0 {
				i += bits.TrailingZeros64(special) / 8
				break
			}
			i += 8
		}
		if i >= len(b) {
			return errNotJSON
		}
		switch c := b[i]; {
		case c == '"':
			s.i = i + 1
			return nil
		case c == '\\':
			n := escapeLength(b[i:])
			if n == 0 {
				return errNotJSON
			}
			i += n
		case c < ' ':
			return errNotJSON
		default:
			i++
		}
	}
}

// specialBytes sets the high bit of, at least, the first byte in w that is '"', '\\' or below
// ' ' (the carry of a subtraction may set it above such a byte, too).
func specialBytes(w uint64) uint64 {
	const ones, highs = 0x0101010101010101, 0x8080808080808080
	low := w ^ ones*2 // '"' is a space now, and what is below a space still is
	slash := w ^ ones*'\\'
	return ((low-ones*(' '+1))&^low | (slash-ones)&^slash) & highs
}

// escapeLength is how many bytes the escape at the beginning of b has; 0: it is none.
func escapeLength(b []byte) int {
	if len(b) < 2 {
		return 0
	}
	if len(b) >= 4 && string(b[:4]) == `\r\n` { // two, at the end of each line of SDP
		return 4
	}
	switch b[1] {
	case '"', '\\', '/', 'b', 'f', 'n', 'r', 't':
		return 2
	case 'u':
		if len(b) < 6 {
			return 0
		}
		for _, c := range b[2:6] {
			if (c < '0' || c > '9') && (c|0x20 < 'a' || c|0x20 > 'f') {
				return 0
			}
		}
		return 6
	}
	return 0
}

// nested steps over an object or array. It keeps its own stack, of one bit for each
// level, so that depth costs no memory that a stranger could use up.
func (s *scanner) nested() error {
	var objects [maxDepth/64 + 1]uint64
	depth := 0
	for {
		// At the beginning of a value.
		switch c := s.peek(); c {
		case '{', '[':
			if depth++; depth >= maxDepth {
				return errDeep
			}
			s.i++
			s.space()
			objects[depth/64] &^= 1 << (depth % 64)
			if c == '{' {
				objects[depth/64] |= 1 << (depth % 64)
				if s.peek() != '}' {
					if err := s.name(); err != nil {
						return err
					}
					continue
				}
			} else if s.peek() != ']' {
				continue
			}
		default:
			if err := s.value(); err != nil {
				return err
			}
		}
		// At the end of a value, or of an empty object or array.
		for more := false; !more; {
			s.space()
			object := objects[depth/64]>>(depth%64)&1 == 1
			switch c := s.next(); {
			case c == ',':
				s.space()
				if object {
					if err := s.name(); err != nil {
						return err
					}
				}
				more = true
			case c == '}' && object, c == ']' && !object:
				if depth--; depth == 0 {
					return nil
				}
			default:
				return errNotJSON
			}
		}
	}
}

// name steps over a member's name and colon.
func (s *scanner) name() error {
	if err := s.skipString(); err != nil {
		return err
	}
	if s.space(); s.next() != ':' {
		return errNotJSON
	}
	s.space()
	return nil
}
