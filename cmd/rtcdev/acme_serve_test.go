//go:build unix

package main

import (
	"crypto/tls"
	"fmt"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/gorilla/websocket"

	"rtcdev/scripts/rehearsal"
)

// join joins a room by WebSocket as a page of the public name does.
func (h *publicHost) join(s *server, room string) *websocket.Conn {
	h.t.Helper()
	dialer := websocket.Dialer{TLSClientConfig: &tls.Config{RootCAs: h.ca.Issuers()}, NetDialContext: here, HandshakeTimeout: patience}
	conn, _, err := dialer.Dial(fmt.Sprintf("wss://%s:%d/_rtcdev/signal?room=%s", publicName, s.ready.Port, room), nil)
	if err != nil {
		h.t.Fatalf("WebSocket: %v\n%s", err, &s.log)
	}
	h.t.Cleanup(func() { conn.Close() })
	h.hears(conn, "welcome")
	return conn
}

// hears reads the next message of a kind, and returns what it is about.
func (h *publicHost) hears(conn *websocket.Conn, kind string) any {
	h.t.Helper()
	_ = conn.SetReadDeadline(time.Now().Add(patience))
	for {
		var m struct {
			Type string
			Data any
		}
		if err := conn.ReadJSON(&m); err != nil {
			h.t.Fatalf("waiting for %q: %v", kind, err)
		}
		if m.Type == kind {
			return m.Data
		}
	}
}

// An authority that is down when the server starts keeps nobody waiting: this machine has the
// local authority's certificate, and why the public name has none is told everywhere. When the
// authority is back, pages, WebSockets and turns: have its certificate.
func TestACMEAuthorityDownAtStart(t *testing.T) {
	h := newPublicHost(t, rehearsal.Options{})
	h.ca.Stop()
	s := h.servePublic("-v")
	if want := fmt.Sprintf("https://%s:%d/", publicName, s.ready.Port); s.ready.URL != want {
		t.Errorf("it is at %s, want %s", s.ready.URL, want)
	}
	failed := s.certificate("failed")
	for key, want := range map[string]string{
		"name": publicName, "problem": "does not answer", "next": "check the network of this machine, and that the authority runs", "retryAt": "20",
	} {
		if got, _ := failed[key].(string); !strings.Contains(got, want) {
			t.Errorf("the event's %s is %q, want %q", key, got, want)
		}
	}
	if code, body := ask(t, trustingClient(t, h.root()), "GET", fmt.Sprintf("https://localhost:%d/", s.ready.Port), "", ""); code != http.StatusOK || !strings.Contains(body, "<html") {
		t.Errorf("localhost: %d %s", code, body)
	}
	h.notYet(s)
	h.isLocal(s)
	if got := h.health(s); len(got) != 1 || got[0].Name != publicName || got[0].Kind != "unreachable" || !strings.Contains(got[0].Problem, "does not answer") || got[0].good() {
		t.Errorf("health tells %+v", got)
	}
	reports, text := h.status()
	if len(reports) != 1 || reports[0].Kind != "unreachable" || reports[0].Next == "" || reports[0].FailedAt.IsZero() || reports[0].good() {
		t.Errorf("certs status --json tells %+v", reports)
	}
	for _, want := range []string{publicName + "  has no certificate", "does not answer", "next: check the network", "rtcdev serve tries again at"} {
		if !strings.Contains(text, want) {
			t.Errorf("certs status lacks %q:\n%s", want, text)
		}
	}

	h.ca.Resume()
	s.untilCertificate("obtained")
	if code, body := ask(t, h.web(), "GET", s.ready.URL, "", ""); code != http.StatusOK || !strings.Contains(body, "<html") {
		t.Errorf("the page is %d %s", code, body)
	}
	h.talk(s)
	one, other := h.allocate(s), h.allocate(s)
	one.meets(other)
	one.sends(other, "over TLS")
	if names := leafOf(one.conn).DNSNames; len(names) != 1 || names[0] != publicName {
		t.Errorf("turns: has a certificate for %q", names)
	}
	reports, text = h.status()
	if got := h.health(s); len(got) != 1 || !got[0].good() || got[0].Problem+got[0].Kind != "" || len(reports) != 1 || !reports[0].good() ||
		reports[0].Problem+reports[0].Kind+reports[0].Next != "" || !reports[0].RetryAt.IsZero() || strings.Contains(text, "failed") {
		t.Errorf("the failure is still told: %+v, %+v\n%s", got, reports, text)
	}
	if code, _ := ask(t, trustingClient(t, h.root()), "GET", fmt.Sprintf("https://localhost:%d/", s.ready.Port), "", ""); code != http.StatusOK {
		t.Errorf("localhost: %d", code)
	}
}

