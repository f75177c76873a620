//go:build unix

package main

import (
	"crypto/tls"
	"crypto/x509"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/gorilla/websocket"
)

// All that speaks to the server does so on one port: TLS 1.2 and 1.3, HTTP/1.1 and
// HTTP/2, WebSocket and plain HTTP, Chromium and Firefox, which call each other there. 500
// connections that say nothing, or only the beginning of a handshake, stop none of
// them.
func TestOnePort(t *testing.T) {
	a := newAccount(t)
	a.trust()
	// The crowd is to last longer than the test, also on a busy machine.
	s := a.serve(a.emptyFolder("empty"), "--port", "0", "--limit", "handshake=5m")
	chromium, firefox := a.withChromium(), a.withFirefox() // they take their time to start
	silent := a.silentCrowd(s.ready.Port, 500)

	host := fmt.Sprintf("localhost:%d", s.ready.Port)
	pem, err := os.ReadFile(a.root())
	if err != nil {
		t.Fatal(err)
	}
	roots := x509.NewCertPool()
	roots.AppendCertsFromPEM(pem)
	for _, version := range []uint16{tls.VersionTLS12, tls.VersionTLS13} {
		conf := &tls.Config{RootCAs: roots, MinVersion: version, MaxVersion: version}
		for _, two := range []bool{false, true} {
			transport := &http.Transport{TLSClientConfig: conf.Clone(), ForceAttemptHTTP2: two}
			if !two {
				transport.Protocols = new(http.Protocols)
				transport.Protocols.SetHTTP1(true)
			}
			client := &http.Client{Transport: transport, Timeout: patience}
			begin := time.Now()
			answer, err := client.Get(s.ready.URL + "_rtcdev/health")
			if err != nil {
				t.Fatal(err)
			}
			body, _ := io.ReadAll(answer.Body)
			answer.Body.Close()
			transport.CloseIdleConnections()
			if answer.StatusCode != 200 || answer.TLS.Version != version || (answer.ProtoMajor == 2) != two {
				t.Errorf("%s, HTTP/2 %v: %s %s over %s", tls.VersionName(version), two, answer.Proto, answer.Status, tls.VersionName(answer.TLS.Version))
			}
			t.Logf("%s %s in %v: %s", answer.Proto, tls.VersionName(version), time.Since(begin).Round(time.Millisecond), strings.TrimSpace(string(body)))
		}
		conn, _, err := (&websocket.Dialer{TLSClientConfig: conf}).Dial("wss://"+host+"/_rtcdev/signal?room=one-port", nil)
		if err != nil {
			t.Fatalf("WebSocket, %s: %v", tls.VersionName(version), err)
		}
		if _, message, err := conn.ReadMessage(); err != nil || !strings.HasPrefix(string(message), `{"type":"welcome"`) {
			t.Errorf("WebSocket, %s: %s, %v", tls.VersionName(version), message, err)
		}
		conn.Close()
	}
	plain := &http.Client{Timeout: patience, CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }}
	answer, err := plain.Get("http://" + host + "/?room=lobby")
	if err != nil {
		t.Fatal(err)
	}
	answer.Body.Close()
	if to := answer.Header.Get("Location"); answer.StatusCode != 307 || to != s.ready.Room {
		t.Errorf("plain HTTP: %s to %s", answer.Status, to)
	}

	for _, v := range []*visitor{chromium, firefox} {
		begin := time.Now()
		v.open(s.ready.Room)
		v.get("allow()")
		t.Logf("%s has the page after %v, beside %d silent connections", v.name, time.Since(begin).Round(time.Millisecond), stillOpen(silent))
	}
	chromium.wantMoving()
	firefox.wantMoving()
	chromium.wantNoErrors()
	firefox.wantNoErrors()
	// 500 is what one address may have: each new connection took the place of a silent one.
	if n := stillOpen(silent); n < 400 {
		t.Errorf("%d silent connections were open in the end", n)
	}
}

// stillOpen counts the connections that the server has not closed.
func stillOpen(conns []net.Conn) (n int) {
	for _, conn := range conns {
		conn.SetReadDeadline(time.Now().Add(time.Millisecond))
		if _, err := conn.Read(make([]byte, 1)); os.IsTimeout(err) {
			n++
		}
	}
	return n
}

// silentCrowd opens connections that say nothing, every other one after three bytes.
func (a *account) silentCrowd(port, n int) (conns []net.Conn) {
	a.t.Helper()
	for i := range n {
		conn, err := net.Dial("tcp", fmt.Sprintf("127.0.0.1:%d", port))
		if err != nil {
			a.t.Fatal(err)
		}
		a.t.Cleanup(func() { conn.Close() })
		if i%2 == 1 {
			if _, err := conn.Write([]byte{22, 3, 1}); err != nil {
				a.t.Fatal(err)
			}
		}
		conns = append(conns, conn)
	}
	return conns
}
