package socketio

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strings"
)

// The types of Socket.IO packets (socket.io-protocol, "Packet types"). They are
// the data of Engine.IO messages.
const (
	packetConnect      = '0'
	packetDisconnect   = '1'
	packetEvent        = '2'
	packetAck          = '3'
	packetConnectError = '4'
	packetBinaryEvent  = '5'
	packetBinaryAck    = '6'
)

// A packet's parts are bounded where the protocol leaves them open.
const (
	maxNamespace = 128 // bytes
	maxAckDigits = 15  // so that it is exact as a number of JavaScript
	maxEventName = 128 // bytes
)

// packet is one Socket.IO packet without attachments.
type packet struct {
	kind      byte
	namespace string // without its query; the default one is "/"
	ack       string // the digits of the id the client wants acknowledged, or none
	data      []byte // JSON, not yet checked; may be empty
}

// parsePacket takes a packet apart: type, "/namespace,", acknowledgement id, data.
func parsePacket(text []byte) (packet, error) {
	p := packet{namespace: "/"}
	if len(text) == 0 {
		return p, errors.New("a Socket.IO packet is empty")
	}
	p.kind, text = text[0], text[1:]
	switch {
	case p.kind == packetBinaryEvent || p.kind == packetBinaryAck:
		return p, errBinary
	case p.kind < packetConnect || p.kind > packetBinaryAck:
		return p, fmt.Errorf("there is no Socket.IO packet type %q", p.kind)
	}
	if len(text) > 0 && text[0] == '/' {
		name, rest, _ := bytes.Cut(text, []byte{','})
		name, _, _ = bytes.Cut(name, []byte{'?'})
		if len(name) > maxNamespace || bytes.ContainsFunc(name, notPlain) {
			return p, errors.New("a namespace has a name that is too long or not plain ASCII")
		}
		p.namespace, text = string(name), rest
	}
	digits := 0
	for digits < len(text) && text[digits] >= '0' && text[digits] <= '9' {
		digits++
	}
	if digits > maxAckDigits {
		return p, errors.New("an acknowledgement's id is too long")
	}
	p.ack, p.data = string(text[:digits]), text[digits:]
	return p, nil
}

// notPlain also keeps out what would have to be escaped in JSON.
func notPlain(r rune) bool { return r <= ' ' || r >= 0x7f || r == '"' || r == '\\' }

// event is what a page emits: a name and any JSON.
type event struct {
	name string
	args []json.RawMessage
	all  []byte // the array of both, as it was sent
}

// isReserved tells the names that clients keep for themselves: newer ones close
// their connection when a packet has one.
func isReserved(name string) bool {
	switch name {
	case "connect", "connect_error", "disconnect", "disconnecting", "newListener", "removeListener":
		return true
	}
	return false
}

func parseEvent(data []byte) (event, error) {
	var list []json.RawMessage
	e := event{all: data}
	if err := json.Unmarshal(data, &list); err != nil {
		return e, fmt.Errorf("an event is not a JSON array: %w", err)
	}
	if len(list) == 0 || list[0][0] != '"' || json.Unmarshal(list[0], &e.name) != nil {
		return e, errors.New("an event does not begin with its name")
	}
	if len(e.name) > maxEventName {
		return e, fmt.Errorf("an event's name is longer than %d bytes", maxEventName)
	}
	if isReserved(e.name) {
		return e, fmt.Errorf("an event cannot be called %q", e.name)
	}
	e.args = list[1:]
	return e, nil
}

const (
	eventHead   = "42"
	messageHead = `42["message",`
)

// eventPacket is the Engine.IO packet of an event of our own. The arguments are
// strings and slices of strings, which always encode.
func eventPacket(name string, args ...any) []byte {
	list, _ := json.Marshal(append([]any{name}, args...))
	return append([]byte(eventHead), list...)
}

// wrapperKey marks what is not a page's plain message: an event of another name
// or with another number of arguments.
const wrapperKey = "socket.io"

// wrap makes an event into the data of the hub. A message with one argument is
// that argument, which is what native peers send and understand; see the
// package comment.
func wrap(e event) []byte {
	if e.name == "message" && len(e.args) == 1 {
		if _, wrapped := unwrap(e.args[0]); !wrapped {
			return e.args[0]
		}
	}
	return slices.Concat([]byte(`{"`+wrapperKey+`":`), e.all, []byte(`}`))
}

// unwrap returns the event in data of the hub, if it is one.
func unwrap(data []byte) (event, bool) {
	if data[0] != '{' || !bytes.Contains(data, []byte(`"`+wrapperKey+`"`)) {
		return event{}, false
	}
	var fields map[string]json.RawMessage
	if err := json.Unmarshal(data, &fields); err != nil || len(fields) != 1 {
		return event{}, false
	}
	e, err := parseEvent(fields[wrapperKey])
	return e, err == nil
}

// relayPacket is the Engine.IO packet for data of the hub.
func relayPacket(data []byte) []byte {
	if e, wrapped := unwrap(data); wrapped {
		return append([]byte(eventHead), e.all...)
	}
	return slices.Concat([]byte(messageHead), data, []byte(`]`))
}

// What pages in the codelab's manner say in a message, as JSON.
const (
	sayMedia = `"got user media"`
	sayBye   = `"bye"`
)

// says tells whether data is the text, which is JSON, with white space around it at most.
func says(data []byte, text string) bool {
	return string(bytes.TrimSpace(data[:min(len(data), 2*len(text))])) == text
}

// isCodelabs tells what pages of the codelab emit, also before they enter a room and
// after they leave: who emits something else in no room knows of none.
func isCodelabs(e event) bool {
	switch e.name {
	case "create or join", "ipaddr", "bye":
		return true
	case "message":
		return len(e.args) == 1 && (says(e.args[0], sayMedia) || says(e.args[0], sayBye))
	}
	return false
}

// isOffer tells an RTCSessionDescription of type offer, isAnswer one of type answer.
func isOffer(data []byte) bool  { return isDescription(data, "offer") }
func isAnswer(data []byte) bool { return isDescription(data, "answer") }

func isDescription(data []byte, kind string) bool {
	return bytes.Contains(data, []byte(`"`+kind+`"`)) && readDescription(data).Type == kind
}

// isOfACall tells what means something in one call only: a session description, or a
// candidate as the codelab, adapter.js and RTCIceCandidate write it.
func isOfACall(data []byte) bool {
	d := readDescription(data)
	switch d.Type {
	case "offer", "answer", "pranswer", "candidate":
		return true
	}
	return d.Candidate != nil
}

type description struct {
	Type      string          `json:"type"`
	Candidate json.RawMessage `json:"candidate"`
}

func readDescription(data []byte) (d description) {
	if data[0] != '{' || json.Unmarshal(data, &d) != nil {
		return description{}
	}
	return d
}

// asText reads a JSON string, or a number as its digits: a room may be either.
func asText(data []byte) (string, error) {
	var s string
	if err := json.Unmarshal(data, &s); err == nil {
		return s, nil
	}
	var n json.Number
	if err := json.Unmarshal(data, &n); err != nil || strings.HasPrefix(string(data), "null") {
		return "", errors.New("a room's name is a string")
	}
	return n.String(), nil
}
