package client

import (
	"bytes"
	"fmt"
	"strconv"
)

// firstNumber makes all numbers equally long.
const firstNumber = 1_000_000_000

// A Payload is the "data" of numbered messages of one size: JSON that looks like
// an offer or a candidate, with a number in front.
type Payload struct {
	bytes []byte
	rest  int // where what follows the number begins
}

// opening is what data begins with, before its number.
const opening = `{"n":`

// NewPayload makes data of exactly size bytes, at least 200: below 1,000 bytes a
// candidate, and else a description, whose line ends are escaped as in real ones.
func NewPayload(size int) *Payload {
	b := strconv.AppendInt([]byte(opening), firstNumber, 10)
	p := &Payload{rest: len(b)}
	if size < 1000 {
		b = append(b, `,"candidate":"candidate:1 1 udp 2122260223 192.168.0.17 54321 typ host generation 0 ufrag `...)
	} else {
		b = append(b, `,"type":"offer","sdp":"v=0\r\no=- 4611731400430051336 2 IN IP4 127.0.0.1\r\ns=-\r\nt=0 0\r\n`...)
	}
	const line, end = `a=rtcp-fb:96 transport-cc nack pli ccm fir\r\n`, `","sdpMid":"0"}`
	for size >= 1000 && len(b)+len(line)+len(end) <= size {
		b = append(b, line...)
	}
	for len(b)+len(end) < size {
		b = append(b, 'x')
	}
	p.bytes = append(b, end...)
	return p
}

// Numbered returns the data with the number n, valid until the next call. It is for
// one goroutine.
func (p *Payload) Numbered(n int) []byte {
	strconv.AppendInt(p.bytes[:len(opening)], int64(firstNumber+n), 10)
	return p.bytes
}

// Append appends the data with the number n. Unlike Numbered it is for any number
// of goroutines at once.
func (p *Payload) Append(to []byte, n int) []byte {
	to = strconv.AppendInt(append(to, opening...), int64(firstNumber+n), 10)
	return append(to, p.bytes[p.rest:]...)
}

// Number finds data in a message and returns its number, and an error unless all
// the rest of it is of this kind. ok is false when there is no numbered data. It
// is for any number of goroutines at once.
func (p *Payload) Number(message []byte) (n int, ok bool, err error) {
	n, data := find(message)
	if data == nil {
		return 0, false, nil
	}
	if len(data) < len(p.bytes) || !bytes.Equal(data[p.rest:len(p.bytes)], p.bytes[p.rest:]) {
		return n, true, fmt.Errorf("the data is not what was sent: %.300q", message)
	}
	return n, true, nil
}

// NumberOf returns the number of a message that has numbered data of any kind.
func NumberOf(message []byte) (n int, ok bool) {
	n, data := find(message)
	return n, data != nil
}

// find returns the number, and the message from the data on.
func find(message []byte) (int, []byte) {
	const digits = 10 // of firstNumber
	i := bytes.Index(message, []byte(opening))
	if i < 0 || len(message) < i+len(opening)+digits {
		return 0, nil
	}
	n := 0
	for _, digit := range message[i+len(opening):][:digits] {
		n = n*10 + int(digit-'0') // something else than a digit makes another number
	}
	return n - firstNumber, message[i:]
}
