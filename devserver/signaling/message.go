package signaling

import (
	"encoding/json"
	"fmt"
	"strings"
	"unicode"
	"unicode/utf8"
)

// DefaultRoom is the room of a peer that names none.
const DefaultRoom = "lobby"

// maxRoomName is the longest room name in characters. Names are typed, read
// aloud and put into QR codes; this bounds what a stranger can make us keep.
const maxRoomName = 64

// What a peer may send, as its "type".
const (
	typeSignal = "signal"
	typePing   = "ping"
	typeLeave  = "leave"
)

// readEnvelope reads one message of a peer. Errors are [*Error] with BadMessage.
func readEnvelope(frame []byte) (envelope, error) {
	e, err := scanEnvelope(frame)
	if err != nil {
		return e, &Error{BadMessage, err.Error()}
	}
	switch e.kind {
	case typeSignal:
		if e.data == nil {
			return e, refuse(BadMessage, `a "signal" message needs "data"`)
		}
	case typePing, typeLeave:
	case "":
		return e, refuse(BadMessage, `the message has no "type"`)
	default:
		return e, refuse(BadMessage, `unknown message type %.64q: a client sends "signal", "ping" or "leave"`, e.kind)
	}
	return e, nil
}

// RoomName checks a room's name as a client gave it, and fills in the default for an
// empty one. The error's text is for the author of the page.
func RoomName(name string) (string, error) {
	switch {
	case name == "":
		return DefaultRoom, nil
	case !utf8.ValidString(name):
		return "", refuse(BadMessage, "the room's name is not valid UTF-8")
	case utf8.RuneCountInString(name) > maxRoomName:
		return "", refuse(BadMessage, "the room's name is longer than %d characters", maxRoomName)
	case strings.ContainsFunc(name, unicode.IsControl):
		return "", refuse(BadMessage, "the room's name has a control character in it")
	}
	return strings.Clone(name), nil // it outlives the request, which it is a part of
}

// encode marshals one of the small server messages below. They hold strings
// and already valid JSON only, so it cannot fail for any input from outside.
func encode(v any) []byte {
	b, err := json.Marshal(v)
	if err != nil {
		panic(fmt.Sprintf("signaling: encoding %T: %v", v, err))
	}
	return b
}

func welcomeMessage(id, room string, peers []string, token string, ice ICE) []byte {
	if peers == nil {
		peers = []string{}
	}
	return encode(struct {
		Type  string   `json:"type"`
		ID    string   `json:"id"`
		Room  string   `json:"room"`
		Peers []string `json:"peers"`
		ICE
		Resume string `json:"resume"`
	}{"welcome", id, room, peers, ice, token})
}

func resumedMessage(id, room string, seen uint64, token string, ice ICE) []byte {
	return encode(struct {
		Type string `json:"type"`
		ID   string `json:"id"`
		Room string `json:"room"`
		Seen uint64 `json:"seen"`
		ICE
		Resume string `json:"resume"`
	}{"resumed", id, room, seen, ice, token})
}

func peerMessage(kind, id string) []byte {
	return encode(struct {
		Type string `json:"type"`
		Peer string `json:"peer"`
	}{kind, id})
}

func errorMessage(e *Error) []byte {
	return encode(struct {
		Type    string `json:"type"`
		Code    Code   `json:"code"`
		Message string `json:"message"`
	}{"error", e.Code, e.Text})
}

// The pieces of what is relayed: between them stand the sender's id, which is ours
// and needs no escaping, and its data, whose bytes are not touched.
const (
	signalHead = `{"type":"signal","from":"`
	signalMid  = `","data":`
	signalTail = `}`
	pongText   = `{"type":"pong"}`
)
