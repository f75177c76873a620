package signaling

import (
	"encoding/json"
	"errors"
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

// code is the "code" of an error message.
type code string

const (
	roomFull     code = "room-full"
	badMessage   code = "bad-message"
	tooLarge     code = "too-large"
	noSuchPeer   code = "no-such-peer"
	shuttingDown code = "shutting-down"
)

// Close codes of this protocol, from the range that RFC 6455 §7.4.2 leaves to
// applications, next to the registered ones of §7.4.1.
const (
	closeNormal     = 1000
	closeGoingAway  = 1001
	closeTooBig     = 1009
	closeRoomFull   = 4001
	closeBadMessage = 4002
	closeTooSlow    = 4003
)

// closeCode is the one table from a fatal error to the close frame that follows
// it.
func closeCode(c code) int {
	switch c {
	case roomFull:
		return closeRoomFull
	case badMessage:
		return closeBadMessage
	case tooLarge:
		return closeTooBig
	case shuttingDown:
		return closeGoingAway
	default:
		panic("signaling: not a fatal error: " + c)
	}
}

// clientMessage is the envelope of what a peer sends. Data keeps the sender's
// bytes.
type clientMessage struct {
	Type string          `json:"type"`
	To   string          `json:"to"`
	Data json.RawMessage `json:"data"`
}

const (
	typeSignal = "signal"
	typeLeave  = "leave"
)

// parseClientMessage reads one text frame. The error's text is for the author
// of the page that sent it.
func parseClientMessage(frame []byte) (clientMessage, error) {
	var m clientMessage
	// encoding/json repairs invalid UTF-8 in strings, but Data would carry it
	// on, and the receiving browser then drops its whole connection.
	if !utf8.Valid(frame) {
		return m, errors.New("the message is not valid UTF-8")
	}
	if err := json.Unmarshal(frame, &m); err != nil {
		return m, fmt.Errorf("the message is not the JSON object this protocol expects: %w", err)
	}
	switch m.Type {
	case typeSignal:
		if m.Data == nil {
			return m, errors.New(`a "signal" message needs "data"`)
		}
	case typeLeave:
	case "":
		return m, errors.New(`the message has no "type"`)
	default:
		return m, fmt.Errorf(`unknown message type %q: a client sends "signal" or "leave"`, m.Type)
	}
	return m, nil
}

// roomName checks a room's name as it came from the query and fills in the
// default.
func roomName(name string) (string, error) {
	switch {
	case name == "":
		return DefaultRoom, nil
	case !utf8.ValidString(name):
		return "", errors.New("the room's name is not valid UTF-8")
	case utf8.RuneCountInString(name) > maxRoomName:
		return "", fmt.Errorf("the room's name is longer than %d characters", maxRoomName)
	case strings.ContainsFunc(name, unicode.IsControl):
		return "", errors.New("the room's name has a control character in it")
	}
	return name, nil
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

func welcomeMessage(id, room string, peers []string) []byte {
	return encode(struct {
		Type       string     `json:"type"`
		ID         string     `json:"id"`
		Room       string     `json:"room"`
		Peers      []string   `json:"peers"`
		ICEServers []struct{} `json:"iceServers"` // none yet: this server has no STUN and TURN
	}{"welcome", id, room, peers, []struct{}{}})
}

func joinedMessage(id string) []byte { return peerMessage("peer-joined", id) }
func leftMessage(id string) []byte   { return peerMessage("peer-left", id) }

func peerMessage(kind, id string) []byte {
	return encode(struct {
		Type string `json:"type"`
		Peer string `json:"peer"`
	}{kind, id})
}

func errorMessage(c code, text string) []byte {
	return encode(struct {
		Type    string `json:"type"`
		Code    code   `json:"code"`
		Message string `json:"message"`
	}{"error", c, text})
}

// signalMessage frames data for its receivers without touching its bytes. Ids
// are ours and need no escaping.
func signalMessage(from string, data json.RawMessage) []byte {
	const head, mid, tail = `{"type":"signal","from":"`, `","data":`, `}`
	b := make([]byte, 0, len(head)+len(from)+len(mid)+len(data)+len(tail))
	b = append(b, head...)
	b = append(b, from...)
	b = append(b, mid...)
	b = append(b, data...)
	return append(b, tail...)
}
