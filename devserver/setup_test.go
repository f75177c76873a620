package devserver

import (
	"bufio"
	"crypto/tls"
	"crypto/x509"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/gorilla/websocket"
)

// plainGet asks without TLS, as a phone that has scanned the code does.
func plainGet(t *testing.T, r *running, host, path string) (*http.Response, string) {
	t.Helper()
	client := &http.Client{
		Timeout:       patient,
		Transport:     &http.Transport{DisableKeepAlives: true},
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
	}
	request, err := http.NewRequest("GET", fmt.Sprintf("http://%s%s", net.JoinHostPort(host, fmt.Sprint(r.ready.Port)), path), nil)
	if err != nil {
		t.Fatal(err)
	}
	request.Header.Set("User-Agent", phoneAgent)
	response, err := client.Do(request)
	if err != nil {
		t.Fatal(err)
	}
	defer response.Body.Close()
	body, err := io.ReadAll(response.Body)
	if err != nil {
		t.Fatal(err)
	}
	return response, string(body)
}

func TestPlainHTTP(t *testing.T) {
	profile := []byte("<plist/>")
	r := run(t, func(c *Config) { c.RootProfile, c.Fingerprint, c.RoomToken = profile, "AB:CD", "an-open-secret" })
	base := fmt.Sprintf("https://127.0.0.1:%d", r.ready.Port)
	for _, test := range []struct {
		path        string
		status      int
		contentType string
		body        string // of it
		location    string
	}{
		{"/", 307, "text/html; charset=utf-8", "", base + "/"}, // on this machine there is nothing to set up
		{"/index.html?room=a", 307, "text/html; charset=utf-8", "", base + "/index.html?room=a"},
		{"/_rtcdev/metrics", 307, "text/html; charset=utf-8", "", base + "/_rtcdev/metrics"},
		{"/_rtcdev/signal?room=lobby", 307, "text/html; charset=utf-8", "", base + "/_rtcdev/signal?room=lobby"},
		{"/_rtcdev/trust?room=a", 200, "text/html; charset=utf-8", "AB:CD", ""},
		{"/_rtcdev/ca.mobileconfig", 200, "application/x-apple-aspen-config", string(profile), ""},
		{"/_rtcdev/ca.crt", 200, "application/x-x509-ca-cert", string(r.root.Raw), ""},
		{"/_rtcdev/ca.pem", 200, "application/pem-certificate-chain", "BEGIN CERTIFICATE", ""},
	} {
		response, body := plainGet(t, r, "127.0.0.1", test.path)
		if response.StatusCode != test.status || response.Header.Get("Location") != test.location {
			t.Errorf("%s: status %d to %q", test.path, response.StatusCode, response.Header.Get("Location"))
		}
		if got := response.Header.Get("Content-Type"); got != test.contentType {
			t.Errorf("%s: content type %q", test.path, got)
		}
		if !strings.Contains(body, test.body) || strings.Contains(body, "built-in") {
			t.Errorf("%s: %.200q", test.path, body)
		}
	}
}

// Another device's first look is the set-up page, also when this machine has no network to
// try it from.
func TestPlainHTTPFromOutside(t *testing.T) {
	_, root := testTLS(t)
	s, err := newSetUp(&Config{Root: root, Fingerprint: "AB:CD"})
	if err != nil {
		t.Fatal(err)
	}
	for from, status := range map[string]int{"192.168.0.23:5555": 200, "[fd77::1]:5555": 200, "127.0.0.1:5555": 307, "[::1]:5555": 307} {
		r := httptest.NewRequest("GET", "http://192.168.0.5:8443/?room=a", nil)
		r.RemoteAddr = from
		r.Header.Set("User-Agent", phoneAgent)
		w := httptest.NewRecorder()
		s.plain(w, r)
		if shown := strings.Contains(w.Body.String(), "AB:CD"); w.Code != status || shown != (status == 200) {
			t.Errorf("from %s: status %d: %.200s", from, w.Code, w.Body)
		}
	}
}

// Without an authority of ours there is nothing to set up.
func TestPlainHTTPWithoutRoot(t *testing.T) {
	r := run(t, func(c *Config) { c.Root = nil })
	for _, path := range []string{"/_rtcdev/trust", "/_rtcdev/ca.pem"} {
		if response, _ := plainGet(t, r, "127.0.0.1", path); response.StatusCode != 307 {
			t.Errorf("%s: status %d", path, response.StatusCode)
		}
	}
}

func TestPlainHTTPOfForeignHost(t *testing.T) {
	r := run(t, nil)
	conn, err := net.Dial("tcp", fmt.Sprintf("127.0.0.1:%d", r.ready.Port))
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	fmt.Fprint(conn, "GET /_rtcdev/trust HTTP/1.1\r\nHost: evil.example\r\n\r\n")
	response, err := http.ReadResponse(bufio.NewReader(conn), nil)
	if err != nil || response.StatusCode != http.StatusMisdirectedRequest {
		t.Errorf("%v, error %v", response, err)
	}
}

// What the set-up page asks is answered from another origin and without an invitation,
// and makes no peer.
func TestBeaconAndProbe(t *testing.T) {
	r := run(t, func(c *Config) { c.RoomToken, c.Host = "an-open-secret", "127.0.0.1" })
	response, err := r.client.Get(r.ready.URL + "_rtcdev/beacon")
	if err != nil {
		t.Fatal(err)
	}
	response.Body.Close()
	if response.StatusCode != 204 || response.Header.Get("Access-Control-Allow-Origin") != "*" {
		t.Errorf("the beacon answers %d %v", response.StatusCode, response.Header)
	}
	pool := x509.NewCertPool()
	pool.AddCert(r.root)
	dialer := websocket.Dialer{TLSClientConfig: &tls.Config{RootCAs: pool}}
	origin := http.Header{"Origin": {fmt.Sprintf("http://127.0.0.1:%d", r.ready.Port)}}
	conn, _, err := dialer.Dial(r.ready.Signal+"&probe", origin)
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	if _, _, err := conn.ReadMessage(); !websocket.IsCloseError(err, websocket.CloseNormalClosure) {
		t.Errorf("the probe ends with %v", err)
	}
	select {
	case e := <-r.events:
		t.Errorf("it makes an event: %v", e)
	default:
	}
}
