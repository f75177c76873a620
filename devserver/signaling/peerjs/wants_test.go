package peerjs

import (
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/gorilla/websocket"

	"rtcdev/devserver/signaling"
)

// What is not the door's may be a file of the folder that is served.
func TestWants(t *testing.T) {
	s := serveDoor(t, Config{})
	const page = "?key=k&id=a&token=t&version=1.5.5"
	for address, want := range map[string]bool{
		"/peerjs" + page:                  true,
		"/peerjs/peerjs" + page:           true,
		"/myapp/peerjs" + page:            true,
		"/my/app/peerjs/" + page:          true,
		"/peerjs/other" + page:            false,
		"/myapp/xpeerjs" + page:           false,
		"/myapp/peerjs?key=k&id=a":        false,
		"/myapp/peerjs":                   false,
		"/_rtcdev/signal" + page:          false,
		"GET /peerjs/id":                  true,
		"GET /peerjs/peers?ts=1":          true,
		"GET /peerjs/mykey/id":            true,
		"GET /peerjs/mykey/peers":         true,
		"GET /myapp/peerjs/id?ts=1":       true,
		"GET /my/app/peerjs/peers":        true,
		"GET /myapp/mykey/id":             false,
		"GET /myapp/id":                   false,
		"GET /id":                         false,
		"GET /peerjs":                     false,
		"GET /peerjs/":                    false,
		"GET /peerjs/index.html":          false,
		"GET /peerjs/dist/peerjs.min.js":  false,
		"GET /peerjs/a/b/id":              false,
		"GET /peerjs" + page:              false,
		"GET /myapp/peerjs/dist/index.js": false,
	} {
		path, plain := strings.CutPrefix(address, "GET ")
		r := httptest.NewRequest("GET", path, nil)
		if !plain {
			r.Header.Set("Upgrade", "WebSocket")
		}
		if got := s.door.Wants(r); got != want {
			t.Errorf("%s: %v", address, got)
		}
	}
}

// A page may have any path: PeerServer's own example has one.
func TestOtherPath(t *testing.T) {
	s := serveDoor(t, Config{Discovery: true})
	status, id := get(t, s.address+"/myapp/peerjs/id?ts=1&version=1.5.5")
	if status != 200 || checkID(id) != nil || len(id) < 20 {
		t.Fatalf("an id: %d %s", status, id)
	}
	there := openPage(t, "there", s.address+"/myapp/peerjs", "key=peerjs&token=1&id="+id)
	there.want(`{"type":"OPEN"}`)
	here := s.enter(t, "here")
	here.send(`{"type":"OFFER","dst":"` + id + `","payload":1}`)
	there.want(`{"type":"OFFER","src":"here","dst":"` + id + `","payload":1}`)
	if _, list := get(t, s.address+"/myapp/peerjs/peers"); !strings.Contains(list, id) || !strings.Contains(list, "here") {
		t.Errorf("who is there: %s", list)
	}
	_, resp, err := websocket.DefaultDialer.Dial("ws"+strings.TrimPrefix(s.address, "http")+"/myapp/other?key=peerjs&id=a&token=t", nil)
	if err == nil || resp == nil || resp.StatusCode != http.StatusNotFound {
		t.Errorf("another address: %v, %v", resp, err)
	}
}

// Who asks for the list of peers, which is off, learns how to turn it on.
func TestNoDiscovery(t *testing.T) {
	s := serveDoorAt(t, Config{}, signaling.Config{})
	for _, path := range []string{"/peerjs/peers", "/peerjs/peerjs/peers", "/myapp/peerjs/peers"} {
		status, text := get(t, s.address+path)
		if status != http.StatusUnauthorized || !strings.Contains(text, "rtcdev serve --discovery") {
			t.Errorf("%s: %d %s", path, status, text)
		}
	}
}
