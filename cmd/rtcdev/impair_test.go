//go:build unix

package main

import (
	"encoding/json"
	"fmt"
	"io"
	"math"
	"net/http"
	"os"
	"strings"
	"testing"

	"github.com/chromedp/chromedp"
)

// labFolder is a folder with a page for measurements, lab.html.
func (a *account) labFolder() string {
	a.t.Helper()
	page, err := os.ReadFile("testdata/relay/lab.html")
	if err != nil {
		a.t.Fatal(err)
	}
	return a.pages(map[string]string{"index.html": string(page)})
}

// pages makes a folder of files.
func (a *account) pages(files map[string]string) string {
	a.t.Helper()
	dir := tempDir(a.t)
	for name, text := range files {
		if err := os.WriteFile(dir+"/"+name, []byte(text), 0o644); err != nil {
			a.t.Fatal(err)
		}
	}
	return dir
}

// networks is what /_rtcdev/impair answers.
type networks struct {
	All          string
	Rooms, Peers map[string]string
}

// impair posts spec to the server, for ?query, and returns what it has then.
func (s *server) impair(client *http.Client, query, spec string) (now networks) {
	s.t.Helper()
	answer, err := client.Post(s.ready.URL+"_rtcdev/impair?"+query, "text/plain", strings.NewReader(spec))
	if err != nil {
		s.t.Fatal(err)
	}
	defer answer.Body.Close()
	body, err := io.ReadAll(answer.Body)
	if err != nil || answer.StatusCode != http.StatusOK {
		s.t.Fatalf("impair ?%s %s: %s, %v\n%s", query, spec, answer.Status, err, body)
	}
	if err := json.Unmarshal(body, &now); err != nil {
		s.t.Fatal(err)
	}
	return now
}

// All of the rest is read from Chromium's own statistics, on a page whose connections go
// through the relay because of --impair alone.

// near measures until it is what it should be, a few times: a machine that is busy with
// other things is late now and then, and one that does it wrong is so always.
func near(t *testing.T, what string, want, slack float64, measure func() float64) {
	t.Helper()
	var got float64
	for range 4 {
		if got = measure(); math.Abs(got-want) <= slack {
			t.Logf("%.2f %s", got, what)
			return
		}
	}
	t.Errorf("%.2f %s, not %.0f", got, what, want)
}

// A round trip has the delay twice. What is asserted is the time that was added, between
// the medians of the browsers' own checks: a busy machine makes a few of them late.
func TestImpairedDelay(t *testing.T) {
	a := newAccount(t)
	a.trust()
	s := a.serve(a.labFolder(), "--port", "0", "--impair", "off")
	client, p := trustingClient(t, a.root()), a.open(s.ready.URL)
	wantRelayOnly(p, `call("delay", "udp").then((c) => { window.c = c; return c.a.pc; })`)
	const checks = `roundTrips(c, 7)`
	changed := func(to string) {
		s.impair(client, "", to)
		eval[float64](p, `ping(c, 3)`) // what was on its way when it changed
		eval[float64](p, `roundTrips(c, 2)`)
	}
	near(t, "ms that delay=100ms adds to a round trip, by getStats", 200, 5, func() float64 {
		changed("off")
		before := eval[float64](p, checks)
		changed("delay=100ms")
		after := eval[float64](p, checks)
		t.Logf("round trips of %.2f ms, and of %.2f ms with delay=100ms", before, after)
		return after - before
	})
	p.wantQuietConsole()
}

// wantRelayOnly evaluates JavaScript that makes a connection, and checks its policy.
func wantRelayOnly(p *tab, js string) {
	p.t.Helper()
	if got := eval[string](p, fmt.Sprintf(`(%s).then((pc) => pc.getConfiguration().iceTransportPolicy)`, js)); got != "relay" {
		p.t.Fatalf("the page's connections may use %s", got)
	}
}

