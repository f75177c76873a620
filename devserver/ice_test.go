package devserver

import (
	"encoding/json"
	"errors"
	"net/http"
	"net/http/cookiejar"
	"strconv"
	"strings"
	"testing"
)

func TestParseICEServer(t *testing.T) {
	for text, want := range map[string]iceServer{
		"stun:stun.example.com":                      {URLs: []string{"stun:stun.example.com"}},
		"stuns:[2001:db8::1]:5349":                   {URLs: []string{"stuns:[2001:db8::1]:5349"}},
		"turn:me:secret@10.0.0.1:3478?transport=tcp": {URLs: []string{"turn:10.0.0.1:3478?transport=tcp"}, Username: "me", Credential: "secret"},
		"turns:a%40b:p%3Aw%2f@turn.example.com":      {URLs: []string{"turns:turn.example.com"}, Username: "a@b", Credential: "p:w/"},
		"turn:1700000000:me:a=b+c/@turn.example.com": {URLs: []string{"turn:turn.example.com"}, Username: "1700000000", Credential: "me:a=b+c/"},
		"turn:me@home:secret@turn.example.com":       {URLs: []string{"turn:turn.example.com"}, Username: "me@home", Credential: "secret"},
		"stun:stun.example.com.:1":                   {URLs: []string{"stun:stun.example.com.:1"}},
		"stun:stun.example.com:0":                    {},
		"stun:stun.example.com:65536":                {},
		"stun:stun.example.com:3478?transport=udp":   {},
		"stun:..":                            {},
		"stun:[::g]":                         {},
		"turns:me:secret@host:0":             {},
		"turn:turn.example.com":              {},
		"turn::secret@turn.example.com":      {},
		"turn:me@turn.example.com":           {},
		"stun:me:secret@stun.example.com":    {},
		"https://stun.example.com":           {},
		"stun:":                              {},
		"":                                   {},
		"stun.example.com":                   {},
		"stun:a b":                           {},
		"turn:me:%zz@turn.example.com":       {},
		"turn:me:secret@host?transport=sctp": {},
		"turn:me:secret@host?transport=udp&x=<script": {},
	} {
		got, err := parseICEServer(text)
		var setting *SettingError
		if len(want.URLs) == 0 {
			if !errors.As(err, &setting) || strings.Contains(err.Error(), "secret") {
				t.Errorf("%s: %+v, %v", text, got, err)
			}
			continue
		}
		if err != nil || got.URLs[0] != want.URLs[0] || got.Username != want.Username || got.Credential != want.Credential {
			t.Errorf("%s: %+v, %v; want %+v", text, got, err, want)
		}
	}
}

// A browser has one session, renewed each time it asks, and every peer its part of it.
func TestICESessions(t *testing.T) {
	r := run(t, func(c *Config) { c.ICEServers = []string{"stun:stun.example.com"} })
	r.client.Jar, _ = cookiejar.New(nil)
	ask := func() (c rtcConfiguration) {
		t.Helper()
		if err := json.Unmarshal([]byte(r.read("/_rtcdev/ice")), &c); err != nil {
			t.Fatal(err)
		}
		return c
	}
	first, second := ask(), ask()
	session := func(c iceServer) string { _, name, _ := strings.Cut(c.Username, ":"); return name }
	if len(first.ICEServers) != 3 || first.ICEServers[2].URLs[0] != "stun:stun.example.com" || first.Policy != "" {
		t.Fatalf("%+v", first)
	}
	own := first.ICEServers[1]
	at := "127.0.0.1:" + strconv.Itoa(r.ready.Port)
	if own.URLs[0] != "turn:"+at+"?transport=udp" || own.Credential == "" || first.ICEServers[0].URLs[0] != "stun:"+at {
		t.Errorf("%+v", first)
	}
	for _, url := range own.URLs {
		if strings.HasPrefix(url, "turns:127.") {
			t.Errorf("%s: Firefox ignores turns: with an address", url)
		}
	}
	if a, b := session(own), session(second.ICEServers[1]); a != b || !strings.HasSuffix(a, ".@127.0.0.1") {
		t.Errorf("the browser's sessions are %s and %s", a, b)
	}
	one, two := r.welcome("lobby"), r.welcome("lobby")
	if a := session(one.ICEServers[1]); !strings.HasSuffix(a, "."+one.ID) || a == session(two.ICEServers[1]) {
		t.Errorf("the peers' sessions are %s and %s", a, session(two.ICEServers[1]))
	}
	if status, _ := r.post("/_rtcdev/impair", "loss=1%"); status != http.StatusOK {
		t.Fatal(status)
	}
	if now := ask(); now.Policy != "relay" {
		t.Errorf("with a bad network, pages are told %+v", now)
	}
	if one.Policy != "" {
		t.Errorf("with a good network, a peer was told %+v", one)
	}
	if three := r.welcome("another"); three.Policy != "relay" {
		t.Errorf("with a bad network, a peer is told %+v", three)
	}
}

func TestScriptIsForOwnPages(t *testing.T) {
	r := run(t, nil)
	for site, own := range map[string]bool{"same-origin": true, "none": true, "": true, "cross-site": false, "same-site": false} {
		request, _ := http.NewRequest("GET", r.url(injectPath), nil)
		request.Header.Set("Sec-Fetch-Site", site)
		resp, err := r.client.Do(request)
		if err != nil {
			t.Fatal(err)
		}
		text := body(resp)
		resp.Body.Close()
		if resp.StatusCode != http.StatusOK || own != strings.Contains(text, `"credential":`) || !own && text != "" {
			t.Errorf("%q: %s %.100s", site, resp.Status, text)
		}
		if got := resp.Header.Get("Cross-Origin-Resource-Policy"); own && got != "same-origin" {
			t.Errorf("%q: Cross-Origin-Resource-Policy: %s", site, got)
		}
	}
}

func TestRelayMetrics(t *testing.T) {
	if text := run(t, nil).read("/_rtcdev/metrics"); !strings.Contains(text, "\nrtcdev_relay_allocations 0\n") {
		t.Errorf("%s", text)
	}
	if text := run(t, func(c *Config) { c.NoTURN = true }).read("/_rtcdev/metrics"); strings.Contains(text, "rtcdev_relay") {
		t.Errorf("%s", text)
	}
}

func TestICEOrigins(t *testing.T) {
	for _, tt := range []struct {
		allowed      []string
		origin, want string
	}{
		{nil, "https://example.com", ""},
		{[]string{"https://example.com"}, "https://example.com", "https://example.com"},
		{[]string{"https://example.com"}, "https://evil.example", ""},
		{[]string{"*"}, "https://evil.example", "https://evil.example"},
		{[]string{"*"}, "", ""},
	} {
		s := newICEServers(&Config{AllowOrigins: tt.allowed}, nil, 8443, nil, &badNetwork{})
		resp := get(http.HandlerFunc(s.serve), "GET", "/_rtcdev/ice", "Origin", tt.origin)
		if got := resp.Header.Get("Access-Control-Allow-Origin"); got != tt.want || resp.Header.Get("Access-Control-Allow-Credentials") != "" {
			t.Errorf("%+v: %q", tt, got)
		}
	}
}
