package peerjs

import (
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/gorilla/websocket"

	"rtcdev/devserver/signaling"
)

// served is a door on a port.
type served struct {
	hub     *signaling.Hub
	door    *Door
	address string // http://host:port
}

// serveDoor serves a door until the test ends, and checks that nobody is left then.
func serveDoor(t *testing.T, cfg Config) served { return serveDoorAt(t, cfg, signaling.Config{}) }

func serveDoorAt(t *testing.T, cfg Config, hubConfig signaling.Config) served {
	t.Helper()
	s := served{hub: signaling.New(hubConfig)}
	s.door = New(s.hub, cfg)
	server := httptest.NewServer(s.door)
	s.address = server.URL
	t.Cleanup(func() {
		ctx, cancel := context.WithTimeout(context.Background(), testPatience)
		defer cancel()
		if err := s.hub.Shutdown(ctx); err != nil {
			t.Error(err)
		}
		server.Close()
		http.DefaultTransport.(*http.Transport).CloseIdleConnections()
		if stats := s.hub.Stats(); stats != (signaling.Stats{}) || len(s.door.board.here) != 0 {
			t.Errorf("left: %+v, %v", stats, s.door.board.here)
		}
	})
	return s
}

func (s served) open(t *testing.T, name, query string) *page {
	t.Helper()
	return openPage(t, name, s.address+"/peerjs", query)
}

// enter opens a page that gets its OPEN.
func (s served) enter(t *testing.T, id string) *page {
	t.Helper()
	p := s.open(t, id, "key=peerjs&token=t&id="+id)
	p.want(`{"type":"OPEN"}`)
	return p
}

// What is relayed is the sender's bytes, be they as odd as they like.
func TestPayloadIsUntouched(t *testing.T) {
	s := serveDoor(t, Config{})
	a, b := s.enter(t, "a"), s.enter(t, "b")
	for _, payload := range []string{
		`{"z":1,"a":{"sdp":"v=0\r\n\u0061"},"a":2}`, `1.0e+0`, `"\ud800<>&"`, `{ "spaced" : [ ] }`, `12345678901234567890`, `"é\u2028"`, strings.Repeat("[", 5000) + strings.Repeat("]", 5000),
	} {
		a.send(`{"payload":` + payload + ` , "type":"OFFER","src":"forged","dst":"\u0062"}`)
		b.want(`{"type":"OFFER","src":"a","dst":"\u0062","payload":` + payload + `}`)
	}
}

// Whoever has the token has the place: the new line is opened, the old one ends.
func TestTakeover(t *testing.T) {
	s := serveDoor(t, Config{Discovery: true})
	other, old := s.enter(t, "other"), s.enter(t, "a")
	for range 3 {
		again := s.enter(t, "a")
		old.wantEnd(`{"type":"ERROR","payload":{"msg":"`, 4005)
		other.send(`{"type":"OFFER","dst":"a","payload":1}`)
		again.want(`{"type":"OFFER","src":"other","dst":"a","payload":1}`)
		again.send(`{"type":"ANSWER","dst":"other","payload":2}`)
		other.want(`{"type":"ANSWER","src":"a","dst":"other","payload":2}`)
		old = again
	}
	if _, list := get(t, s.address+"/peerjs/peers"); list != "[\"a\",\"other\"]\n" {
		t.Errorf("who is there: %s", list)
	}
	thief := s.open(t, "thief", "key=peerjs&id=a&token=guessed")
	thief.wantEnd(`{"type":"ID-TAKEN","payload":{"msg":"ID is taken"}}`, 4009)
	other.send(`{"type":"OFFER","dst":"a","payload":3}`)
	old.want(`{"type":"OFFER","src":"other","dst":"a","payload":3}`)
}

