package portmux

import (
	"bytes"
	"context"
	"crypto/tls"
	"io"
	"net"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/gorilla/websocket"
)

func wantIn(t *testing.T, text string, parts ...string) {
	t.Helper()
	for _, part := range parts {
		if !strings.Contains(text, part) {
			t.Errorf("%q is missing in:\n%s", part, text)
		}
	}
}

// Programs that people have find what they look for on one port.
func TestOpenSSL(t *testing.T) {
	p := open(t, nil).everything(nil)
	get := "GET / HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n"
	for version, flag := range map[string]string{"TLS 1.2": "-tls1_2", "TLS 1.3": "-tls1_3"} {
		client := func(input string, more ...string) string {
			t.Helper()
			args := []string{"s_client", "-connect", p.addr, "-servername", "localhost", "-CAfile", p.file, "-verify_return_error", flag, "-ign_eof"}
			return tool(t, input, "openssl", append(args, more...)...)
		}
		wantIn(t, client(get, "-alpn", "http/1.1"), "ALPN protocol: http/1.1", "HTTP/1.1 200 OK", "HTTP/1.1 "+version+` alpn="http/1.1"`)
		wantIn(t, client(get), "No ALPN negotiated", "HTTP/1.1 200 OK", "HTTP/1.1 "+version+` alpn=""`)
		stun := string(answer(bindingRequest()))
		wantIn(t, client(string(bindingRequest()), "-alpn", "stun.turn"), "ALPN protocol: stun.turn", stun)
		wantIn(t, client(string(bindingRequest()), "-alpn", "stun.nat-discovery"), stun)
		wantIn(t, client(string(bindingRequest())), "No ALPN negotiated", stun)
		// The server's first frame is SETTINGS (RFC 9113 §3.4): h2 is not only agreed on.
		preface := "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n" + "\x00\x00\x00\x04\x00\x00\x00\x00\x00" +
			"\x00\x00\x08\x07\x00\x00\x00\x00\x00" + strings.Repeat("\x00", 8) // GOAWAY
		wantIn(t, client(preface, "-alpn", "h2"), "ALPN protocol: h2", "\x04\x00\x00\x00\x00\x00")
	}
	wantNoRefusal(t, p)
}

func wantNoRefusal(t *testing.T, p *port) {
	t.Helper()
	select {
	case r := <-p.refusals:
		t.Errorf("told as refused: %+v", r)
	default:
	}
}

func TestCurl(t *testing.T) {
	p := open(t, nil).everything(nil)
	curl := func(args ...string) string {
		t.Helper()
		return tool(t, "", "curl", append([]string{"-sS", "--cacert", p.file}, args...)...)
	}
	for args, want := range map[string]string{
		"--http2 https://":               `HTTP/2.0 TLS 1.3 alpn="h2"`,
		"--http1.1 https://":             `HTTP/1.1 TLS 1.3 alpn="http/1.1"`,
		"--no-alpn https://":             `HTTP/1.1 TLS 1.3 alpn=""`,
		"--tls-max 1.2 --http2 https://": `HTTP/2.0 TLS 1.2 alpn="h2"`,
		"http://":                        "plain true",
	} {
		if got := curl(strings.Fields(args + p.addr + "/")...); got != want {
			t.Errorf("curl %s: %q, want %q", args, got, want)
		}
	}
	wantNoRefusal(t, p)
}

func TestNodeWithoutALPN(t *testing.T) {
	p := open(t, nil).everything(nil)
	host, number, err := net.SplitHostPort(p.addr)
	if err != nil {
		t.Fatal(err)
	}
	script := `
const [host, port, ca, hex] = process.argv.slice(1);
const socket = require('tls').connect({host, port, ca: require('fs').readFileSync(ca), servername: 'localhost'}, () => {
  console.log('alpn', socket.alpnProtocol, socket.authorized);
  socket.write(Buffer.from(hex, 'hex'));
});
const parts = [];
socket.on('data', part => parts.push(part));
socket.on('close', () => process.stdout.write(Buffer.concat(parts)));
socket.on('error', error => console.log(error.message));
`
	for input, want := range map[string]string{
		"GET / HTTP/1.0\r\n\r\n":   `HTTP/1.0 TLS 1.3 alpn=""`,
		string(bindingRequest()):   string(answer(bindingRequest())),
		"GET /x HTTP/1.0\r\n\r\n ": "HTTP/1.0 200 OK",
	} {
		wantIn(t, tool(t, "", "node", "-e", script, host, number, p.file, hexOf(input)), "alpn false true", want)
	}
}

func hexOf(s string) string {
	const digits = "0123456789abcdef"
	var b strings.Builder
	for i := range len(s) {
		b.WriteByte(digits[s[i]>>4])
		b.WriteByte(digits[s[i]&15])
	}
	return b.String()
}

