package devserver

import (
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"encoding/json"
	"math/big"
	"net"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"slices"
	"strconv"
	"testing"
	"testing/synctest"
	"time"

	"rtcdev/devserver/portmux"
)

// Public names come first among the addresses, and the server answers to them and to no
// others.
func TestNames(t *testing.T) {
	r := run(t, func(c *Config) {
		c.Names = []string{"call.example.com", "*.example.org", "203.0.113.7", "2001:db8::7", "localhost"}
		c.RoomToken = "an-open-secret"
	})
	port := ":" + strconv.Itoa(r.ready.Port) + "/"
	want := []string{"https://call.example.com" + port, "https://203.0.113.7" + port, "https://[2001:db8::7]" + port, "https://localhost" + port}
	if !slices.Equal(r.ready.URLs, want) || r.ready.URL != want[0] {
		t.Errorf("ready at %s of %q", r.ready.URL, r.ready.URLs)
	}
	if r.ready.Room != want[0]+"?room=lobby&room-token=an-open-secret" || r.ready.Signal != "wss://call.example.com"+port+"_rtcdev/signal?room-token=an-open-secret" {
		t.Errorf("room %s, signaling %s", r.ready.Room, r.ready.Signal)
	}
	for host, status := range map[string]int{
		"call.example.com": 403, "CALL.example.com.": 403, "a.example.org": 403, "b.a.example.org": 403,
		"203.0.113.7": 403, "[2001:db8::7]": 403,
		"evil.example": 421, "example.com": 421, "a.call.example.com": 421, "example.org": 421, "203.0.113.8": 421,
	} {
		request, err := http.NewRequest("GET", "https://127.0.0.1"+port, nil)
		if err != nil {
			t.Fatal(err)
		}
		request.Host = host + port[:len(port)-1]
		response, err := r.client.Do(request)
		if err != nil {
			t.Fatal(err)
		}
		response.Body.Close()
		if response.StatusCode != status {
			t.Errorf("%s: status %d, want %d", host, response.StatusCode, status)
		}
	}
}

// The URL that people are shown is the one that they would write.
func TestNamesAtTheUsualPort(t *testing.T) {
	cfg := &Config{Names: []string{"*.example.com", "call.example.com", "2001:db8::7"}, Host: "127.0.0.1"}
	r := readyEvent(cfg, netip.MustParseAddr("127.0.0.1"), 443, nil)
	if want := []string{"https://call.example.com/", "https://[2001:db8::7]/", "https://127.0.0.1/"}; !slices.Equal(r.URLs, want) || r.Room != want[0]+"?room=lobby" {
		t.Errorf("%+v", r)
	}
	cfg.Names = []string{"*.example.com"}
	if r := readyEvent(cfg, netip.MustParseAddr("127.0.0.1"), 443, nil); r.URL != "https://127.0.0.1/" || len(r.URLs) != 1 {
		t.Errorf("with a wildcard alone: %+v", r)
	}
}

func TestIsPublic(t *testing.T) {
	cfg := &Config{Names: []string{"call.example.com", "*.Example.org", "2001:db8:0::7", "203.0.113.7"}}
	for host, want := range map[string]bool{
		"call.example.com": true, "Call.Example.com.": true, "a.example.org": true, "[2001:db8::7]": true, "203.0.113.7": true, "::ffff:203.0.113.7": true,
		"example.org": false, "b.a.example.org": false, "*.example.org": true, "example.com": false, "203.0.113.8": false, "": false, "localhost": false,
	} {
		if got := cfg.isPublic(host); got != want {
			t.Errorf("%q: %v", host, got)
		}
	}
}

// TURN over TLS is told with the name that a page has used: the certificate is for that one.
func TestNamesOfTURN(t *testing.T) {
	r := run(t, func(c *Config) { c.Names = []string{"call.example.com", "*.example.org"} })
	for host, want := range map[string]string{
		"call.example.com":       "turns:call.example.com:",
		"call.example.com:55443": "turns:call.example.com:",
		"room.example.org":       "turns:room.example.org:",
	} {
		request, err := http.NewRequest("GET", "https://127.0.0.1:"+strconv.Itoa(r.ready.Port)+"/_rtcdev/ice", nil)
		if err != nil {
			t.Fatal(err)
		}
		request.Host = host
		response, err := r.client.Do(request)
		if err != nil {
			t.Fatal(err)
		}
		var c rtcConfiguration
		err = json.NewDecoder(response.Body).Decode(&c)
		response.Body.Close()
		if err != nil || len(c.ICEServers) != 2 {
			t.Fatalf("%+v, %v", c, err)
		}
		want += strconv.Itoa(r.ready.Port) + "?transport=tcp"
		if got := c.ICEServers[1].URLs; !slices.Contains(got, want) {
			t.Errorf("%s: %q, want %s in it", host, got, want)
		}
	}
}

