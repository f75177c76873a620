package devserver

import (
	"crypto/tls"
	"crypto/x509"
	"io"
	"net/http"
	"net/http/cookiejar"
	"net/url"
	"strings"
	"testing"

	"github.com/gorilla/websocket"
)

func TestCheckToken(t *testing.T) {
	for token, fine := range map[string]bool{
		"": true, "abcdefgh": true, "A-b_9-xyz": true, "short": false, "has space in it": false, "with&more=1": false, "열두글자비밀번호": false,
	} {
		if err := checkToken(token); (err == nil) != fine {
			t.Errorf("%q: %v", token, err)
		}
	}
}

func TestTokenGuard(t *testing.T) {
	const secret = "an-open-secret"
	r := run(t, func(c *Config) { c.RoomToken, c.Host = secret, "127.0.0.1" })
	status := func(address string, cookie string) int {
		t.Helper()
		request, err := http.NewRequest("GET", address, nil)
		if err != nil {
			t.Fatal(err)
		}
		if cookie != "" {
			request.AddCookie(&http.Cookie{Name: tokenName, Value: cookie})
		}
		response, err := r.client.Do(request)
		if err != nil {
			t.Fatal(err)
		}
		defer response.Body.Close()
		_, _ = io.Copy(io.Discard, response.Body)
		return response.StatusCode
	}
	for _, test := range []struct {
		path, cookie string
		want         int
	}{
		{"", "", 403},
		{"?room=lobby", "", 403},
		{"?room-token=" + secret, "", 200},
		{"?room-token=" + secret + "x", "", 403},
		{"?room-token=", "", 403},
		{"", secret, 200},
		{"", secret[1:], 403},
		{"_rtcdev/metrics", "", 403},
		{"_rtcdev/ca.pem", "", 200},
		{"socket.io/?EIO=4&transport=polling", "", 403},
		{"peerjs/id", "", 403},
		{"peerjs/id?key=peerjs&room-token=" + secret, "", 200},
	} {
		if got := status(r.ready.URL+test.path, test.cookie); got != test.want {
			t.Errorf("%q with cookie %q: status %d, want %d", test.path, test.cookie, got, test.want)
		}
	}
	if !strings.HasSuffix(r.ready.Room, "&room-token="+secret) || !strings.HasSuffix(r.ready.Signal, "/signal?room-token="+secret) {
		t.Errorf("the link is %s, signaling %s", r.ready.Room, r.ready.Signal)
	}
}

// A page that was opened by the link opens its WebSocket without the secret.
func TestTokenByCookie(t *testing.T) {
	const secret = "an-open-secret"
	r := run(t, func(c *Config) { c.RoomToken, c.Host = secret, "127.0.0.1" })
	jar, _ := cookiejar.New(nil)
	r.client.Jar = jar
	pool := x509.NewCertPool()
	pool.AddCert(r.root)
	dialer := websocket.Dialer{TLSClientConfig: &tls.Config{RootCAs: pool}, Jar: jar}
	dial := func() (int, error) {
		conn, response, err := dialer.Dial(strings.Replace(r.ready.Signal, "room-token="+secret, "room=lobby", 1), nil)
		if conn != nil {
			conn.Close()
		}
		if response == nil {
			return 0, err
		}
		return response.StatusCode, nil
	}
	if status, err := dial(); status != 403 || err != nil {
		t.Errorf("before: status %d, error %v", status, err)
	}
	response, err := r.client.Get(r.ready.Room)
	if err != nil {
		t.Fatal(err)
	}
	response.Body.Close()
	base, _ := url.Parse(r.ready.URL)
	if len(jar.Cookies(base)) != 1 {
		t.Error("there is no cookie")
	}
	for _, c := range response.Cookies() {
		if !c.HttpOnly || !c.Secure || c.SameSite != http.SameSiteLaxMode {
			t.Errorf("the cookie is open: %v", c)
		}
	}
	if status, err := dial(); status != 101 || err != nil {
		t.Errorf("after: status %d, error %v", status, err)
	}
}