func TestWebSocket(t *testing.T) {
	p := open(t, nil).everything(nil)
	for name, dialer := range map[string]*websocket.Dialer{
		"with ALPN": {TLSClientConfig: &tls.Config{RootCAs: p.pool}},
		"without": {NetDialTLSContext: func(context.Context, string, string) (net.Conn, error) {
			return p.dialTLS(0), nil
		}},
	} {
		conn, _, err := dialer.Dial("wss://"+p.addr+"/ws", nil)
		if err != nil {
			t.Fatalf("%s: %v", name, err)
		}
		for _, text := range []string{"hello", strings.Repeat("long ", 50_000)} {
			if err := conn.WriteMessage(websocket.TextMessage, []byte(text)); err != nil {
				t.Fatal(err)
			}
			if _, got, err := conn.ReadMessage(); err != nil || string(got) != text {
				t.Errorf("%s: %d bytes came back of %d, error %v", name, len(got), len(text), err)
			}
		}
		conn.Close()
	}
}

func TestSTUN(t *testing.T) {
	p := open(t, nil).everything(nil)
	for name, c := range map[string]net.Conn{
		"TCP":                     p.dial(),
		"TLS":                     p.dialTLS(tls.VersionTLS13),
		"TLS 1.2":                 p.dialTLS(tls.VersionTLS12),
		"TLS, stun.turn":          p.dialTLS(0, "stun.turn"),
		"TLS, stun.nat-discovery": p.dialTLS(0, "stun.nat-discovery"),
	} {
		for _, b := range bindingRequest() { // byte by byte
			if _, err := c.Write([]byte{b}); err != nil {
				t.Fatal(err)
			}
		}
		got, err := io.ReadAll(c)
		if err != nil || !bytes.Equal(got, answer(bindingRequest())) {
			t.Errorf("%s: got %q, error %v", name, got, err)
		}
	}
}

// An owner's own TLS configuration is what clients meet, and stays untouched.
func TestTLSConfigIsKept(t *testing.T) {
	var given *tls.Config
	p := open(t, func(c *Config) {
		given = c.TLS
		given.NextProtos = []string{"acme-tls/1", "h2"}
		given.MinVersion = tls.VersionTLS13
	}).everything(nil)
	if c := p.dialTLS(0, "acme-tls/1"); c.ConnectionState().NegotiatedProtocol != "acme-tls/1" {
		t.Error("acme-tls/1 is not negotiated")
	} else {
		wantClosed(t, "acme-tls/1, which net/http does not know,", c) // RFC 8737 §3
	}
	if len(given.NextProtos) != 2 {
		t.Errorf("the owner's configuration now has %q", given.NextProtos)
	}
	old := tls.Client(p.dial(), &tls.Config{RootCAs: p.pool, ServerName: "localhost", MaxVersion: tls.VersionTLS12})
	if err := old.HandshakeContext(t.Context()); err == nil {
		t.Error("MinVersion is not kept")
	}
	if r := p.nextRefusal(); r.Reason != Failed {
		t.Errorf("told: %+v", r)
	}
}

// A server that has its own TLSConfig needs h2 in it: this is net/http's rule, and
// the reason for what the package comment asks of the owner.
func TestServerWithTLSConfig(t *testing.T) {
	for name, conf := range map[string]*tls.Config{"none": nil, "with h2": {NextProtos: []string{"h2"}}} {
		t.Run(name, func(t *testing.T) {
			p := open(t, nil)
			p.run(&http.Server{TLSConfig: conf, Handler: http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
				_, _ = io.WriteString(w, r.Proto)
			})}, p.HTTPS())
			p.serve()
			p.wantPage(p.client(), "HTTP/2.0")
		})
	}
}

// 500 connections that say nothing do not keep a page waiting, on either side of TLS.
func TestSilentCrowd(t *testing.T) {
	p := open(t, func(c *Config) { c.Patience = time.Minute }).everything(nil)
	var silent []net.Conn
	for i := range 500 {
		c := p.dial()
		if i%2 == 1 {
			_, _ = c.Write([]byte{22, 3, 1}) // half open
		}
		silent = append(silent, c)
	}
	eventually(t, "all are in the mux", func() bool { return telling() == len(silent) })
	began := time.Now()
	p.wantPage(p.client(), `HTTP/2.0 TLS 1.3 alpn="h2"`)
	if took := time.Since(began); took > 5*time.Second {
		t.Errorf("the page took %v", took)
	}
	p.Close()
	if n := telling(); n != 0 {
		t.Errorf("%d goroutines are left", n)
	}
	for _, c := range silent {
		wantClosed(t, "a silent one", c)
	}
}
