package devserver

import (
	"context"
	"crypto/tls"
	"encoding/json"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/gorilla/websocket"

	"rtcdev/devserver/relay"
)

// Who meets what: all, those in a room, or one peer on both of its ways.
func TestPaths(t *testing.T) {
	all, room, own := relay.Impairment{Loss: 0.1}, relay.Impairment{Loss: 0.2}, relay.Impairment{Loss: 0.3}
	r := rules{
		all: all, rooms: map[string]relay.Impairment{"bad": room}, peers: map[string]relay.Impairment{"p1": own},
		members: map[string]member{
			"p1": {room: "bad", session: "one"}, "p2": {room: "bad", session: "two"}, "p3": {room: "good", session: "three"},
			"p4": {room: "bad", host: "10.0.0.4"}, "p5": {room: "good", session: "one"},
		},
	}
	for session, want := range map[string]relay.Path{
		"one.p1":            {Up: own, Down: own},
		"two.p2":            {Up: room},
		"three.p3":          {Up: all},
		"one.p5":            {Up: all},
		"one.@127.0.0.1":    {Up: own, Down: own}, // a page in the browser of p1 and p5
		"two.@127.0.0.1":    {Up: room},
		"three.@10.0.0.4":   {Up: all},
		"unknown.@10.0.0.4": {Up: room}, // by its address
		"unknown.@10.0.0.5": {Up: all},
		"unknown.p9":        {Up: all},
		"":                  {Up: all},
	} {
		if got := r.path(session); got != want {
			t.Errorf("%s: %+v, want %+v", session, got, want)
		}
	}
}

func (r *running) post(path, text string, header ...string) (status int, answer string) {
	r.t.Helper()
	request, err := http.NewRequest("POST", r.url(path), strings.NewReader(text))
	if err != nil {
		r.t.Fatal(err)
	}
	for i := 0; i < len(header); i += 2 {
		request.Header.Set(header[i], header[i+1])
	}
	resp, err := r.client.Do(request)
	if err != nil {
		r.t.Fatal(err)
	}
	defer resp.Body.Close()
	return resp.StatusCode, body(resp)
}

// url is an address of the server's by which its certificate is good.
func (r *running) url(path string) string {
	return strings.TrimSuffix(strings.Replace(r.ready.URL, "localhost", "127.0.0.1", 1), "/") + path
}

// next waits for an event of a kind.
func nextEvent[E Event](r *running) (e E) {
	r.t.Helper()
	for late := time.After(patient); ; {
		select {
		case got := <-r.events:
			if e, ok := got.(E); ok {
				return e
			}
		case <-late:
			r.t.Fatalf("no %T came", e)
		}
	}
}

// welcome joins a room, and returns what the peer is told first, until the test ends.
func (r *running) welcome(room string) (told struct {
	ID string
	rtcConfiguration
}) {
	r.t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), patient)
	defer cancel()
	roots := r.client.Transport.(*http.Transport).TLSClientConfig.RootCAs
	d := websocket.Dialer{TLSClientConfig: &tls.Config{RootCAs: roots}}
	conn, resp, err := d.DialContext(ctx, "wss"+strings.TrimPrefix(r.url("/_rtcdev/signal?room="+room), "https"), nil)
	if err != nil {
		r.t.Fatal(err)
	}
	resp.Body.Close()
	r.t.Cleanup(func() { conn.Close() })
	if err := conn.ReadJSON(&told); err != nil {
		r.t.Fatal(err)
	}
	return told
}

