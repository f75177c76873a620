package socketio

import (
	"bufio"
	"context"
	"encoding/json"
	"net/http"
	"strings"
	"testing"
	"time"

	"rtcdev/devserver/signaling"
)

// Engine.IO's errors, by their codes.
func TestRefusals(t *testing.T) {
	s := start(t, signaling.Config{MaxMessage: 1000}, Config{MaxPayload: 2000}, false)
	tests := []struct {
		name, method, query, body string
		status                    int
		want                      string
	}{
		{"no version", "GET", "transport=polling", "", 400, `{"code":5,"message":"Unsupported protocol version"}`},
		{"old version", "GET", "EIO=2&transport=polling", "", 400, `{"code":5,`},
		{"no transport", "GET", "EIO=4", "", 400, `{"code":0,"message":"Transport unknown"}`},
		{"unknown transport", "GET", "EIO=4&transport=flashsocket", "", 400, `{"code":0,`},
		{"JSONP", "GET", "EIO=3&transport=polling&j=0", "", 400, `{"code":3,"message":"Bad request: JSONP`},
		{"unknown session", "GET", "EIO=4&transport=polling&sid=x", "", 400, `{"code":1,"message":"Session ID unknown"}`},
		{"unknown session, POST", "POST", "EIO=4&transport=polling&sid=x", "40", 400, `{"code":1,`},
		{"unknown session, WebSocket", "GET", "EIO=4&transport=websocket&sid=x", "", 400, `{"code":1,`},
		{"handshake by POST", "POST", "EIO=4&transport=polling", "40", 400, `{"code":2,"message":"Bad handshake method"}`},
		{"no WebSocket", "GET", "EIO=4&transport=websocket", "", 426, ``},
		{"other method", "PUT", "EIO=4&transport=polling&sid=SID", "40", 400, `{"code":3,`},
		{"other version", "GET", "EIO=3&transport=polling&sid=SID", "", 400, `{"code":3,`},
		{"empty body", "POST", "EIO=4&transport=polling&sid=SID", "", 400, `{"code":3,`},
		{"base64", "POST", "EIO=4&transport=polling&sid=SID", "bAAAA", 400, `{"code":3,"message":"Bad request: binary`},
		{"invalid UTF-8", "POST", "EIO=4&transport=polling&sid=SID", "42[\"\xff\"]", 400, `{"code":3,`},
		{"large message", "POST", "EIO=4&transport=polling&sid=SID", "40\x1e42[\"a\",\"" + strings.Repeat("x", 1000) + "\"]", 400, `{"code":3,"message":"Bad request: the message is larger`},
		{"large body", "POST", "EIO=4&transport=polling&sid=SID", strings.Repeat("2\x1e", 1001), 413, ``},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			sid := s.openPolling(4).sid
			status, body := s.do(tt.method, s.address(strings.Replace(tt.query, "SID", sid, 1)), tt.body, nil)
			if status != tt.status || !strings.HasPrefix(body, tt.want) {
				t.Errorf("got %d %s", status, body)
			}
		})
	}
	if status, _ := s.do("GET", strings.Replace(s.address("EIO=4&transport=polling"), "/?", "?", 1), "", nil); status != 200 {
		t.Errorf("without the last slash: %d", status)
	}
	foreign := http.Header{"Origin": {"https://elsewhere.example"}}
	if status, _ := s.do("GET", s.address("EIO=4&transport=polling"), "", foreign); status != 403 {
		t.Errorf("a foreign page got %d", status)
	}
	if status, _ := s.do("GET", s.url+Path+"other", "", nil); status != 404 {
		t.Errorf("another address got %d", status)
	}
	if status, body := s.do("POST", s.url+Path+"send", "x\x1e40", nil); status != 400 || !strings.Contains(body, `"code":1`) {
		t.Errorf("send without a session got %d %s", status, body)
	}
}

