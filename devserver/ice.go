package devserver

import (
	"cmp"
	"crypto/rand"
	"encoding/json"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/netip"
	"net/url"
	"regexp"
	"slices"
	"strconv"
	"strings"

	"rtcdev/devserver/relay"
	"rtcdev/devserver/signaling"
)

// sessionName is the cookie that tells a browser's session apart for the relay.
const sessionName = "rtcdev-session"

// iceServers says how pages find each other: by the server's own STUN and TURN, at the
// address that they have the page from.
type iceServers struct {
	relay *relay.Server // nil with Config.NoTURN
	port  int
	name  func() string // of this machine in multicast DNS; empty if there is none
	more  []iceServer   // Config.ICEServers
	bad   *badNetwork
	leave bool // pages are left alone

	origins []string // Config.AllowOrigins
}

// iceServer is an RTCIceServer (WebRTC 1.0 §4.2.4).
type iceServer struct {
	URLs       []string `json:"urls"`
	Username   string   `json:"username,omitempty"`
	Credential string   `json:"credential,omitempty"`
}

// list is what a request's session is told. The part of the credentials' name tells
// apart what has one session: a peer's id, or nothing for a page.
func (s *iceServers) list(r *http.Request, part string) []iceServer {
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
		c := s.relay.Credentials(sessionOf(r) + "." + part)
		servers = append(servers, iceServer{URLs: []string{"stun:" + at}}, iceServer{own, c.Username, c.Password})
	}
	return append(servers, s.more...)
}

// parseICEServer reads an address of a STUN or TURN server (RFC 7064, RFC 7065), before
// whose host there may be USER:PASSWORD@. The error is a [*SettingError].
func parseICEServer(text string) (iceServer, error) {
	scheme, rest, _ := strings.Cut(text, ":")
	user, host, hasUser := cutLast(rest, "@")
	isTURN := scheme == "turn" || scheme == "turns"
	shown := text
	if isTURN || hasUser { // without the password
		shown = scheme + ":…"
	}
	switch {
	case !isTURN && scheme != "stun" && scheme != "stuns" || !isICEHost(host, isTURN):
		return iceServer{}, setting("%q is no address of a STUN or TURN server: give one like stun:stun.example.com:3478 or turns:user:password@turn.example.com", shown)
	case isTURN != hasUser:
		return iceServer{}, setting("%s: TURN servers need a user and a password, as in turn:user:password@turn.example.com, and STUN servers take none", shown)
	case !hasUser:
		return iceServer{URLs: []string{text}}, nil
	}
	name, password, _ := strings.Cut(user, ":")
	s := iceServer{URLs: []string{scheme + ":" + host}}
	for _, part := range []struct {
		to   *string
		from string
	}{{&s.Username, name}, {&s.Credential, password}} {
		var err error
		if *part.to, err = url.PathUnescape(part.from); err != nil || *part.to == "" {
			return iceServer{}, setting("the user and the password for %s are not understood: write signs such as @ and %% as %%40 and %%25", shown)
		}
	}
	return s, nil
}

// iceHost is what follows in such an address: a host, and perhaps a port and a transport.
var iceHost = regexp.MustCompile(`^([A-Za-z0-9-]+(?:\.[A-Za-z0-9-]+)*\.?|\[[0-9A-Fa-f:.]+\])(?::([0-9]{1,5}))?(\?transport=(?:udp|tcp))?$`)

// isICEHost tells what browsers take: for anything else they throw an error, in each page.
func isICEHost(text string, isTURN bool) bool {
	parts := iceHost.FindStringSubmatch(text)
	if parts == nil || parts[3] != "" && !isTURN {
		return false
	}
	if host := strings.Trim(parts[1], "[]"); host != parts[1] && net.ParseIP(host) == nil {
		return false
	}
	port, err := strconv.Atoi(cmp.Or(parts[2], "3478"))
	return err == nil && port > 0 && port < 65536
}

// cutLast is strings.Cut at the last separator; without one all is after it.
func cutLast(s, sep string) (before, after string, found bool) {
	if i := strings.LastIndex(s, sep); i >= 0 {
		return s[:i], s[i+len(sep):], true
	}
	return "", s, false
}

