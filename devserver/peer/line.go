package peer

import (
	"context"
	"crypto/tls"
	"encoding/json"
	"errors"
	"fmt"
	"math/rand/v2"
	"net/http"
	"net/url"
	"strconv"
	"sync"
	"time"

	"github.com/gorilla/websocket"

	"rtcdev/devserver/signaling"
)

const (
	keptMessages   = 256              // of ours, to send again: the server's own queue has as many
	placeIsKept    = 35 * time.Second // for which the server may hold our place, and a little more
	lineSilence    = 60 * time.Second // the server pings every 25 s and waits 10 s
	writePatience  = 5 * time.Second
	dialPatience   = 10 * time.Second
	goodbyeTime    = time.Second
	firstPause     = 250 * time.Millisecond
	longestPause   = 8 * time.Second
	maxServerBytes = 1 << 20 // a message is 64 KiB at most unless configured
)

// A message is what the server says; the fields depend on its type.
type message struct {
	Type       string          `json:"type"`
	ID         string          `json:"id"`
	Peers      []string        `json:"peers"`
	Peer       string          `json:"peer"`
	From       string          `json:"from"`
	Data       json.RawMessage `json:"data"`
	ICEServers []iceServer     `json:"iceServers"`
	Policy     string          `json:"iceTransportPolicy"`
	Resume     string          `json:"resume"`
	Seen       int             `json:"seen"`
	Code       signaling.Code  `json:"code"`
	Message    string          `json:"message"`
}

// iceServer is an RTCIceServer, whose urls may be one string.
type iceServer struct {
	URLs       oneOrMore `json:"urls"`
	Username   string    `json:"username"`
	Credential string    `json:"credential"`
}

type oneOrMore []string

func (o *oneOrMore) UnmarshalJSON(b []byte) error {
	var one string
	if err := json.Unmarshal(b, &one); err == nil {
		*o = oneOrMore{one}
		return nil
	}
	return json.Unmarshal(b, (*[]string)(o))
}

// A line is the way to the signaling server. It comes back when it breaks, and goes on
// where it was.
type line struct {
	address url.URL // without the room in its query
	room    string
	tls     *tls.Config
	deliver func(message) // hears everything but what is about the line alone

	mu         sync.Mutex
	conn       *websocket.Conn // nil while there is no line
	token      string          // empty: the server does not know us
	seen, sent int             // messages since the welcome, of the server and ours
	last       [][]byte        // the last ones of ours
	left       bool
}

// What a server answers that does not let the peer in.
var (
	// ErrNotInvited is for an address without the secret that the server asks for (403).
	ErrNotInvited = errors.New("the server lets in only who has its secret in the address")
	// ErrNoSignaling is for a server that has another answer than rtcdev's.
	ErrNoSignaling = errors.New("which is not what rtcdev serve answers")
)

// errOver tells that the peer has left, and the line ended as it should.
var errOver = errors.New("the peer has left")

// run keeps the line up until the peer leaves, the server refuses it or ctx ends. A
// server that cannot be reached at first is an error; later it may come back.
func (l *line) run(ctx context.Context) error {
	pause := firstPause
	var placeUntil time.Time // when the server is sure to have forgotten whom we were
	for first := true; ; first = false {
		welcomed, err := l.visit(ctx)
		if welcomed {
			pause, placeUntil, first = firstPause, time.Now().Add(placeIsKept), false
		}
		if errors.Is(err, errOver) || ctx.Err() != nil {
			return ctx.Err()
		}
		var refused *signaling.Error
		switch {
		case !errors.As(err, &refused):
			if first {
				return err
			}
		case refused.Code == signaling.CannotResume:
			l.forget()
			continue
		case refused.Code == signaling.RoomFull && time.Now().Before(placeUntil):
			// The place that is taken may still be our own.
		case refused.Code == signaling.ShuttingDown, refused.Code == signaling.RateLimited:
			l.forget()
		case refused.Code == signaling.Overloaded:
		default:
			return err
		}
		if !sleep(ctx, pause/2+rand.N(pause/2)) {
			return ctx.Err()
		}
		pause = min(2*pause, longestPause)
	}
}

// sleep waits, and returns false when ctx ends first.
func sleep(ctx context.Context, d time.Duration) bool {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
		return true
	case <-ctx.Done():
		return false
	}
}

// forget makes the peer one that the server does not know.
func (l *line) forget() {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.token = ""
}

// query says who we are, or which room we want to join.
func (l *line) query() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	query := l.address.Query()
	if l.token == "" {
		query.Set("room", l.room)
	} else {
		query.Set("resume", l.token)
		query.Set("seen", strconv.Itoa(l.seen))
	}
	return query.Encode()
}