// Of many that want an id at the same moment one gets it.
func TestIDRace(t *testing.T) {
	s := serveDoor(t, Config{})
	for round := range 20 {
		var wg sync.WaitGroup
		frames := make([]string, 8)
		for i := range frames {
			p := s.open(t, fmt.Sprint(i), fmt.Sprintf("key=peerjs&id=wanted%d&token=%d", round, i))
			wg.Go(func() { frames[i], _ = p.read() })
		}
		wg.Wait()
		all := strings.Join(frames, "\n")
		if strings.Count(all, `"OPEN"`) != 1 || strings.Count(all, `"ID-TAKEN"`) != len(frames)-1 {
			t.Fatalf("they got\n%s", all)
		}
	}
}

// A page that reconnects again and again, faster than the server sees it go, always
// ends up with its place, and with one.
func TestReconnectStorm(t *testing.T) {
	s := serveDoor(t, Config{Discovery: true})
	watcher := s.enter(t, "watcher")
	var wg sync.WaitGroup
	for range 4 {
		wg.Go(func() {
			for range 25 {
				p := s.open(t, "a", "key=peerjs&id=a&token=t")
				if frame, err := p.read(); err != nil || frame != `{"type":"OPEN"}` {
					t.Errorf("got %s, %v", frame, err)
				}
				p.conn.Close()
			}
		})
	}
	wg.Wait()
	last := s.enter(t, "a")
	watcher.send(`{"type":"OFFER","dst":"a"}`)
	last.want(`{"type":"OFFER","src":"watcher","dst":"a"}`)
	if _, list := get(t, s.address+"/peerjs/peers"); list != "[\"a\",\"watcher\"]\n" {
		t.Errorf("who is there: %s", list)
	}
}

// Messages to one who is just coming are neither lost nor do they overtake each
// other, whichever of them still waited.
func TestArrivalLosesNothing(t *testing.T) {
	s := serveDoorAt(t, Config{}, signaling.Config{MessageRate: 100_000})
	a := s.enter(t, "a")
	const total = 150
	for round := range 15 {
		id := fmt.Sprint("late", round)
		sent := make(chan struct{})
		go func() {
			defer close(sent)
			for n := range total {
				a.send(fmt.Sprintf(`{"type":"CANDIDATE","dst":"%s","payload":%d}`, id, n))
			}
		}()
		late := s.enter(t, id)
		for n := range total {
			late.want(fmt.Sprintf(`{"type":"CANDIDATE","src":"a","dst":"%s","payload":%d}`, id, n))
		}
		<-sent
		late.drop()
	}
	wantEmpty(t, s.door.board)
}

// Keys are apart.
func TestKeysDoNotMeet(t *testing.T) {
	s := serveDoor(t, Config{Discovery: true})
	one := openPage(t, "one", s.address+"/peerjs/peerjs", "key=one&id=a&token=1")
	one.want(`{"type":"OPEN"}`)
	two := openPage(t, "two", s.address+"/peerjs/peerjs", "key=two&id=a&token=2")
	two.want(`{"type":"OPEN"}`)
	two.send(`{"type":"OFFER","dst":"a","payload":"mine"}`)
	two.want(`{"type":"OFFER","src":"a","dst":"a","payload":"mine"}`)
	if got := one.received(); len(got) != 0 {
		t.Errorf("the other key's page got %q", got)
	}
	if _, list := get(t, s.address+"/peerjs/one/peers"); list != "[\"a\"]\n" {
		t.Errorf("who is there: %s", list)
	}
	if _, list := get(t, s.address+"/peerjs/peers"); list != "[]\n" {
		t.Errorf("who is there: %s", list)
	}
	var metrics strings.Builder
	if err := s.hub.WriteMetrics(&metrics); err != nil {
		t.Fatal(err)
	}
	for _, counted := range []string{`rtcdev_connections{door="peerjs"} 2`, `rtcdev_peers{door="peerjs"} 2`} {
		if !strings.Contains(metrics.String(), counted+"\n") {
			t.Errorf("no %s in\n%s", counted, &metrics)
		}
	}
}

