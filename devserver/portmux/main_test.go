package portmux

import (
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/binary"
	"encoding/pem"
	"errors"
	"fmt"
	"io"
	"math/big"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/gorilla/websocket"
	"go.uber.org/goleak"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// patient is how long a test waits for what must happen.
const patient = 20 * time.Second

// eventually asks until the answer is yes, about what tells nobody when it changes.
func eventually(t *testing.T, what string, is func() bool) {
	t.Helper()
	ticker := time.NewTicker(2 * time.Millisecond)
	defer ticker.Stop()
	for deadline := time.Now().Add(patient); !is(); <-ticker.C {
		if time.Now().After(deadline) {
			t.Fatalf("waited in vain: %s", what)
		}
	}
}

// issued gives a certificate for localhost, 127.0.0.1 and ::1, who trusts its root,
// and a file with that for other programs.
func issued(t testing.TB) (cert tls.Certificate, pool *x509.CertPool, file string) {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	sign := func(template, parent *x509.Certificate) []byte {
		template.NotBefore, template.NotAfter = time.Now().Add(-time.Hour), time.Now().Add(time.Hour)
		der, err := x509.CreateCertificate(rand.Reader, template, parent, &key.PublicKey, key)
		if err != nil {
			t.Fatal(err)
		}
		return der
	}
	root := &x509.Certificate{
		SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: "portmux test"},
		IsCA: true, BasicConstraintsValid: true, KeyUsage: x509.KeyUsageCertSign,
	}
	text := pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: sign(root, root)})
	leaf := sign(&x509.Certificate{
		SerialNumber: big.NewInt(2), KeyUsage: x509.KeyUsageDigitalSignature, ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth},
		DNSNames: []string{"localhost"}, IPAddresses: []net.IP{net.IPv4(127, 0, 0, 1), net.IPv6loopback},
	}, root)
	file = filepath.Join(t.TempDir(), "root.pem")
	if err := os.WriteFile(file, text, 0o600); err != nil {
		t.Fatal(err)
	}
	pool = x509.NewCertPool()
	pool.AppendCertsFromPEM(text)
	return tls.Certificate{Certificate: [][]byte{leaf}, PrivateKey: key}, pool, file
}

// port is a mux with the consumers that a test wants.
type port struct {
	*Mux
	t        *testing.T
	addr     string
	pool     *x509.CertPool
	file     string // the certificate
	refusals chan Refusal
}

// open makes a mux without consumers.
func open(t *testing.T, change func(*Config)) *port {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	return openOn(t, l, change)
}

func openOn(t *testing.T, l net.Listener, change func(*Config)) *port {
	t.Helper()
	cert, pool, file := issued(t)
	p := &port{t: t, addr: l.Addr().String(), pool: pool, file: file, refusals: make(chan Refusal, 1000)}
	cfg := Config{
		TLS:       &tls.Config{Certificates: []tls.Certificate{cert}},
		OnRefused: func(r Refusal) { p.refusals <- r },
	}
	if change != nil {
		change(&cfg)
	}
	p.Mux = New([]net.Listener{l}, cfg)
	return p
}

// serve accepts until the test ends, which makes sure that Serve then says so.
func (p *port) serve() *port {
	p.t.Helper()
	served := make(chan error, 1)
	go func() { served <- p.Serve() }()
	p.t.Cleanup(func() {
		p.Close()
		if err := <-served; !errors.Is(err, net.ErrClosed) {
			p.t.Errorf("Serve returned %v", err)
		}
	})
	return p
}

// everything takes all three listeners: HTTP over TLS tells what it is, and echoes
// WebSocket messages at /ws; plain HTTP says "plain"; the relay answers STUN.
func (p *port) everything(connState func(net.Conn, http.ConnState)) *port {
	p.t.Helper()
	p.https(connState)
	plain := &http.Server{ConnState: connState, Handler: http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		fmt.Fprintf(w, "plain %v", r.TLS == nil)
	})}
	p.run(plain, p.Plain())
	go answerSTUN(p.Relay())
	return p.serve()
}

func (p *port) https(connState func(net.Conn, http.ConnState)) {
	mux := http.NewServeMux()
	mux.HandleFunc("/", func(w http.ResponseWriter, r *http.Request) {
		fmt.Fprintf(w, "%s %s alpn=%q", r.Proto, tls.VersionName(r.TLS.Version), r.TLS.NegotiatedProtocol)
	})
	mux.HandleFunc("/ws", func(w http.ResponseWriter, r *http.Request) {
		var upgrader websocket.Upgrader
		conn, err := upgrader.Upgrade(w, r, nil)
		if err != nil {
			return
		}
		defer conn.Close()
		for {
			kind, text, err := conn.ReadMessage()
			if err != nil || conn.WriteMessage(kind, text) != nil {
				return
			}
		}
	})
	p.run(&http.Server{Handler: mux, ConnState: connState}, p.HTTPS())
}