// welcome is for who joins or comes back.
func (s *iceServers) welcome(r *http.Request, peer string) signaling.ICE {
	s.bad.met(peer, sessionOf(r))
	list, _ := json.Marshal(s.list(r, peer)) // strings only: it cannot fail
	return signaling.ICE{Servers: list, Policy: s.policy()}
}

// policy is the RTCIceTransportPolicy (WebRTC 1.0 §4.2.5) for new connections; empty for
// the default.
func (s *iceServers) policy() string {
	if s.bad.forces() {
		return "relay"
	}
	return ""
}

// rtcConfiguration is an RTCConfiguration (WebRTC 1.0 §4.2.1).
type rtcConfiguration struct {
	ICEServers []iceServer `json:"iceServers"`
	Policy     string      `json:"iceTransportPolicy,omitempty"`
}

// configuration is for a page, whose browser gets a session if it has none.
func (s *iceServers) configuration(w http.ResponseWriter, r *http.Request) rtcConfiguration {
	session := sessionOf(r)
	if !hasSession(r) {
		http.SetCookie(w, &http.Cookie{Name: sessionName, Value: session, Path: "/", Secure: true, HttpOnly: true, SameSite: http.SameSiteLaxMode})
		r.AddCookie(&http.Cookie{Name: sessionName, Value: session})
	}
	return rtcConfiguration{s.list(r, "@"+hostOnly(r.RemoteAddr)), s.policy()}
}

// newICEServers takes Config.ICEServers, which has been checked.
func newICEServers(cfg *Config, server *relay.Server, port int, name func() string, bad *badNetwork) *iceServers {
	s := &iceServers{relay: server, port: port, name: name, bad: bad, origins: cfg.AllowOrigins, leave: cfg.NoInject}
	for _, text := range cfg.ICEServers {
		if more, err := parseICEServer(text); err == nil {
			s.more = append(s.more, more)
		}
	}
	return s
}

// serve answers with a page's configuration, also if that is of an allowed origin.
func (s *iceServers) serve(w http.ResponseWriter, r *http.Request) {
	w.Header().Add("Vary", "Origin")
	if origin := r.Header.Get("Origin"); slices.Contains(s.origins, origin) || origin != "" && slices.Contains(s.origins, "*") {
		w.Header().Set("Access-Control-Allow-Origin", origin)
	}
	w.Header().Set("Content-Type", "application/json")
	w.Header().Set("Cache-Control", "no-store")
	json.NewEncoder(w).Encode(s.configuration(w, r))
}

// maxSession bounds what a browser may call its session.
const maxSession = 64

// sessionOf is the browser's session, or a new one.
func sessionOf(r *http.Request) string {
	if c, err := r.Cookie(sessionName); err == nil && c.Value != "" && len(c.Value) <= maxSession {
		return strings.ReplaceAll(c.Value, ".", "") // which ends the session's part of a name
	}
	return strings.ToLower(rand.Text()[:16])
}

func hasSession(r *http.Request) bool {
	c, err := r.Cookie(sessionName)
	return err == nil && c.Value != "" && len(c.Value) <= maxSession
}

// writeMetrics writes what the relay has done, in Prometheus' text format.
func (s *iceServers) writeMetrics(w io.Writer) error {
	if s.relay == nil {
		return nil
	}
	stats := s.relay.Stats()
	var text strings.Builder
	for _, m := range []struct {
		name, kind, help string
		value            uint64
	}{
		{"allocations", "gauge", "Relayed transport addresses (RFC 8656 §3.2) that there are.", uint64(stats.Allocations)},
		{"packets_total", "counter", "Packets that were relayed.", stats.Packets},
		{"bytes_total", "counter", "Bytes in them, without TURN's own.", stats.Bytes},
		{"dropped_total", "counter", "Packets that were lost, to limits or a bad network on demand too.", stats.Dropped},
		{"refused_total", "counter", "Requests and packets that were refused.", stats.Refused},
	} {
		fmt.Fprintf(&text, "# HELP rtcdev_relay_%s %s\n# TYPE rtcdev_relay_%s %s\nrtcdev_relay_%s %d\n", m.name, m.help, m.name, m.kind, m.name, m.value)
	}
	_, err := io.WriteString(w, text.String())
	return err
}