// What breaks the rules is told why, and closed; who was talking to it is not harmed.
func TestMisbehaviour(t *testing.T) {
	s := serveDoorAt(t, Config{Peers: 3}, signaling.Config{MaxMessage: 1000, MessageRate: 10})
	for name, c := range map[string]struct {
		frame string
		code  int
	}{
		"not JSON":   {"hello", 4002},
		"no object":  {`[1]`, 4002},
		"deep":       {`{"type":"OFFER","dst":"b","payload":` + strings.Repeat("[", 900) + `}`, 4002},
		"too large":  {`{"type":"OFFER","dst":"b","payload":"` + strings.Repeat("x", 1000) + `"}`, 1009},
		"not UTF-8":  {"{\"type\":\"OFFER\",\"dst\":\"b\",\"payload\":\"\xff\"}", 4002},
		"never ends": {`{"type":"HEARTBEAT"`, 4002},
	} {
		t.Run(name, func(t *testing.T) {
			a, b := s.enter(t, "a"), s.enter(t, "b")
			a.send(c.frame)
			a.wantEnd(`{"type":"ERROR","payload":{"msg":"`, c.code)
			if got := b.received(); len(got) != 0 {
				t.Errorf("the other one got %q", got)
			}
			b.drop()
			eventually(t, "they are gone", func() bool { return s.hub.Stats().Peers == 0 })
		})
	}
	t.Run("flood", func(t *testing.T) {
		a := s.enter(t, "a")
		for range 60 {
			_ = a.conn.WriteMessage(websocket.TextMessage, []byte(`{"type":"HEARTBEAT"}`))
		}
		a.wantEnd(`{"type":"ERROR","payload":{"msg":"`, 4006)
	})
	t.Run("too many", func(t *testing.T) {
		s.enter(t, "a")
		s.enter(t, "b")
		s.enter(t, "c")
		s.open(t, "d", "key=peerjs&id=d&token=t").wantEnd(`{"type":"ERROR","payload":{"msg":"`, 4001)
	})
	for name, query := range map[string]string{
		"bad id":   "key=peerjs&token=t&id=a/b",
		"long id":  "key=peerjs&token=t&id=" + strings.Repeat("a", maxID+1),
		"bad key":  "key=a%00b&token=t&id=a",
		"long key": "token=t&id=a&key=" + strings.Repeat("k", 65),
		"no token": "key=peerjs&id=a",
	} {
		t.Run(name, func(t *testing.T) {
			s.open(t, "a", query).wantEnd(`{"type":"ERROR","payload":{"msg":"`, 4002)
		})
	}
}

// Without Discovery nobody learns who is there; other sites learn nothing at all.
func TestPlainAnswers(t *testing.T) {
	s := serveDoorAt(t, Config{}, signaling.Config{AllowOrigins: []string{"https://friend.example"}})
	for _, c := range []struct{ method, path, origin, allowed string }{
		{"GET", "/peerjs/id", "", ""},
		{"GET", "/peerjs/id", "https://friend.example", "https://friend.example"},
		{"GET", "/peerjs/id", "https://stranger.example", ""},
		{"GET", "/peerjs/peerjs/id", "https://friend.example", "https://friend.example"},
	} {
		req := httptest.NewRequest(c.method, c.path, nil)
		if c.origin != "" {
			req.Header.Set("Origin", c.origin)
		}
		w := httptest.NewRecorder()
		s.door.ServeHTTP(w, req)
		if got := w.Header().Get("Access-Control-Allow-Origin"); got != c.allowed {
			t.Errorf("%s from %q: allowed for %q", c.path, c.origin, got)
		}
	}
	if status, _ := get(t, s.address+"/peerjs/peers"); status != http.StatusUnauthorized {
		t.Errorf("the list of peers: %d", status)
	}
	_, one := get(t, s.address+"/peerjs/id")
	_, two := get(t, s.address+"/peerjs/id")
	if one == two || checkID(one) != nil || len(one) < 20 {
		t.Errorf("ids %q and %q", one, two)
	}
	_, about := get(t, s.address+"/peerjs/")
	var who map[string]string
	if err := json.Unmarshal([]byte(about), &who); err != nil || who["name"] == "" {
		t.Errorf("about: %s, %v", about, err)
	}
	resp, err := http.Post(s.address+"/peerjs/id", "text/plain", nil)
	if err != nil {
		t.Fatal(err)
	}
	resp.Body.Close()
	if resp.StatusCode != http.StatusMethodNotAllowed {
		t.Errorf("POST: %s", resp.Status)
	}
}