// visit connects, and handles what the server says until the line ends. It tells
// whether the server has let us in, and why the line ended.
func (l *line) visit(ctx context.Context) (welcomed bool, err error) {
	conn, err := l.dial(ctx)
	if err != nil {
		return false, err
	}
	stop := context.AfterFunc(ctx, func() { conn.Close() })
	defer func() {
		stop()
		l.mu.Lock()
		l.conn = nil
		l.mu.Unlock()
		conn.Close()
	}()
	conn.SetReadLimit(maxServerBytes)
	conn.SetPingHandler(func(payload string) error {
		return errors.Join(conn.SetReadDeadline(time.Now().Add(lineSilence)),
			conn.WriteControl(websocket.PongMessage, []byte(payload), time.Now().Add(writePatience)))
	})
	for {
		if err := conn.SetReadDeadline(time.Now().Add(lineSilence)); err != nil {
			return welcomed, fmt.Errorf("reading from the signaling server: %w", err)
		}
		_, text, err := conn.ReadMessage()
		if err != nil {
			if websocket.IsCloseError(err, websocket.CloseNormalClosure) {
				return welcomed, errOver
			}
			return welcomed, fmt.Errorf("reading from the signaling server: %w", err)
		}
		var m message
		if err := json.Unmarshal(text, &m); err != nil {
			return welcomed, fmt.Errorf("reading a message of the signaling server: %w", err)
		}
		welcomed = welcomed || m.Type == "welcome" || m.Type == "resumed"
		if err := l.hear(conn, m); err != nil {
			return welcomed, err
		}
	}
}

func (l *line) dial(ctx context.Context) (*websocket.Conn, error) {
	ctx, cancel := context.WithTimeout(ctx, dialPatience)
	defer cancel()
	address := l.address
	address.RawQuery = l.query()
	dialer := websocket.Dialer{TLSClientConfig: l.tls, Proxy: http.ProxyFromEnvironment}
	conn, answer, err := dialer.DialContext(ctx, address.String(), nil)
	if err == nil {
		return conn, nil
	}
	if answer == nil {
		return nil, fmt.Errorf("connecting to the signaling server at %s: %w", l.address.Host, err)
	}
	switch answer.StatusCode {
	case http.StatusServiceUnavailable:
		return nil, &signaling.Error{Code: signaling.Overloaded, Text: "the server has as many connections as it may have"}
	case http.StatusForbidden:
		return nil, fmt.Errorf("connecting to the signaling server at %s: %w", l.address.Host, ErrNotInvited)
	}
	return nil, fmt.Errorf("connecting to the signaling server at %s: it answered %s, %w", l.address.Host, answer.Status, ErrNoSignaling)
}

// hear handles one message. Its error ends the line.
func (l *line) hear(conn *websocket.Conn, m message) error {
	l.mu.Lock()
	switch m.Type {
	case "welcome":
		l.conn, l.token, l.seen, l.sent, l.last = conn, m.Resume, 0, 0, nil
	case "resumed":
		l.conn, l.token = conn, m.Resume
		if err := l.sendAgain(l.sent - m.Seen); err != nil {
			l.mu.Unlock()
			return err
		}
	default:
		l.seen++
	}
	left := l.left
	l.mu.Unlock()
	if left { // while the line was not there
		l.leave()
		return nil
	}
	switch {
	case m.Type == "pong":
		return nil
	case m.Type == "error" && m.Code != signaling.NoSuchPeer: // that one has just left
		return fmt.Errorf("the signaling server refused the peer: %w", &signaling.Error{Code: m.Code, Text: m.Message})
	}
	l.deliver(m)
	return nil
}

// sendAgain sends the last n messages. The caller holds l.mu.
func (l *line) sendAgain(n int) error {
	if n < 0 || n > len(l.last) {
		return &signaling.Error{Code: signaling.CannotResume, Text: "more is missing than was kept"}
	}
	for _, text := range l.last[len(l.last)-n:] {
		l.write(text)
	}
	return nil
}

// send passes data to another peer. While there is no line it waits for the next one.
func (l *line) send(to string, data any) error {
	text, err := json.Marshal(map[string]any{"type": "signal", "to": to, "data": data})
	if err != nil {
		return fmt.Errorf("encoding a signal: %w", err)
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	l.sent++
	l.last = append(l.last, text)
	if len(l.last) > keptMessages {
		l.last = l.last[1:]
	}
	l.write(text)
	return nil
}

// write sends, if there is a line. One that takes nothing is broken: its reader finds
// out, and what was written is sent again on the next. The caller holds l.mu.
func (l *line) write(text []byte) {
	if l.conn == nil {
		return
	}
	if l.conn.SetWriteDeadline(time.Now().Add(writePatience)) != nil || l.conn.WriteMessage(websocket.TextMessage, text) != nil {
		l.conn.Close()
		l.conn = nil
	}
}

// leave says goodbye. The server closes the line then, which ends run.
func (l *line) leave() {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.left = true
	l.write([]byte(`{"type":"leave"}`))
}