// run is all that an owner does with net/http: Serve, and no TLSConfig.
func (p *port) run(srv *http.Server, l net.Listener) {
	served := make(chan error, 1)
	go func() { served <- srv.Serve(l) }()
	p.t.Cleanup(func() {
		srv.Close()
		<-served
	})
}

// bindingRequest is a STUN message (RFC 8489 §5), answer what answers it.
func bindingRequest() []byte {
	b := binary.BigEndian.AppendUint32([]byte{0, 1, 0, 0}, 0x2112A442)
	return append(b, "transaction!"...)
}

func answer(request []byte) []byte { return append([]byte{1, 1}, request[2:]...) }

func answerSTUN(l net.Listener) {
	var answering sync.WaitGroup
	defer answering.Wait()
	for {
		c, err := l.Accept()
		if err != nil {
			return
		}
		answering.Go(func() {
			defer c.Close()
			request := make([]byte, 20)
			if _, err := io.ReadFull(c, request); err == nil {
				_, _ = c.Write(answer(request))
			}
		})
	}
}

func (p *port) dial() net.Conn {
	p.t.Helper()
	c, err := net.Dial("tcp", p.addr)
	if err != nil {
		p.t.Fatal(err)
	}
	p.t.Cleanup(func() { c.Close() })
	_ = c.SetDeadline(time.Now().Add(patient))
	return c
}

// dialTLS returns a connection after its handshake.
func (p *port) dialTLS(version uint16, protocols ...string) *tls.Conn {
	p.t.Helper()
	c := tls.Client(p.dial(), &tls.Config{
		RootCAs: p.pool, ServerName: "localhost", NextProtos: protocols, MinVersion: version, MaxVersion: version,
	})
	if err := c.HandshakeContext(context.Background()); err != nil {
		p.t.Fatal(err)
	}
	return c
}

// client does HTTP over TLS as a browser does, with HTTP/2.
func (p *port) client() *http.Client {
	transport := &http.Transport{TLSClientConfig: &tls.Config{RootCAs: p.pool}, ForceAttemptHTTP2: true}
	p.t.Cleanup(transport.CloseIdleConnections)
	return &http.Client{Transport: transport, Timeout: patient}
}

func (p *port) wantPage(client *http.Client, want string) {
	p.t.Helper()
	resp, err := client.Get("https://" + p.addr + "/")
	if err != nil {
		p.t.Fatal(err)
	}
	defer resp.Body.Close()
	body, err := io.ReadAll(resp.Body)
	if err != nil || string(body) != want {
		p.t.Fatalf("got %q, error %v; want %q", body, err, want)
	}
}

// wantClosed waits until the server has closed the connection.
func wantClosed(t *testing.T, what string, c net.Conn) {
	t.Helper()
	_ = c.SetReadDeadline(time.Now().Add(patient))
	_, err := io.Copy(io.Discard, c)
	if errors.Is(err, os.ErrDeadlineExceeded) {
		t.Errorf("%s: still open", what)
	}
}

func (p *port) nextRefusal() Refusal {
	p.t.Helper()
	select {
	case r := <-p.refusals:
		return r
	case <-time.After(patient):
		p.t.Fatal("no refusal is told")
		return Refusal{}
	}
}

// telling counts the goroutines that have a connection in the mux.
func telling() int {
	stacks := make([]byte, 16<<20)
	return strings.Count(string(stacks[:runtime.Stack(stacks, true)]), "portmux.(*Mux).handOver(")
}

// tool runs another program with input, and returns all that it printed.
func tool(t *testing.T, input, name string, args ...string) string {
	t.Helper()
	needTool(t, name)
	ctx, cancel := context.WithTimeout(t.Context(), patient)
	defer cancel()
	cmd := exec.CommandContext(ctx, name, args...)
	cmd.Env = append(os.Environ(), "HOME="+t.TempDir())
	cmd.Stdin = strings.NewReader(input)
	out, err := cmd.CombinedOutput()
	if ctx.Err() != nil {
		t.Fatalf("%s took too long: %v\n%s", name, err, out)
	}
	return string(out)
}

func needTool(t *testing.T, name string) {
	t.Helper()
	if _, err := exec.LookPath(name); err == nil {
		return
	}
	if os.Getenv("CI") == "true" {
		t.Fatalf("%s is missing", name)
	}
	t.Skipf("%s is missing: install the package %s", name, strings.Replace(name, "node", "nodejs", 1))
}
