package signaling

import (
	"context"
	"crypto/tls"
	"net/http"
	"net/http/httptest"
	"testing"
)

// What a browser says of the page decides; what is no browser says nothing.
func TestAllowsOrigin(t *testing.T) {
	t.Parallel()
	some, every := New(Config{AllowOrigins: []string{"https://friend.example"}}), New(Config{AllowOrigins: []string{"*"}})
	for _, tt := range []struct {
		hub          *Hub
		origin, site string
		secure       bool
		want         bool
	}{
		{some, "", "", false, true},
		{some, "", "same-origin", true, true},
		{some, "", "none", true, true},
		{some, "", "same-site", true, false},
		{some, "", "cross-site", true, false},
		{some, "", "whatever comes next", true, false},
		{every, "", "cross-site", true, false}, // whose answer the page could not read
		{some, "https://call.example", "same-origin", true, true},
		{some, "https://CALL.example", "", true, true},
		{some, "http://call.example", "", true, false}, // anyone on the network may have written that page
		{some, "http://call.example", "", false, true},
		{some, "https://friend.example", "cross-site", true, true},
		{some, "http://friend.example", "cross-site", true, false},
		{some, "https://evil.example", "cross-site", true, false},
		{every, "https://evil.example", "cross-site", true, true},
		{some, "null", "cross-site", true, false},
	} {
		r := httptest.NewRequest(http.MethodGet, "http://call.example/", nil)
		if tt.secure {
			r.TLS = new(tls.ConnectionState)
		}
		for name, value := range map[string]string{"Origin": tt.origin, "Sec-Fetch-Site": tt.site} {
			if value != "" {
				r.Header.Set(name, value)
			}
		}
		if got := tt.hub.AllowsOrigin(r); got != tt.want {
			t.Errorf("Origin %q, Sec-Fetch-Site %q, TLS %v: %v", tt.origin, tt.site, tt.secure, got)
		}
	}
}

// ask sends a request without a body and returns the answer, whose body is not read.
func (s *server) ask(method, path string, header http.Header) *http.Response {
	s.t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	r, err := http.NewRequestWithContext(ctx, method, "http://"+s.addr+path, nil)
	if err != nil {
		s.t.Fatal(err)
	}
	if header != nil {
		r.Header = header
	}
	resp, err := (&http.Transport{DisableKeepAlives: true}).RoundTrip(r)
	if err != nil {
		s.t.Fatalf("%s %s: %v", method, path, err)
	}
	resp.Body.Close()
	return resp
}

// A page of another site that puts our address into an <img> or a link makes no peer.
func TestForeignPageMakesNoPeer(t *testing.T) {
	t.Parallel()
	s := start(t, Config{})
	witness := s.join("r")
	for _, site := range []string{"cross-site", "same-site"} {
		header := http.Header{"Sec-Fetch-Site": {site}, "Sec-Fetch-Mode": {"no-cors"}}
		for _, path := range []string{"/events?room=r", "/send?resume=x&n=1"} {
			if resp := s.ask(http.MethodGet, path, header); resp.StatusCode != http.StatusForbidden {
				t.Errorf("%s from a %s page: %s", path, site, resp.Status)
			}
		}
		if conn, resp, err := s.dial("r", header); err == nil || resp.StatusCode != http.StatusForbidden {
			if conn != nil {
				conn.Close()
			}
			t.Errorf("a WebSocket from a %s page: %v, %v", site, resp, err)
		}
	}
	witness.wantUndisturbed()
	s.join("r").wantUndisturbed() // there is a place
}

// Only GET makes a peer of the events door: who asks with another method hears nothing.
func TestEventsMethods(t *testing.T) {
	t.Parallel()
	s := start(t, Config{})
	witness := s.join("r")
	for _, method := range []string{http.MethodHead, http.MethodPut, http.MethodDelete} {
		resp := s.ask(method, "/events?room=r", nil)
		if allow := resp.Header.Get("Allow"); resp.StatusCode != http.StatusMethodNotAllowed || allow != "GET, POST" {
			t.Errorf("%s: %s, Allow: %s", method, resp.Status, allow)
		}
	}
	witness.wantUndisturbed()
}
