package socketio

import (
	"encoding/json"
	"errors"
	"fmt"
	"net/http"

	"rtcdev/devserver/signaling"
)

// fault is an Engine.IO error as its clients know it (engine.io's server, where
// the table is called errors).
type fault int

const (
	transportUnknown fault = iota
	sessionUnknown
	badHandshakeMethod
	badRequest
	_ // forbidden: answered by the hub, for all doors alike
	unsupportedVersion
)

func (f fault) String() string {
	switch f {
	case transportUnknown:
		return "Transport unknown"
	case sessionUnknown:
		return "Session ID unknown"
	case badHandshakeMethod:
		return "Bad handshake method"
	case unsupportedVersion:
		return "Unsupported protocol version"
	default:
		return "Bad request"
	}
}

// refuse answers a request with f; detail, if any, says more.
func refuse(w http.ResponseWriter, f fault, detail string) {
	message := f.String()
	if detail != "" {
		message += ": " + detail
	}
	body, _ := json.Marshal(struct { // a number and a string always encode
		Code    int    `json:"code"`
		Message string `json:"message"`
	}{int(f), message})
	w.Header().Set("Content-Type", "application/json")
	w.WriteHeader(http.StatusBadRequest)
	_, _ = w.Write(body) // who does not read it does not miss it
}

func badMessage(format string, args ...any) *signaling.Error {
	return &signaling.Error{Code: signaling.BadMessage, Text: fmt.Sprintf(format, args...)}
}

func tooSlow() *signaling.Error {
	return &signaling.Error{Code: signaling.TooSlow, Text: "this page does not read as fast as others send"}
}

func shuttingDown() *signaling.Error {
	return &signaling.Error{Code: signaling.ShuttingDown, Text: "the server is stopping; try again in a moment"}
}

// asError makes any error into one of the protocol.
func asError(err error) *signaling.Error {
	var refused *signaling.Error
	if errors.As(err, &refused) {
		return refused
	}
	return badMessage("%v", err)
}
