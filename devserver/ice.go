package devserver

import (
	"crypto/rand"
	"encoding/json"
	"net"
	"net/http"
	"net/netip"
	"strconv"
	"strings"

	"rtcdev/devserver/relay"
)

// sessionName is the cookie that tells a browser's session apart for the relay.
const sessionName = "rtcdev-session"

// iceServers says how pages find each other: by the server's own STUN and TURN, at the
// address that they have the page from.
type iceServers struct {
	relay *relay.Server // nil with Config.NoTURN
	port  int
	name  func() string // of this machine in multicast DNS; empty if there is none
	more  []string      // Config.ICEServers
}

// iceServer is an RTCIceServer (WebRTC 1.0 §4.2.4).
type iceServer struct {
	URLs       []string `json:"urls"`
	Username   string   `json:"username,omitempty"`
	Credential string   `json:"credential,omitempty"`
}

// list is what a request's session is told.
func (s *iceServers) list(r *http.Request) []iceServer {
	servers := []iceServer{}
	if s.relay != nil {
		host := hostOnly(r.Host)
		at := net.JoinHostPort(strings.Trim(host, "[]"), strconv.Itoa(s.port))
		own := []string{"turn:" + at + "?transport=udp", "turn:" + at + "?transport=tcp"}
		// Firefox ignores turns: with an address.
		name := host
		if _, err := netip.ParseAddr(strings.Trim(host, "[]")); err == nil {
			name = s.name()
		}
		if name != "" {
			own = append(own, "turns:"+net.JoinHostPort(name, strconv.Itoa(s.port))+"?transport=tcp")
		}
		c := s.relay.Credentials(sessionOf(r))
		servers = append(servers, iceServer{URLs: []string{"stun:" + at}}, iceServer{own, c.Username, c.Password})
	}
	for _, url := range s.more {
		servers = append(servers, iceServer{URLs: []string{url}})
	}
	return servers
}

// welcome is the list for who joins.
func (s *iceServers) welcome(r *http.Request) json.RawMessage {
	list, _ := json.Marshal(s.list(r)) // strings only: it cannot fail
	return list
}

// serve answers with an RTCConfiguration (WebRTC 1.0 §4.2.1).
func (s *iceServers) serve(w http.ResponseWriter, r *http.Request) {
	session := sessionOf(r)
	if !hasSession(r) {
		http.SetCookie(w, &http.Cookie{Name: sessionName, Value: session, Path: "/", Secure: true, HttpOnly: true, SameSite: http.SameSiteLaxMode})
		r.AddCookie(&http.Cookie{Name: sessionName, Value: session})
	}
	w.Header().Set("Content-Type", "application/json")
	w.Header().Set("Cache-Control", "no-store")
	json.NewEncoder(w).Encode(struct {
		ICEServers []iceServer `json:"iceServers"`
	}{s.list(r)})
}

// maxSession bounds what a browser may call its session.
const maxSession = 64

// sessionOf is the browser's session, or a new one.
func sessionOf(r *http.Request) string {
	if c, err := r.Cookie(sessionName); err == nil && c.Value != "" && len(c.Value) <= maxSession {
		return c.Value
	}
	return strings.ToLower(rand.Text()[:16])
}

func hasSession(r *http.Request) bool {
	c, err := r.Cookie(sessionName)
	return err == nil && c.Value != "" && len(c.Value) <= maxSession
}