// A page on another site is not let in.
func TestForeignOrigin(t *testing.T) {
	s := serveDoor(t, Config{})
	_, resp, err := websocket.DefaultDialer.Dial("ws"+strings.TrimPrefix(s.address, "http")+"/peerjs?key=peerjs&id=a&token=t",
		http.Header{"Origin": {"https://stranger.example"}})
	if err == nil || resp == nil || resp.StatusCode != http.StatusForbidden {
		t.Errorf("%v, %v", resp, err)
	}
}

func TestShutdown(t *testing.T) {
	s := serveDoor(t, Config{})
	a := s.enter(t, "a")
	a.send(`{"type":"OFFER","dst":"nobody","payload":1}`)
	ctx, cancel := context.WithTimeout(context.Background(), testPatience)
	defer cancel()
	done := make(chan error, 1)
	go func() { done <- s.hub.Shutdown(ctx) }()
	if frame, err := a.read(); !websocket.IsCloseError(err, 1001) {
		t.Errorf("got %s, %v", frame, err)
	}
	a.conn.Close()
	if err := <-done; err != nil {
		t.Error(err)
	}
}

// One who does not read is closed; who sent to it goes on, and may see it come back.
func TestSlowReader(t *testing.T) {
	s := serveDoorAt(t, Config{}, signaling.Config{MessageRate: 100_000, ByteRate: 1 << 30, WriteTimeout: time.Second})
	a, slow := s.enter(t, "a"), s.enter(t, "slow")
	payload := strings.Repeat("x", 30_000)
	eventually(t, "the slow one is out", func() bool {
		for range 50 {
			a.send(`{"type":"CANDIDATE","dst":"slow","payload":"` + payload + `"}`)
		}
		return s.door.board.holder(place{"peerjs", "slow"}) == nil
	})
	a.received() // all it has sent is handed over, or waits
	slow.conn.Close()
	again := s.enter(t, "slow")
	again.received()
	a.send(`{"type":"OFFER","dst":"slow","payload":1}`)
	again.want(`{"type":"OFFER","src":"a","dst":"slow","payload":1}`)
}

// A page that has gone before it was let in is not let in any more, and one that is
// out speaks for nobody.
func TestGoneBeforeItCame(t *testing.T) {
	s := serveDoor(t, Config{})
	c, heard := newEar("a")
	c.door, c.ready = s.door, make(chan struct{})
	close(c.ready)
	s.door.leave(c)
	if refusal := s.door.join(c, "192.0.2.1:5"); refusal != nil || s.door.board.holder(c.place) != nil {
		t.Errorf("refused: %v; who holds its id: %v", refusal, s.door.board.holder(c.place))
	}
	for _, frame := range []string{"rubbish", `{"type":"OFFER","dst":"a"}`, `{"type":"OFFER","dst":"b"}`, `{"type":"LEAVE"}`} {
		if err := c.Message([]byte(frame)); err != nil {
			t.Errorf("%s: %v", frame, err)
		}
	}
	wantHeard(t, heard)
}

// A page whose line the hub ends can be back before that is over.
func TestBackWhileBeingStopped(t *testing.T) {
	s := serveDoor(t, Config{})
	a, slow := s.enter(t, "a"), s.enter(t, "slow")
	s.door.board.holder(place{"peerjs", "slow"}).Stop(&signaling.Error{Code: signaling.TooSlow})
	again := s.enter(t, "slow")
	a.send(`{"type":"OFFER","dst":"slow","payload":1}`)
	again.want(`{"type":"OFFER","src":"a","dst":"slow","payload":1}`)
	if _, err := slow.read(); !websocket.IsCloseError(err, 4003) {
		t.Errorf("the old line ends with %v", err)
	}
}
