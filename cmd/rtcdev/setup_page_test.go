package main

import (
	"fmt"
	"strings"
	"testing"

	"github.com/chromedp/chromedp"
)

const theSecret = "an-open-secret"

// setUpPage is where a device begins that comes to the server over loopback.
func (s *server) setUpPage(query string) string {
	return fmt.Sprintf("http://localhost:%d/_rtcdev/trust%s", s.ready.Port, query)
}

// Where the root is trusted already, the set-up page goes on to the call by itself; the
// room and the secret come along, and the app gets in by them.
func TestSetUpPageLeadsToTheCall(t *testing.T) {
	a := newAccount(t)
	a.trust()
	s := a.serve(a.emptyFolder("empty"), "--port", "0", "--room-token="+theSecret)
	address := s.setUpPage("?room=kitchen#room-token=" + theSecret)
	first, second := a.open(address), a.open(address)
	for _, p := range []*tab{first, second} {
		p.wantVideo()
		if at := eval[string](p, `location.href`); !strings.HasPrefix(at, "https://localhost:") || !strings.Contains(at, "room=kitchen") {
			t.Errorf("the set-up page went on to %s", at)
		}
		p.wantQuietConsole()
	}
	for range 2 {
		if e := s.event("peer-joined"); e["room"] != "kitchen" || e["door"] != "native" {
			t.Errorf("joined: %v", e)
		}
	}
	// A browser that goes to HTTPS by itself keeps what is behind the #.
	third := a.open(s.ready.URL + "?room=third#room-token=" + theSecret)
	third.wait(`document.body.dataset.state === "waiting"`)
	if at := eval[string](third, `location.search`); !strings.Contains(at, "room=third") || !strings.Contains(at, "room-token="+theSecret) {
		t.Errorf("with the secret behind the # it is at %s", at)
	}
	wrong := a.open(s.ready.URL + "?room=third#room-token=wrong-secret")
	wrong.wait(`location.search.includes("wrong-secret") && document.body.innerText.includes("secret is missing")`)
	stranger := a.open(s.ready.URL + "?room=kitchen")
	stranger.wait(`document.body.innerText.includes("secret is missing")`)
}

// After a warning that was clicked away an iPhone loads pages, and refuses every WebSocket:
// the set-up page says so, and the person may go on to a call that works without.
func TestDeviceThatClickedThrough(t *testing.T) {
	a := newAccount(t)
	a.trust() // in place of the click: no test clicks a warning away
	s := a.serve(a.emptyFolder("empty"), "--port", "0")
	other := a.open(s.ready.Room)
	p := a.openWith(refusedWebSocket, s.setUpPage("?room=lobby"))
	const goOn = `[...document.querySelectorAll("#status a.button")].find((a) => a.href.startsWith("https://"))`
	p.wait(goOn + ` && document.querySelector("#status").textContent.includes("WebSocket is still refused")`)
	if at := eval[string](p, `location.protocol`); at != "http:" {
		t.Errorf("it went on unasked, to %s", at)
	}
	if *screenshots != "" {
		p.screenshot(*screenshots+"/set-up-no-websocket.png", 390, 844)
	}
	do(p, "going on", chromedp.Click("#status a.button"))
	p.wait(`document.querySelector("#remoteVideo")`)
	p.wantVideo()
	other.wantVideo()
	p.chat(other, "hello from a phone")
	p.wait(quietLineShown)
	s.event("peer-joined")
	if e := s.event("peer-joined"); e["door"] != "events" {
		t.Errorf("the phone came by %v", e)
	}
	p.wantQuietConsole()
	other.wantQuietConsole()
}