// A poll and a stream may wait for longer than the server lets other requests take.
func TestLongWait(t *testing.T) {
	for name, secure := range map[string]bool{"HTTP 1.1": false, "HTTP 2": true} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s := start(t, signaling.Config{}, Config{PingInterval: 1500 * time.Millisecond}, secure)
			resp, err := s.http.Client().Get(s.url + Path + "events")
			if err != nil {
				t.Fatal(err)
			}
			defer resp.Body.Close()
			stream := bufio.NewReader(resp.Body)
			opened, err := stream.ReadString('}')
			if err != nil {
				t.Fatal(err)
			}
			sid := strings.Split(opened, `"`)[3]
			s.do("POST", s.url+Path+"send", sid+"\x1e40", nil)
			p := s.openPolling(4)
			p.post("40")
			p.get()
			if got := p.get(); got != "2" {
				t.Errorf("the poll got %q", got)
			}
			for line := ""; line != "data: 2\n"; {
				if line, err = stream.ReadString('\n'); err != nil {
					t.Fatal(err)
				}
			}
		})
	}
}

// A second poll at once ends the session; the first is answered.
func TestTwoPolls(t *testing.T) {
	s := start(t, signaling.Config{}, Config{}, false)
	p := s.openPolling(4)
	first := make(chan string, 1)
	go func() { first <- p.get() }()
	s.awaitPoll(p.sid)
	if body := p.get(); !strings.Contains(body, `"code":3`) {
		t.Errorf("the second got %q", body)
	}
	if body := <-first; !strings.HasSuffix(body, "\x1e1") || !strings.Contains(body, "twice") {
		t.Errorf("the first got %q", body)
	}
	if body := p.get(); !strings.Contains(body, `"code":1`) {
		t.Errorf("then %q", body)
	}
}

// A page that goes away while it polls leaves its room at once.
func TestPollerGone(t *testing.T) {
	s := start(t, signaling.Config{}, Config{}, false)
	witness := s.dial(4)
	witness.send(`42["create or join","r"]`)
	witness.hears(`["created"`)
	p := s.openPolling(3)
	p.post(`24:42["create or join","r"]`)
	witness.hears(`["join"`, `["ready"`)
	if got := p.get(); !strings.Contains(got, `42["joined","r"`) {
		t.Fatalf("got %s", got)
	}
	ctx, cancel := context.WithCancel(context.Background())
	req, err := http.NewRequestWithContext(ctx, "GET", p.address(), nil)
	if err != nil {
		t.Fatal(err)
	}
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		if resp, err := http.DefaultClient.Do(req); err == nil {
			resp.Body.Close()
		}
	}()
	s.awaitPoll(p.sid)
	cancel()
	<-ended
	witness.hears(`["message","bye"]`, `["created"`, `["bye"`)
}

// One that does not poll again leaves when its time is over.
func TestPollerSilent(t *testing.T) {
	s := start(t, signaling.Config{}, Config{PingInterval: 300 * time.Millisecond, PingTimeout: 300 * time.Millisecond}, false)
	witness := s.dial(4)
	hears := func(want ...string) {
		for len(want) > 0 {
			switch got := witness.read(); {
			case got == "2":
				witness.send("3")
			case strings.HasPrefix(got, "42"+want[0]):
				want = want[1:]
			default:
				t.Fatalf("got %s, want %s", got, want[0])
			}
		}
	}
	witness.send(`42["create or join","r"]`)
	hears(`["created"`)
	for _, version := range []int{3, 4} {
		p := s.openPolling(version)
		p.post(map[int]string{3: `24:42["create or join","r"]`, 4: "40\x1e" + `42["create or join","r"]`}[version])
		hears(`["join"`, `["ready"`, `["message","bye"]`, `["created"`, `["bye"`)
	}
}

// What waits for a page that does not poll is bounded.
func TestPollerTooSlow(t *testing.T) {
	s := start(t, signaling.Config{MessageRate: 1000, ByteRate: 10 << 20}, Config{}, false)
	p := s.openPolling(4)
	p.post("40\x1e" + `42["create or join","r"]`)
	c := s.dial(4)
	c.send(`42["create or join","r"]`)
	c.hears(`["joined"`, `["ready"`)
	for range 2 * maxPendingBytes / 60_000 {
		c.send(`42["message","` + strings.Repeat("x", 60_000) + `"]`)
	}
	c.hears(`["message","bye"]`, `["created"`)
}

