package socketio

import (
	"crypto/tls"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"strings"
	"testing"
	"time"

	"github.com/gorilla/websocket"
)

// client is an Engine.IO client on a WebSocket.
type client struct {
	t    *testing.T
	conn *websocket.Conn
	sid  string
}

func (s *server) address(query string) string { return s.url + Path + "?" + query }

func (s *server) dialRaw(query string) (*websocket.Conn, *http.Response, error) {
	dialer := *websocket.DefaultDialer
	if transport, ok := s.http.Client().Transport.(*http.Transport); ok && s.http.TLS != nil {
		dialer.TLSClientConfig = &tls.Config{RootCAs: transport.TLSClientConfig.RootCAs}
	}
	conn, resp, err := dialer.Dial("ws"+strings.TrimPrefix(s.address(query), "http"), nil)
	if err == nil {
		s.t.Cleanup(func() { conn.Close() })
	}
	return conn, resp, err
}

// dial connects a client of the Engine.IO version to the default namespace.
func (s *server) dial(version int) *client {
	s.t.Helper()
	conn, _, err := s.dialRaw(fmt.Sprintf("EIO=%d&transport=websocket", version))
	if err != nil {
		s.t.Fatal(err)
	}
	c := &client{t: s.t, conn: conn}
	var open struct{ SID string }
	if err := json.Unmarshal([]byte(c.read()[1:]), &open); err != nil {
		s.t.Fatal(err)
	}
	c.sid = open.SID
	if version == 4 {
		c.send("40")
	}
	if got := c.read(); !strings.HasPrefix(got, "40") {
		s.t.Fatalf("connect: %s", got)
	}
	return c
}

func (c *client) send(packet string) {
	c.t.Helper()
	if err := c.conn.WriteMessage(websocket.TextMessage, []byte(packet)); err != nil {
		c.t.Error(err)
	}
}

// read returns the next packet, but for what is only for the console.
func (c *client) read() string {
	c.t.Helper()
	for {
		c.conn.SetReadDeadline(time.Now().Add(patience))
		_, text, err := c.conn.ReadMessage()
		if err != nil {
			c.t.Fatal(err)
		}
		if !strings.HasPrefix(string(text), `42["log"`) {
			return string(text)
		}
	}
}

// hears expects events: each a prefix, as ids differ.
func (c *client) hears(want ...string) {
	c.t.Helper()
	for _, w := range want {
		if got := c.read(); !strings.HasPrefix(got, "42"+w) {
			c.t.Fatalf("got %s, want %s", got, w)
		}
	}
}

// acknowledged expects the acknowledgement id.
func (c *client) acknowledged(id string) {
	c.t.Helper()
	if got := c.read(); got != "43"+id+"[]" {
		c.t.Fatalf("got %s, want the acknowledgement %s", got, id)
	}
}

// ends expects last words with text, and the close code.
func (c *client) ends(text string, code int) {
	c.t.Helper()
	said := ""
	for {
		c.conn.SetReadDeadline(time.Now().Add(patience))
		_, b, err := c.conn.ReadMessage()
		if err != nil {
			if !websocket.IsCloseError(err, code) || !strings.Contains(said, text) {
				c.t.Errorf("after %q: %v; want %q and %d", said, err, text, code)
			}
			return
		}
		said = string(b)
	}
}

// pair is two clients in a room.
func (s *server) pair(room string) (first, second *client) {
	s.t.Helper()
	first, second = s.dial(4), s.dial(3)
	first.send(`42["create or join","` + room + `"]`)
	first.hears(`["created","` + room + `",`)
	second.send(`42["create or join","` + room + `"]`)
	second.hears(`["joined","`+room+`",`, `["ready"`)
	first.hears(`["join"`, `["ready"`)
	return first, second
}

func (s *server) do(method, address, body string, header http.Header) (int, string) {
	s.t.Helper()
	req, err := http.NewRequest(method, address, strings.NewReader(body))
	if err != nil {
		s.t.Fatal(err)
	}
	for k, v := range header {
		req.Header[k] = v
	}
	resp, err := s.http.Client().Do(req)
	if err != nil {
		s.t.Fatal(err)
	}
	defer resp.Body.Close()
	b, err := io.ReadAll(resp.Body)
	if err != nil {
		s.t.Fatal(err)
	}
	return resp.StatusCode, string(b)
}

func escape(s string) string { return url.QueryEscape(s) }

// poller is an Engine.IO client that polls.
type poller struct {
	s       *server
	version int
	sid     string
}

func (s *server) openPolling(version int) *poller {
	s.t.Helper()
	p := &poller{s: s, version: version}
	_, body := s.do("GET", s.address(fmt.Sprintf("EIO=%d&transport=polling", version)), "", nil)
	var open struct {
		SID        string
		Upgrades   []string
		MaxPayload int
	}
	if err := json.Unmarshal([]byte(body[strings.IndexByte(body, '{'):strings.IndexByte(body, '}')+1]), &open); err != nil {
		s.t.Fatalf("%s: %v", body, err)
	}
	if len(open.Upgrades) != 1 || (open.MaxPayload > 0) != (version == 4) {
		s.t.Errorf("open packet %s", body)
	}
	p.sid = open.SID
	return p
}

func (p *poller) address() string {
	return p.s.address(fmt.Sprintf("EIO=%d&transport=polling&sid=%s", p.version, escape(p.sid)))
}

func (p *poller) get() string {
	_, body := p.s.do("GET", p.address(), "", nil)
	return body
}

func (p *poller) post(body string) (int, string) { return p.s.do("POST", p.address(), body, nil) }

// awaitPoll waits until a poll of the session waits.
func (s *server) awaitPoll(sid string) {
	s.eventually("a poll waits", func() bool {
		session := s.door.find(sid)
		if session == nil {
			return false
		}
		session.mu.Lock()
		defer session.mu.Unlock()
		return session.reading
	})
}

func (s *server) eventually(what string, is func() bool) {
	s.t.Helper()
	deadline := time.Now().Add(patience)
	for !is() {
		if time.Now().After(deadline) {
			s.t.Fatalf("not in time: %s", what)
		}
		time.Sleep(time.Millisecond)
	}
}
