package peerjs

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"strings"
	"testing"
	"time"

	"github.com/gorilla/websocket"
)

// patience of a test for something that must happen.
const testPatience = 20 * time.Second

// page is a PeerJS client's line, as the npm package would have it.
type page struct {
	t     *testing.T
	name  string
	id    string
	conn  *websocket.Conn
	count int  // of barriers
	over  bool // its line has ended
}

// openPage connects to the socket address with the query, ID as its id, and reads
// nothing yet.
func openPage(t *testing.T, name, address, query string) *page {
	t.Helper()
	values, err := url.ParseQuery(query)
	if err != nil {
		t.Fatal(err)
	}
	base, _, _ := strings.Cut(strings.TrimPrefix(address, "http://"), "/")
	dialer := websocket.Dialer{HandshakeTimeout: testPatience}
	conn, resp, err := dialer.Dial("ws"+strings.TrimPrefix(address, "http")+"?"+values.Encode(),
		http.Header{"Origin": {"http://" + base}})
	if err != nil {
		t.Fatalf("connecting %s: %v, %v", name, err, resp)
	}
	t.Cleanup(func() { conn.Close() })
	return &page{t: t, name: name, id: values.Get("id"), conn: conn}
}

func (p *page) send(frame string) {
	p.t.Helper()
	if err := p.conn.WriteMessage(websocket.TextMessage, []byte(frame)); err != nil {
		p.t.Fatalf("%s sending: %v", p.name, err)
	}
}

// read returns the next frame, or the error that ended the line.
func (p *page) read() (string, error) {
	p.t.Helper()
	p.conn.SetReadDeadline(time.Now().Add(testPatience))
	kind, frame, err := p.conn.ReadMessage()
	var closed *websocket.CloseError
	switch {
	case errors.As(err, &closed):
		p.over = true
		return "", err
	case err != nil:
		p.t.Fatalf("%s waiting for a frame: %v", p.name, err)
	case kind != websocket.TextMessage:
		p.t.Fatalf("%s got a frame that is not text", p.name)
	}
	return string(frame), nil
}

// want reads one frame and compares it.
func (p *page) want(frame string) {
	p.t.Helper()
	if got, err := p.read(); err != nil || got != frame {
		p.t.Fatalf("%s got %.300s, %v; want %s", p.name, got, err, frame)
	}
}

// wantEnd reads one frame, which begins so, and then the close frame with code.
func (p *page) wantEnd(frame string, code int) {
	p.t.Helper()
	got, err := p.read()
	if err != nil || !strings.HasPrefix(got, frame) {
		p.t.Fatalf("%s got %.300s, %v; want %s", p.name, got, err, frame)
	}
	if got, err := p.read(); !websocket.IsCloseError(err, code) {
		p.t.Fatalf("%s got %.300s, %v; want to be closed with %d", p.name, got, err, code)
	}
}

// received reads all that was sent to the page before now: it sends itself a
// message and reads until that comes back.
func (p *page) received() (frames []string) {
	p.t.Helper()
	p.count++
	barrier := fmt.Sprintf(`"barrier %d"`, p.count)
	_ = p.conn.WriteMessage(websocket.TextMessage, []byte(`{"type":"CANDIDATE","dst":"`+p.id+`","payload":`+barrier+`}`)) // the server may have closed
	for {
		frame, err := p.read()
		if err != nil || strings.Contains(frame, barrier) {
			return frames
		}
		frames = append(frames, frame)
	}
}

// drop closes the line as a page does that is left.
func (p *page) drop() {
	p.t.Helper()
	p.over = true
	_ = p.conn.WriteControl(websocket.CloseMessage, websocket.FormatCloseMessage(1001, ""), time.Now().Add(testPatience))
	for _, err := p.read(); err == nil; _, err = p.read() {
	}
	p.conn.Close()
}

// canonical is a frame's JSON in a form that can be compared: as encoding/json
// sorts it, without the wording of errors.
func canonical(t *testing.T, frame string) string {
	t.Helper()
	var m map[string]any
	if err := json.Unmarshal([]byte(frame), &m); err != nil {
		t.Fatalf("%s: %v", frame, err)
	}
	if payload, ok := m["payload"].(map[string]any); ok && m["type"] == typeError && payload["msg"] != "" {
		payload["msg"] = "…"
	}
	var b bytes.Buffer
	e := json.NewEncoder(&b)
	e.SetEscapeHTML(false)
	if err := e.Encode(m); err != nil {
		t.Fatal(err)
	}
	return strings.TrimSpace(b.String())
}
