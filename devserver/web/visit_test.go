package web

import (
	"crypto/tls"
	"net/http/httptest"
	"net/url"
	"strings"
	"testing"
)

func TestHostOf(t *testing.T) {
	for _, c := range []struct {
		header string
		secure bool
		want   string // "" = refused
	}{
		{"192.168.0.5:8443", false, "192.168.0.5:8443"},
		{"studio-mac.local:8443", true, "studio-mac.local:8443"},
		{"[fd00::5]:8443", false, "[fd00::5]:8443"},
		{"[FD00:0::5]:8443", false, "[fd00::5]:8443"},
		{"192.168.0.5", false, "192.168.0.5:80"},
		{"192.168.0.5", true, "192.168.0.5:443"},
		{"[fd00::5]", true, "[fd00::5]:443"},
		{"", false, ""},
		{":8443", false, ""},
		{"[fe80::1%eth0]:8443", false, ""},
		{"host:99999", false, ""},
		{"host:0", false, ""},
		{"host:http", false, ""},
		{"a;script-src *:8443", false, ""},
		{"a'b:8443", false, ""},
		{"evil/path:8443", false, ""},
		{"user@host:8443", false, ""},
		{strings.Repeat("a", 254) + ":8443", false, ""},
	} {
		got, ok := hostOf(c.header, c.secure)
		if got != c.want || ok != (c.want != "") {
			t.Errorf("hostOf(%q, %v) = %q, %v, want %q", c.header, c.secure, got, ok, c.want)
		}
	}
}

func TestLanguage(t *testing.T) {
	for _, c := range []struct{ asked, accepted, want string }{
		{"", "", "en"},
		{"", "ko", "ko"},
		{"", "ko-KR,ko;q=0.9,en-US;q=0.8,en;q=0.7", "ko"},
		{"", "en-US,en;q=0.9,ko;q=0.8", "en"},
		{"", "de-DE,de;q=0.9,ko;q=0.5,en;q=0.3", "ko"},
		{"", "en;q=0.5, ko", "ko"},
		{"", "KO-kr", "ko"},
		{"", "kok", "en"}, // Konkani
		{"", "ko;q=0", "en"},
		{"", "ko;q=x, ,;;", "en"},
		{"", "fr", "en"},
		{"en", "ko", "en"},
		{"ko", "en", "ko"},
		{"xx", "ko", "ko"},
	} {
		if got := language(c.asked, c.accepted); got != c.want {
			t.Errorf("language(%q, %q) = %q, want %q", c.asked, c.accepted, got, c.want)
		}
	}
}

func visitTo(t *testing.T, target, ua string, secure bool) visit {
	t.Helper()
	r := httptest.NewRequest("GET", target, nil)
	r.Header.Set("User-Agent", ua)
	if r.TLS = nil; secure {
		r.TLS = &tls.ConnectionState{}
	}
	v, ok := visitOf(httptest.NewRecorder(), r)
	if !ok {
		t.Fatalf("%s was refused", target)
	}
	return v
}

func TestVisitLinks(t *testing.T) {
	v := visitTo(t, "http://192.168.0.5:8443/_rtcdev/trust?room=a%26b&token=s+1&lang=ko&device=ios&openExternalBrowser=1", "", false)
	for _, c := range []struct{ name, got, want string }{
		{"App", v.App(), "https://192.168.0.5:8443/?room=a%26b&token=s+1"},
		{"Origin", v.Origin(), "https://192.168.0.5:8443"},
		{"Sockets", v.Sockets(), "wss://192.168.0.5:8443"},
		{"with", v.with("lang", "en"), "/_rtcdev/trust?device=ios&lang=en&room=a%26b&token=s+1"},
		{"policy", v.connects(), "'self' https://192.168.0.5:8443 wss://192.168.0.5:8443"},
	} {
		if c.got != c.want {
			t.Errorf("%s is %q, want %q", c.name, c.got, c.want)
		}
	}
	v = visitTo(t, "https://[fd00::5]/", "", true)
	if got := v.App() + " " + v.Plain() + " " + v.connects(); got != "https://[fd00::5]/ http://[fd00::5]:443/ 'self' https: wss:" {
		t.Errorf("on port 443: %s", got)
	}
	if got := visitTo(t, "http://a.local/x?y=1", "", false).Same(); got != "https://a.local:80/x?y=1" {
		t.Errorf("from port 80 to %s", got)
	}
}

func TestEscape(t *testing.T) {
	const target = "http://192.168.0.5:8443/?room=a%26b&token=s"
	want := map[string]string{
		"iphone-kakaotalk":  "kakaotalk://web/openExternal?url=http%3A%2F%2F192.168.0.5%3A8443%2F%3Froom%3Da%2526b%26token%3Ds",
		"android-kakaotalk": "kakaotalk://web/openExternal?url=http%3A%2F%2F192.168.0.5%3A8443%2F%3Froom%3Da%2526b%26token%3Ds",
		"iphone-line":       "/?openExternalBrowser=1&room=a%26b&token=s",
		"android-line":      "/?openExternalBrowser=1&room=a%26b&token=s",
		"android-naver":     "intent://192.168.0.5:8443/?room=a%26b&token=s#Intent;scheme=http;package=com.android.chrome;end",
		"android-instagram": "intent://192.168.0.5:8443/?room=a%26b&token=s#Intent;scheme=http;package=com.android.chrome;end",
		"android-facebook":  "intent://192.168.0.5:8443/?room=a%26b&token=s#Intent;scheme=http;package=com.android.chrome;end",
		"android-app":       "intent://192.168.0.5:8443/?room=a%26b&token=s#Intent;scheme=http;package=com.android.chrome;end",
	}
	want["ipad-kakaotalk"] = want["iphone-kakaotalk"]
	for _, a := range agents {
		if got := string(visitTo(t, target, a.ua, false).escape()); got != want[a.name] {
			t.Errorf("%s: %q, want %q", a.name, got, want[a.name])
		}
	}
}

func FuzzVisit(f *testing.F) {
	f.Add("192.168.0.5:8443", "/", "room=a&lang=ko", "ko-KR,ko;q=0.9")
	f.Add("[::1]:8443", "//evil.example/", "device=ios&room=%00", "en;q=")
	f.Add("a", "/%2e%2e/x", ";;&=&%", ";q=1,,")
	f.Fuzz(func(t *testing.T, host, path, query, accepted string) {
		r := httptest.NewRequest("GET", "/", nil)
		r.Host, r.URL = host, &url.URL{Path: path, RawQuery: query}
		r.Header.Set("Accept-Language", accepted)
		v, ok := visitOf(httptest.NewRecorder(), r)
		if !ok {
			return
		}
		for _, link := range []string{v.App(), v.Same(), v.Plain()} {
			u, err := url.Parse(link)
			if err != nil || u.Host == "" || !strings.HasPrefix(v.host, u.Host) || u.User != nil {
				t.Errorf("%q leads away from %q (%v)", link, v.host, err)
			}
		}
		if strings.HasPrefix(v.with("lang", "ko"), "//") || strings.ContainsAny(v.connects(), ";,\n\r") {
			t.Errorf("%q, %q", v.with("lang", "ko"), v.connects())
		}
	})
}