// What keeps the certificates runs as long as the server, and what it tells becomes an
// event and is seen by who asks for the server's health.
func TestKeepCertificates(t *testing.T) {
	began, ended := make(chan int, 1), make(chan struct{})
	r := run(t, func(c *Config) {
		c.Names = []string{"call.example.com"}
		c.KeepCertificates = func(ctx context.Context, port int, tell func(Certificate)) {
			defer close(ended)
			began <- port
			tell(Certificate{Name: "call.example.com", State: "failed", Problem: "no luck", RetryAt: time.Unix(1800000000, 0)})
			<-ctx.Done()
		}
		c.CertificateHealth = func() any { return []string{"call.example.com"} }
	})
	if port := <-began; port != r.ready.Port {
		t.Errorf("it is told port %d of %d", port, r.ready.Port)
	}
	if e := nextEvent[Certificate](r); e.Event != "certificate" || e.Time.IsZero() || e.State != "failed" || e.Problem != "no luck" {
		t.Errorf("%+v", e)
	}
	if got := r.read("/_rtcdev/health"); got != `{"status":"ok","version":"test","rooms":0,"peers":0,"certificates":["call.example.com"]}`+"\n" {
		t.Errorf("health: %s", got)
	}
	r.finish(nil)
	select {
	case <-ended:
	default:
		t.Error("Run has returned before it")
	}
}

// The event has no time that is not known.
func TestCertificateJSON(t *testing.T) {
	text, err := json.Marshal(Certificate{Event: "certificate", Name: "call.example.com", State: "ordering", Authority: "ca.internal"})
	if want := `{"event":"certificate","time":"0001-01-01T00:00:00Z","name":"call.example.com","state":"ordering","authority":"ca.internal"}`; err != nil || string(text) != want {
		t.Errorf("%s, %v", text, err)
	}
}

// Who keeps certificates and does not end does not keep the server from ending.
func TestKeepCertificatesStuck(t *testing.T) {
	release, ended := make(chan struct{}), make(chan struct{})
	r := run(t, func(c *Config) {
		c.KeepCertificates = func(_ context.Context, _ int, tell func(Certificate)) {
			<-release
			tell(Certificate{}) // nobody hears it
			close(ended)
		}
	})
	if took := r.finish(nil); took < shutdownTime || took > stopLimit {
		t.Errorf("stopping took %v", took)
	}
	close(release)
	<-ended
}

// A test peer gets in, although the address it goes to has another certificate than the
// root's.
func TestNamesWithPeer(t *testing.T) {
	public, own := selfSigned(t, "localhost", "call.example.com"), selfSigned(t, "test-peer.localhost")
	r := run(t, func(c *Config) {
		c.WithPeer, c.Names, c.Root = true, []string{"call.example.com", "localhost"}, own.Leaf
		c.TLS = &tls.Config{GetCertificate: func(hello *tls.ClientHelloInfo) (*tls.Certificate, error) {
			if hello.SupportsCertificate(own) == nil {
				return own, nil
			}
			return public, nil
		}}
	})
	if e := nextEvent[PeerChange](r); e.Event != "peer-joined" || e.Room != "lobby" {
		t.Errorf("%+v", e)
	}
}

// selfSigned is a certificate for names, and its own root.
func selfSigned(t *testing.T, names ...string) *tls.Certificate {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	template := &x509.Certificate{SerialNumber: big.NewInt(1), NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(time.Hour), DNSNames: names}
	der, err := x509.CreateCertificate(rand.Reader, template, template, &key.PublicKey, key)
	if err != nil {
		t.Fatal(err)
	}
	leaf, err := x509.ParseCertificate(der)
	if err != nil {
		t.Fatal(err)
	}
	return &tls.Certificate{Certificate: [][]byte{der}, PrivateKey: key, Leaf: leaf}
}

// Nobody who comes by a public name is led to trust the local root.
func TestNamesNeedNoRoot(t *testing.T) {
	_, root := testTLS(t)
	s, err := newSetUp(&Config{Root: root, Names: []string{"call.example.com"}})
	if err != nil {
		t.Fatal(err)
	}
	for host, status := range map[string]int{"call.example.com:8443": 307, "192.168.0.5:8443": 200} {
		r := httptest.NewRequest("GET", "http://"+host+"/?room=a", nil)
		r.RemoteAddr = "198.51.100.2:5555"
		w := httptest.NewRecorder()
		s.plain(w, r)
		if w.Code != status || status == 307 && w.Header().Get("Location") != "https://"+host+"/?room=a" {
			t.Errorf("at %s: status %d to %q", host, w.Code, w.Header().Get("Location"))
		}
	}
}

func TestNamesThatDevicesRefuse(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		d := track(t)
		d.cfg.Names = []string{"call.example.com"}
		for from, name := range map[string]string{"192.0.2.1": "Call.example.com", "192.0.2.2": "laptop.local"} {
			d.refused(portmux.Refusal{
				Remote: &net.TCPAddr{IP: net.ParseIP(from), Port: 5555}, Local: &net.TCPAddr{IP: net.IPv4(192, 0, 2, 9), Port: 443},
				Reason: portmux.CertificateRefused, ServerName: name,
			})
		}
		for _, e := range d.next() {
			public := e.Addr == "192.0.2.1"
			if e.Refused != CertificateRefused || (e.ServerName == "call.example.com") != public || (e.Next == "") != public {
				t.Errorf("%+v", e)
			}
		}
	})
}
