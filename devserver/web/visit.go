package web

import (
	"html/template"
	"net"
	"net/http"
	"net/netip"
	"net/url"
	"strconv"
	"strings"
)

// visit is what a request says that pages are made of.
type visit struct {
	host   string // with its port, an IPv6 address in brackets
	lang   string // "en" or "ko"
	device Device
	path   string // of this page
	query  url.Values
}

// visitOf reads a request. If its Host could not be one it answers 400 and
// returns false: the host goes into links and into the policy.
func visitOf(w http.ResponseWriter, r *http.Request) (visit, bool) {
	host, ok := hostOf(r.Host, r.TLS != nil)
	if !ok {
		http.Error(w, "This request names no host that rtcdev could send you back to.", http.StatusBadRequest)
		return visit{}, false
	}
	v := visit{
		host: host, device: Recognize(r.UserAgent()), path: r.URL.EscapedPath(), query: r.URL.Query(),
	}
	v.lang = language(v.query.Get("lang"), r.Header.Get("Accept-Language"))
	if !strings.HasPrefix(v.path, "/") || strings.HasPrefix(v.path, "//") {
		v.path = "/"
	}
	return v, true
}

// hostOf checks a Host header (RFC 9110 §7.2) and gives it the port it stands
// for: one port carries HTTP and HTTPS, and only HTTPS's own need not be named.
func hostOf(header string, secure bool) (string, bool) {
	name, port, err := net.SplitHostPort(header)
	if err != nil { // no port
		name, port = strings.TrimSuffix(strings.TrimPrefix(header, "["), "]"), "80"
		if secure {
			port = "443"
		}
	}
	if n, err := strconv.ParseUint(port, 10, 16); err != nil || n == 0 {
		return "", false
	}
	if addr, err := netip.ParseAddr(name); err == nil {
		if addr.Zone() != "" {
			return "", false // browsers' addresses have none (RFC 9844 §1)
		}
		if name = addr.String(); addr.Is6() {
			name = "[" + name + "]"
		}
	} else if !isName(name) {
		return "", false
	}
	return name + ":" + port, true
}

// isName tells host names of letters, digits, hyphens, underscores and dots.
func isName(s string) bool {
	if s == "" || len(s) > 253 {
		return false
	}
	for _, c := range s {
		switch {
		case 'a' <= c && c <= 'z', 'A' <= c && c <= 'Z', '0' <= c && c <= '9', c == '-', c == '_', c == '.':
		default:
			return false
		}
	}
	return true
}

// language chooses between English and Korean: the one asked for, else the one
// that Accept-Language prefers (RFC 9110 §12.5.4), else English.
func language(asked, accepted string) string {
	if asked == "en" || asked == "ko" {
		return asked
	}
	best, bestWeight := "en", 0.0
	for part := range strings.SplitSeq(accepted, ",") {
		tag, params, _ := strings.Cut(part, ";")
		primary, _, _ := strings.Cut(strings.TrimSpace(tag), "-")
		primary = strings.ToLower(primary)
		if primary != "en" && primary != "ko" {
			continue
		}
		weight := 1.0
		if q, found := strings.CutPrefix(strings.TrimSpace(params), "q="); found {
			var err error
			if weight, err = strconv.ParseFloat(q, 64); err != nil {
				continue
			}
		}
		if weight > bestWeight { // of equals, the first
			best, bestWeight = primary, weight
		}
	}
	return best
}

// ourParams are for these pages, not for the app.
func ourParams() []string { return []string{"lang", "device", "openExternalBrowser"} }

// App is the app on HTTPS, with the room and whatever else the link had.
func (v visit) App() string {
	query := url.Values{}
	for name, values := range v.query {
		query[name] = values
	}
	for _, name := range ourParams() {
		query.Del(name)
	}
	return v.Origin() + "/" + encode(query)
}

// Origin is HTTPS on the same host and port.
func (v visit) Origin() string { return "https://" + strings.TrimSuffix(v.host, ":443") }

// Sockets is the same for WebSocket.
func (v visit) Sockets() string { return "wss://" + strings.TrimSuffix(v.host, ":443") }

// Same is this page's address on HTTPS.
func (v visit) Same() string { return v.Origin() + v.path + encode(v.query) }

// SetUp is the set-up page, with what the link had.
func (v visit) SetUp() string { return "/_rtcdev/trust" + encode(v.query) }

// Plain is this page's address on plain HTTP, to be opened elsewhere.
func (v visit) Plain() string {
	return "http://" + strings.TrimSuffix(v.host, ":80") + v.path + encode(v.query)
}

// with is this page with a parameter changed.
func (v visit) with(name, value string) string {
	query := url.Values{name: {value}}
	for other, values := range v.query {
		if other != name && other != "openExternalBrowser" {
			query[other] = values
		}
	}
	return v.path + encode(query)
}

func encode(query url.Values) string {
	if len(query) == 0 {
		return ""
	}
	return "?" + query.Encode()
}

// connects is the policy's connect-src: the two probes, and this page. A host in
// a policy cannot be an IPv6 address (CSP Level 3 §2.3.1), so then it is any.
func (v visit) connects() string {
	if strings.HasPrefix(v.host, "[") {
		return "'self' https: wss:"
	}
	return "'self' " + v.Origin() + " " + v.Sockets()
}

// escape is a link out of an app's window, "" if there is none.
//
//   - KakaoTalk: the scheme web/openExternal, not documented by Kakao but what
//     Korean sites use, on Android and iOS.
//   - LINE: "Opening a URL in an external browser", developers.line.biz, LINE URL scheme.
//   - Android: developer.chrome.com/docs/android/intents. Without Chrome nothing
//     happens, so the page also says what to do by hand.
func (v visit) escape() template.URL {
	plain := v.Plain()
	switch {
	case v.device.App == KakaoTalk:
		return template.URL("kakaotalk://web/openExternal?url=" + url.QueryEscape(plain))
	case v.device.App == LINE:
		return template.URL(v.with("openExternalBrowser", "1"))
	case v.device.App != NoApp && v.device.Platform == Android:
		return template.URL("intent://" + strings.TrimPrefix(plain, "http://") + "#Intent;scheme=http;package=com.android.chrome;end")
	}
	return ""
}