func TestImpairRequests(t *testing.T) {
	r := run(t, nil)
	peer := r.welcome("lobby").ID
	type networks struct {
		All   string
		Rooms map[string]string
		Peers map[string]string
	}
	for _, step := range []struct {
		query, spec string
		want        Impaired
	}{
		{"", "loss=5%,delay=100ms", Impaired{Network: "loss=5%,delay=100ms", Reload: true}},
		{"?room=lobby", " 3g\n", Impaired{Room: "lobby", Network: "loss=1%,delay=100ms,jitter=20ms,rate=1600kbps", Name: "3g"}},
		{"?peer=" + peer[:minPrefix] + "…", "loss=50%", Impaired{Peer: peer, Network: "loss=50%"}},
		{"", "off", Impaired{Network: "off"}},
	} {
		status, answer := r.post("/_rtcdev/impair"+step.query, step.spec)
		if status != http.StatusOK {
			t.Fatalf("%s %q: %d %s", step.query, step.spec, status, answer)
		}
		got := nextEvent[Impaired](r)
		step.want.Event, step.want.Time = "impaired", got.Time
		if got != step.want {
			t.Errorf("%+v, want %+v", got, step.want)
		}
	}
	var now networks
	if err := json.Unmarshal([]byte(r.read("/_rtcdev/impair")), &now); err != nil {
		t.Fatal(err)
	}
	if now.All != "off" || now.Rooms["lobby"] == "" || now.Peers[peer] != "loss=50%" {
		t.Errorf("the networks are %+v", now)
	}
	for _, bad := range []struct{ query, spec, want string }{
		{"", "loss=5", "loss=5 is not understood"},
		{"", "loss=101%", "from 0% to 100%"},
		{"", strings.Repeat("x", 5000), "too long"},
		{"?peer=p", "off", "Nobody here is called"},
		{"?peer=" + peer[:minPrefix] + "~", "off", "Nobody here is called"},
		{"?peer=" + peer + "&room=lobby", "off", "not both"},
		{"?peer=", "lift", "is empty"},
		{"?room=", "lift", "is empty"},
		{"?rom=lobby", "lift", "?room=NAME and ?peer=ID only"},
		{"", " ", "says no network"},
	} {
		if status, answer := r.post("/_rtcdev/impair"+bad.query, bad.spec); status != http.StatusBadRequest || !strings.Contains(answer, bad.want) {
			t.Errorf("%s %.20q: %d %s", bad.query, bad.spec, status, answer)
		}
	}
	if status, _ := r.post("/_rtcdev/impair", "off", "X-Forwarded-For", "192.0.2.1"); status != http.StatusForbidden {
		t.Errorf("what a proxy on this machine passes on gets %d", status)
	}
	if status, _ := r.post("/_rtcdev/impair", "off", "Origin", "https://evil.example"); status != http.StatusForbidden {
		t.Errorf("another site's page gets %d", status)
	}
	if status, _ := r.post("/_rtcdev/impair", "off", "Origin", strings.TrimSuffix(r.url(""), "/")); status != http.StatusOK {
		t.Errorf("a page of this server gets %d", status)
	}
}

// A rule for a peer goes with it, as its id never comes again; so does what the relay was
// told of it.
func TestPeersNetworkGoesWithIt(t *testing.T) {
	server, err := relay.New(relay.Config{})
	if err != nil {
		t.Fatal(err)
	}
	defer server.Close()
	b := &badNetwork{relay: server, rules: rules{
		peers: map[string]relay.Impairment{"p1": {Loss: 1}}, members: map[string]member{"p1": {room: "r"}},
	}}
	if err := b.apply(); err != nil {
		t.Fatal(err)
	}
	b.heard(PeerChange{Event: "peer-left", Peer: "p1"})
	if b.rules.any() || len(b.rules.members) > 0 || b.applied {
		t.Errorf("left is %+v", b.rules)
	}
}

func TestImpairIsForThisMachine(t *testing.T) {
	b := &badNetwork{}
	for addr, want := range map[string]int{"127.0.0.1:5": 200, "[::1]:5": 200, "192.168.0.5:5": 403, "[::ffff:127.0.0.1]:5": 200} {
		h := http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			r.RemoteAddr = addr
			b.serve(w, r)
		})
		if got := get(h, "GET", "/_rtcdev/impair").StatusCode; got != want {
			t.Errorf("%s gets %d, want %d", addr, got, want)
		}
	}
}

func TestImpairWithoutRelay(t *testing.T) {
	r := run(t, func(c *Config) { c.NoTURN = true })
	if status, answer := r.post("/_rtcdev/impair", "3g"); status != http.StatusBadRequest || !strings.Contains(answer, "--no-turn") {
		t.Errorf("%d %s", status, answer)
	}
	r.welcome("lobby") // notes nothing
}

// With a key, each press leads to the next network, and back to a good one.
func TestNextNetwork(t *testing.T) {
	control := &Control{}
	if err := control.NextNetwork(); err == nil {
		t.Error("there is no server yet")
	}
	r := run(t, func(c *Config) { c.Control, c.Impair = control, "off" })
	seen := make(map[string]bool)
	for range len(relay.Presets()) + 1 {
		if err := control.NextNetwork(); err != nil {
			t.Fatal(err)
		}
		e := nextEvent[Impaired](r)
		if e.Reload {
			t.Error("the pages are prepared, and are to be loaded again")
		}
		seen[e.Network] = true
	}
	if len(seen) != len(relay.Presets())+1 || !seen["off"] {
		t.Errorf("the networks were %v", seen)
	}
}