// What b receives is counted by its transport (bytesReceived: DTLS and SRTP packets
// whole, which is what the relay counts, but not STUN, which is 0.2 % here). The sender
// has more to send than there is room for.
func TestImpairedRate(t *testing.T) {
	a := newAccount(t)
	a.trust()
	s := a.serve(a.labFolder(), "--port", "0", "--impair", "rate=500kbps")
	p := a.open(s.ready.URL)
	wantRelayOnly(p, `call("rate", "udp").then((c) => { window.c = c; startFlood(c); return wait(2000).then(() => c.a.pc); })`)
	near(t, "kbit/s received with rate=500kbps, by getStats", 500, 15, func() float64 {
		return eval[float64](p, `receivedRate(c, 10000)`) / 1000
	})
	p.wantQuietConsole()
}

// enough is of how many packets 5 % are lost within a point, 9,999 times in 10,000:
// (3.89/0.01)² × 0.05 × 0.95.
const enough = 7200

// Ten tracks of sound in each direction: 1,000 packets a second, none of which is sent
// again. (Lost picture is, and browsers differ in how they count that.)
func TestImpairedLoss(t *testing.T) {
	a := newAccount(t)
	a.trust()
	s := a.serve(a.labFolder(), "--port", "0", "--impair", "loss=5%")
	p := a.open(s.ready.URL)
	wantRelayOnly(p, `call("loss", "udp").then((c) => { window.c = c; return c.a.pc; })`)
	eval[bool](p, `talk(c, 10).then(() => true)`)
	var lost, received float64
	eventually(t, fmt.Sprintf("%d packets", enough), func() error {
		got := eval[[2]float64](p, `lostAndReceived(c)`)
		lost, received = got[0], got[1]
		if lost+received < enough {
			return fmt.Errorf("%.0f and %.0f lost", received, lost)
		}
		return nil
	})
	percent := 100 * lost / (lost + received)
	t.Logf("with loss=5%% %.0f packets came and %.0f were lost, by getStats: %.2f %%", received, lost, percent)
	if math.Abs(percent-5) > 1 {
		t.Errorf("%.2f %% were lost", percent)
	}
	p.wantQuietConsole()
}

// While calls go on: for all, for a room, for a peer, by a preset's name, and off.
func TestImpairLive(t *testing.T) {
	a := newAccount(t)
	a.trust()
	s := a.serve(a.labFolder(), "--port", "0")
	client, p := trustingClient(t, a.root()), a.open(s.ready.URL)
	if got := s.impair(client, "", "delay=20ms"); got.All != "delay=20ms" {
		t.Errorf("the server has %+v", got)
	}
	if e := s.event("impaired"); e["reload"] != true || e["network"] != "delay=20ms" {
		t.Errorf("the event is %v", e)
	}
	do(p, "loading it again, as the event says", chromedp.Reload())
	wantRelayOnly(p, `Promise.all([call("kitchen", "udp"), call("attic", "udp")]).then(([k, at]) => { window.kitchen = k; window.attic = at; return k.a.pc; })`)
	peer := eval[string](p, `kitchen.a.id`)
	const satellite = 560
	for _, step := range []struct {
		query, spec    string
		kitchen, attic float64 // ms of a round trip
	}{
		{"", "delay=20ms", 40, 40},
		{"room=attic", "delay=90ms", 40, 180},
		{"peer=" + peer, "delay=150ms", 320, 180}, // there 150, back 20 + 150
		{"", "off", 300, 180},
		{"peer=" + peer[:6], "off", 0, 180},
		{"", "satellite", satellite, 180},
		{"room=attic", "off", satellite, satellite},
		{"", "off", 0, 0},
	} {
		now := s.impair(client, step.query, step.spec)
		if e := s.event("impaired"); e["reload"] != false {
			t.Errorf("?%s %s: the event is %v", step.query, step.spec, e)
		}
		// One at first for what was on its way.
		got := eval[[2]float64](p, `Promise.all([kitchen, attic].map((c) => ping(c, 1).then(() => ping(c, 4))))`)
		t.Logf("?%s %s: %.0f ms; %+v", step.query, step.spec, got, now)
		for i, want := range []float64{step.kitchen, step.attic} {
			below, above := 10.0, 60.0 // a busy machine takes its time
			if want == satellite {
				below, above = 100, 100 // it has a jitter of 10 ms on each of its ways
			}
			if got[i] < want-below || got[i] > want+above {
				t.Errorf("?%s %s: call %d has round trips of %.0f ms, not %.0f", step.query, step.spec, i, got[i], want)
			}
		}
	}
	p.wantQuietConsole()
}
