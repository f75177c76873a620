package signaling

import (
	"errors"
	"fmt"
)

// Code says what went wrong, as the "code" of an error message.
type Code string

// The codes of the protocol; the package comment says when each is sent.
const (
	RoomFull     Code = "room-full"
	BadMessage   Code = "bad-message"
	TooSlow      Code = "too-slow"
	CannotResume Code = "cannot-resume"
	Replaced     Code = "replaced"
	RateLimited  Code = "rate-limited"
	TooManyRooms Code = "too-many-rooms"
	NoPong       Code = "no-pong"
	TooLarge     Code = "too-large"
	ShuttingDown Code = "shutting-down"
	NoSuchPeer   Code = "no-such-peer"
	Overloaded   Code = "overloaded"
	// ForeignOrigin is a page that may not use the server: see Config.AllowOrigins.
	ForeignOrigin Code = "foreign-origin"
	// ProtocolError is a WebSocket frame that RFC 6455 does not allow.
	ProtocolError Code = "protocol-error"
	// IDTaken is for doors whose clients choose their ids: see [Join].
	IDTaken Code = "id-taken"
)

// Error is what the protocol refuses. Text is for the author of the page.
type Error struct {
	Code Code
	Text string
}

func (e *Error) Error() string { return string(e.Code) + ": " + e.Text }

func refuse(c Code, format string, args ...any) *Error {
	return &Error{c, fmt.Sprintf(format, args...)}
}

func tooSlow() *Error { return refuse(TooSlow, "this peer does not read as fast as others send") }

// asError returns the [*Error] in err.
func asError(err error) *Error {
	var e *Error
	if errors.As(err, &e) {
		return e
	}
	return nil
}

// Close codes next to those of this protocol, from RFC 6455 §7.4.1.
const (
	closeNormal        = 1000
	closeGoingAway     = 1001
	closeProtocolError = 1002
	closeAbnormal      = 1006 // in no frame: the line broke
	closeTooBig        = 1009
)

// closeCode is the one table from what ended a connection to the close frame that
// says so. The codes from 4000 are the range that RFC 6455 §7.4.2 leaves to applications.
func closeCode(c Code) int {
	switch c {
	case RoomFull:
		return 4001
	case BadMessage:
		return 4002
	case TooSlow:
		return 4003
	case CannotResume:
		return 4004
	case Replaced:
		return 4005
	case RateLimited:
		return 4006
	case TooManyRooms:
		return 4007
	case NoPong:
		return 4008
	case IDTaken:
		return 4009
	case ProtocolError:
		return closeProtocolError
	case TooLarge:
		return closeTooBig
	case ShuttingDown:
		return closeGoingAway
	default:
		return closeNormal
	}
}
