package peer

import (
	"crypto/tls"
	"fmt"
	"net/url"
	"strings"

	"rtcdev/devserver/signaling"
)

// Mode says what a peer sends.
type Mode int

// The modes. Each of them sends back what comes through a data channel.
const (
	// Pattern sends the test picture and the tone.
	Pattern Mode = iota
	// Echo sends back the picture and the sound that it gets.
	Echo
	// Sink sends nothing, and receives.
	Sink
)

// ParseMode reads a mode's name: "pattern", "echo" or "sink".
func ParseMode(name string) (Mode, error) {
	for m := Pattern; m <= Sink; m++ {
		if m.String() == name {
			return m, nil
		}
	}
	return 0, fmt.Errorf("there is no mode %q: choose pattern, echo or sink", name)
}

// String returns the mode's name.
func (m Mode) String() string {
	switch m {
	case Pattern:
		return "pattern"
	case Echo:
		return "echo"
	case Sink:
		return "sink"
	}
	return fmt.Sprintf("Mode(%d)", int(m))
}

// ICEServer is a STUN or TURN server, as in RTCIceServer (W3C WebRTC §4.2.4).
type ICEServer struct {
	URLs       []string `json:"urls"`
	Username   string   `json:"username,omitempty"`
	Credential string   `json:"credential,omitempty"`
}

// Config says where a peer goes and what it does there.
type Config struct {
	// URL is the server's: that of a page, https://HOST/?room=R, or of its signaling,
	// wss://HOST/_rtcdev/signal. http and ws are without TLS. What else is in its query,
	// as a room-token, is for the server.
	URL string
	// Room is the room's name; default the one in URL, or else "lobby".
	Room string
	// Mode is what the peer sends.
	Mode Mode
	// TLS is how the server is verified; default by the system's authorities.
	TLS *tls.Config
	// ICEServers are used beside those that the server names in its welcome.
	ICEServers []ICEServer
	// RelayOnly has media go through TURN servers only; otherwise it does so when the
	// server wants that.
	RelayOnly bool
	// Count is how many peers RunAll runs; default 1. With more, "%d" in Room, or in URL,
	// becomes the number of the room, from 1, and PerRoom of them (default 1) go into each.
	Count, PerRoom int
	// OnStats, if set, gets what has happened so far, every second. RunAll calls it
	// from several goroutines at once.
	OnStats func(Stats)
}

// signalPath is where a server has its native door (DESIGN §4).
const signalPath = "/_rtcdev/signal"

// An AddressError is a URL or a room's name that can be no place to go.
type AddressError struct{ err error }

func (e *AddressError) Error() string { return e.err.Error() }
func (e *AddressError) Unwrap() error { return e.err }

// address returns the signaling address, without the room in its query, and the room.
// Its error is an [*AddressError].
func (c Config) address() (*url.URL, string, error) {
	u, err := url.Parse(c.URL)
	if err != nil {
		return nil, "", &AddressError{fmt.Errorf("reading the address: %w", err)}
	}
	switch u.Scheme {
	case "https", "wss":
		u.Scheme = "wss"
	case "http", "ws":
		u.Scheme = "ws"
	default:
		return nil, "", &AddressError{fmt.Errorf("the address %q does not begin with https:// or wss://", c.URL)}
	}
	if u.Host == "" {
		return nil, "", &AddressError{fmt.Errorf("the address %q names no host", c.URL)}
	}
	query := u.Query()
	room := c.Room
	if room == "" {
		room = query.Get("room")
	}
	if room, err = signaling.RoomName(room); err != nil {
		return nil, "", &AddressError{fmt.Errorf("joining a room: %w", err)}
	}
	query.Del("room")
	if !strings.HasSuffix(u.Path, signalPath) {
		u.Path = signalPath
	}
	u.RawQuery, u.Fragment = query.Encode(), ""
	return u, room, nil
}