// The change from polling to a WebSocket keeps what waits, in order; what is not
// that change is refused, and the polling goes on.
func TestUpgrade(t *testing.T) {
	s := start(t, signaling.Config{}, Config{}, false)
	p := s.openPolling(4)
	p.post("40")
	p.get()
	query := "EIO=4&transport=websocket&sid=" + p.sid

	conn, _, err := s.dialRaw(query)
	if err != nil {
		t.Fatal(err)
	}
	(&client{t: t, conn: conn}).send("5") // a client that is sure of its WebSocket
	s.eventually("the first WebSocket has taken over", func() bool {
		session := s.door.find(p.sid)
		session.mu.Lock()
		defer session.mu.Unlock()
		return session.line != nil
	})
	if _, resp, err := s.dialRaw(query); err == nil || resp.StatusCode != 400 {
		t.Errorf("a second WebSocket: %v, %v", resp, err)
	}
	if status, body := p.post("3"); status != 400 || !strings.Contains(body, "WebSocket") {
		t.Errorf("POST after the change: %d %s", status, body)
	}

	p = s.openPolling(4)
	p.post("40")
	p.get()
	conn, _, err = s.dialRaw("EIO=4&transport=websocket&sid=" + p.sid)
	if err != nil {
		t.Fatal(err)
	}
	c := &client{t: t, conn: conn}
	poll := make(chan string, 1)
	go func() { poll <- p.get() }()
	s.awaitPoll(p.sid)
	c.send("2probe")
	if got := c.read(); got != "3probe" {
		t.Fatalf("got %s", got)
	}
	if got := <-poll; got != "6" {
		t.Errorf("the poll got %q", got)
	}
	p.post(`42["create or join","r"]`)
	c.send("5")
	c.hears(`["created","r"`)

	p = s.openPolling(4)
	conn, _, err = s.dialRaw("EIO=4&transport=websocket&sid=" + p.sid)
	if err != nil {
		t.Fatal(err)
	}
	c = &client{t: t, conn: conn}
	c.send("40")
	c.ends("begins with a probe", 4002)
	if status, _ := p.post("40"); status != 200 {
		t.Errorf("polling after a refused change: %d", status)
	}
}

// The door for our own script: packets as events, and POSTs that name the session
// in their body.
func TestEvents(t *testing.T) {
	for name, secure := range map[string]bool{"HTTP 1.1": false, "HTTP 2": true} {
		t.Run(name, func(t *testing.T) { testEvents(t, start(t, signaling.Config{}, Config{}, secure)) })
	}
}

func testEvents(t *testing.T, s *server) {
	resp, err := s.http.Client().Get(s.url + Path + "events")
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	lines := bufio.NewScanner(resp.Body)
	next := func() string {
		for lines.Scan() {
			if data, ok := strings.CutPrefix(lines.Text(), "data: "); ok && !strings.HasPrefix(data, `42["log"`) {
				return data
			}
		}
		t.Fatal(lines.Err())
		return ""
	}
	if want := s.http.TLS != nil; (resp.ProtoMajor == 2) != want {
		t.Errorf("the protocol is %s", resp.Proto)
	}
	var open struct{ SID string }
	if err := json.Unmarshal([]byte(next()[1:]), &open); err != nil {
		t.Fatal(err)
	}
	if status, body := s.do("POST", s.url+Path+"send", open.SID+"\x1e40\x1e"+`42["create or join","r"]`, nil); status != 204 {
		t.Fatalf("%d %s", status, body)
	}
	if got := next(); !strings.HasPrefix(got, "40{") {
		t.Errorf("got %s", got)
	}
	if got := next(); !strings.HasPrefix(got, `42["created","r"`) {
		t.Errorf("got %s", got)
	}
	c := s.dial(4)
	c.send(`42["create or join","r"]`)
	c.hears(`["joined"`)
	next() // join
	next() // ready
	c.send("42[\"message\",\n[1,\r\n2]]")
	if got := next(); got != `42["message",[1,` { // the rest is the event's next line
		t.Errorf("got %s", got)
	}
	resp.Body.Close()
	c.hears(`["ready"`, `["message","bye"]`)
}