// talk checks that a message gets from one WebSocket to another.
func (h *publicHost) talk(s *server) {
	h.t.Helper()
	a, b := h.join(s, "x"), h.join(s, "x")
	h.hears(a, "peer-joined")
	if err := b.WriteJSON(map[string]any{"type": "signal", "data": "안녕"}); err != nil {
		h.t.Fatal(err)
	}
	if got := h.hears(a, "signal"); got != "안녕" {
		h.t.Errorf("the other one hears %v", got)
	}
}

// untilCertificate waits for a state, past failures.
func (s *server) untilCertificate(state string) map[string]any {
	s.t.Helper()
	for {
		if e := s.event("certificate"); e["state"] == state {
			return e
		}
	}
}

// The authority checks the name at the server's own port, while pages are fetched from there.
func TestACMEAtTheServersOwnPort(t *testing.T) {
	at := rehearsal.FreePort(t)
	h := newPublicHost(t, rehearsal.Options{TLSPort: at})
	reached, release := h.hold(rehearsal.Challenge)
	s := h.servePublic("--challenge", "tls-alpn-01", "--port", port(at), "--strict-port")
	await(t, "the check is asked for", reached)
	client := trustingClient(t, h.root())
	localhost := fmt.Sprintf("https://localhost:%d/", at)
	get := func() {
		t.Helper()
		client.CloseIdleConnections()
		if code, _ := ask(t, client, "GET", localhost, "", ""); code != http.StatusOK {
			t.Errorf("during the order: %d", code)
		}
	}
	get()
	h.notYet(s)
	release()
	for obtained := false; !obtained; {
		select {
		case e := <-s.events:
			if e["state"] == "failed" || e == nil {
				t.Fatalf("%v\n%s", e, &s.log)
			}
			obtained = e["state"] == "obtained"
		default:
			get()
		}
	}
	if code, _ := ask(t, h.web(), "GET", s.ready.URL, "", ""); code != http.StatusOK {
		t.Errorf("the page is %d", code)
	}
	// Who asks for the answer to a check that is over gets none.
	if conn, err := h.shake(s, h.trusting("acme-tls/1")); err == nil {
		conn.Close()
		t.Error("a check without an order was answered")
	}
}

// A name that leads nowhere the authority could connect to has a certificate by the DNS, and so
// has a wildcard.
func TestACMEByTheDNS(t *testing.T) {
	h := newPublicHost(t, rehearsal.Options{})
	h.ca.SetNoName(publicName)
	h.ca.SetNoName("lan.example.com")
	byDNS := []string{"--dns-hook", h.ca.WriteHook(t), "--dns-resolver", h.ca.DNSAddr}
	s := h.servePublic(byDNS...)
	s.certificate("obtained")
	if code, _ := ask(t, h.web(), "GET", s.ready.URL, "", ""); code != http.StatusOK {
		t.Errorf("the page is %d", code)
	}
	wild := h.beginWith(nil, append(append([]string{"certs", "acme", "*.lan.example.com", "--json"}, h.about()...), byDNS...)...).end()
	if wild.code != 0 || !strings.Contains(wild.out, `"name":"*.lan.example.com"`) {
		t.Errorf("a wildcard: %d\n%s%s", wild.code, wild.out, wild.err)
	}
	pair, err := tls.LoadX509KeyPair(h.kept("wildcard_*.crt")[0], h.kept("wildcard_*.key")[0])
	if err != nil {
		t.Fatal(err)
	}
	if err := pair.Leaf.VerifyHostname("cam.lan.example.com"); err != nil {
		t.Error(err)
	}
	calls := h.ca.HookCalls()
	if len(calls) != 4 {
		t.Fatalf("the program was called so: %q", calls)
	}
	for i, want := range []string{"present _acme-challenge." + publicName, "cleanup _acme-challenge." + publicName,
		"present _acme-challenge.lan.example.com", "cleanup _acme-challenge.lan.example.com"} {
		if !strings.HasPrefix(calls[i], want+" ") {
			t.Errorf("call %d of the program is %q, want %q", i, calls[i], want)
		}
	}
}
