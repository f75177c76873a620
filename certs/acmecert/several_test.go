package acmecert

import (
	"crypto/tls"
	"errors"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/mholt/acmez/v3/acme"

	"rtcdev/scripts/rehearsal"
)

// A try with another authority leaves alone what belongs to the first one: where copies go, and how
// long its rate limit lasts.
func TestTwoAuthorities(t *testing.T) {
	r := newRig(t, rehearsal.Options{}, "call.example.com")
	out := t.TempDir()
	r.cfg.CertFile, r.cfg.KeyFile = filepath.Join(out, "c"), filepath.Join(out, "k")
	if err := r.manager().Obtain(t.Context()); err != nil {
		t.Fatal(err)
	}
	copied, err := os.ReadFile(r.cfg.CertFile)
	if err != nil {
		t.Fatal(err)
	}
	r.cfg.Names = []string{"www.example.com"}
	r.cfg.CertFile, r.cfg.KeyFile = "", ""
	r.ca.Intercept(tooMany("7200"))
	limit := r.problemOf(r.manager())

	other := newRig(t, rehearsal.Options{HTTPPort: r.cfg.HTTPPort}, "call.example.com", "www.example.com")
	other.cfg.Folder, other.cfg.HTTPPort = r.cfg.Folder, r.cfg.HTTPPort
	if err := other.manager().Obtain(t.Context()); err != nil {
		t.Fatal(err)
	}
	if now, err := os.ReadFile(filepath.Join(out, "c")); err != nil || string(now) != string(copied) {
		t.Errorf("the copy of the first authority's certificate was replaced (%v)", err)
	}
	r.ca.Intercept(nil)
	orders := r.ca.Orders()
	if p := r.problemOf(r.manager()); p.Kind != RateLimited || !p.Until.Equal(limit.Until) {
		t.Errorf("got %+v, want the limit until %v", p, limit.Until)
	}
	if r.ca.Orders() != orders {
		t.Error("there was an order")
	}
	states, err := ReadStates(r.cfg.Folder)
	if err != nil || len(states) != 4 {
		t.Errorf("%+v, %v", states, err)
	}
}

// tooMany answers orders with a rate limit.
func tooMany(retryAfter string) func(http.ResponseWriter, *http.Request) bool {
	return func(w http.ResponseWriter, q *http.Request) bool {
		if q.URL.Path == rehearsal.NewOrder {
			w.Header().Set("Retry-After", retryAfter)
			rehearsal.Problem(w, http.StatusTooManyRequests, "rateLimited", "too many")
		}
		return q.URL.Path == rehearsal.NewOrder
	}
}

// An authority that is busy says so before it gives its directory.
func TestBusyAuthority(t *testing.T) {
	for status, kind := range map[int]Kind{http.StatusTooManyRequests: RateLimited, http.StatusServiceUnavailable: NoAuthority} {
		r := newRig(t, rehearsal.Options{}, "call.example.com")
		r.ca.Intercept(func(w http.ResponseWriter, _ *http.Request) bool {
			w.Header().Set("Retry-After", "3600")
			w.WriteHeader(status)
			return true
		})
		if p := r.problemOf(r.manager()); p.Kind != kind || time.Until(p.Until) < 59*time.Minute {
			t.Errorf("%d: got %+v", status, p)
		}
	}
}

// One order is one check, however many ways there are.
func TestOneCheckForEachOrder(t *testing.T) {
	r := newRig(t, rehearsal.Options{}, "call.example.com")
	r.ca.SetNoName("call.example.com")
	m := r.manager()
	for failures, want := range []Challenge{TLSALPN01, HTTP01, TLSALPN01} {
		got, err := m.serverChooser(443, failures)(t.Context())
		if got != want || err != nil {
			t.Errorf("after %d failures: %s, %v", failures, got, err)
		}
	}
	if got, err := m.serverChooser(8443, 0)(t.Context()); got != HTTP01 || err != nil {
		t.Errorf("at another port: %s, %v", got, err)
	}
	m.cfg.TLSPort = r.cfg.HTTPPort // so that the check reaches nothing that counts
	if p := m.look(t.Context(), m.certs[0], m.serverChooser(443, 1)); p == nil || p.Kind != NoName {
		t.Errorf("got %v", p)
	}
	if n := r.ca.Requests(rehearsal.Challenge); n != 1 || r.ca.Orders() != 1 {
		t.Errorf("%d checks and %d orders", n, r.ca.Orders())
	}
}

// A program for the DNS that does nothing is found out, and so is a DNS server that does not
// know the zone.
func TestHookDoesNothing(t *testing.T) {
	r := newRig(t, rehearsal.Options{}, "call.example.com")
	r.cfg.DNSHook = hookFile(t)
	r.cfg.Resolvers = []string{"127.0.0.1:9"} // discard, RFC 863: nobody answers
	if p := r.problemOf(r.manager()); p.Kind != HookFailed || !strings.Contains(p.What, "zone") || !strings.Contains(p.Fix, "--dns-resolver") {
		t.Errorf("got %s: %v (%s)", p.Kind, p, p.Fix)
	}
	r.cfg.Resolvers = []string{r.ca.DNSAddr}
	solver := newDNSSolver(&r.cfg, func(Event) {})
	solver.PropagationTimeout = 3 * time.Second // else two minutes
	challenge := acme.Challenge{Identifier: acme.Identifier{Type: "dns", Value: "call.example.com"}, KeyAuthorization: "a.b"}
	if err := solver.Present(t.Context(), challenge); err != nil {
		t.Fatal(err)
	}
	var p *Problem
	if err := solver.Wait(t.Context(), challenge); !errors.As(err, &p) || !strings.Contains(p.What, "its record is not seen") || !strings.Contains(p.Fix, "dig TXT _acme-challenge.call.example.com") {
		t.Errorf("got %v", err)
	}
}

// With a wildcard beside a name, who has a certificate is shown; with both, the name's own.
func TestWildcardBesideAName(t *testing.T) {
	r := newRig(t, rehearsal.Options{}, "*.example.com", "cam.example.com")
	r.cfg.DNSHook, r.cfg.Resolvers = r.ca.WriteHook(t), []string{r.ca.DNSAddr}
	m := r.manager()
	at := r.server(m, "127.0.0.1:0")
	names := func() []string {
		conn, err := r.dial(at, "cam.example.com")
		if err != nil {
			t.Fatal(err)
		}
		defer conn.Close()
		return conn.ConnectionState().PeerCertificates[0].DNSNames
	}
	for i, want := range []string{"*.example.com", "cam.example.com"} {
		if p := m.look(t.Context(), m.certs[i], m.ownChooser); p != nil {
			t.Fatal(p)
		}
		if got := names(); got[0] != want {
			t.Errorf("got the certificate for %q, want %s", got, want)
		}
	}
}

// Behind translation the address that a client means is not this machine's.
func TestTranslatedAddress(t *testing.T) {
	cfg, err := Config{Names: []string{"203.0.113.5", "call.example.com"}, Directory: "https://ca.internal/directory"}.checked()
	if err != nil {
		t.Fatal(err)
	}
	m := &Manager{cfg: cfg, certs: []*managed{{name: cfg.Names[0]}, {name: cfg.Names[1]}}}
	for remote, want := range map[string]*managed{"198.51.100.7:1": m.certs[0], "10.0.0.9:1": nil, "127.0.0.1:1": nil} {
		conn := ends{local: "10.0.0.2:443", remote: remote}
		if got := m.find(&tls.ClientHelloInfo{Conn: conn}); got != want {
			t.Errorf("from %s: %v", remote, got)
		}
	}
}

// ends are those of a connection.
type ends struct {
	net.Conn
	local, remote string
}

func (e ends) LocalAddr() net.Addr  { return addr(e.local) }
func (e ends) RemoteAddr() net.Addr { return addr(e.remote) }

type addr string

func (a addr) Network() string { return "tcp" }
func (a addr) String() string  { return string(a) }

// A folder that holds another name's certificate is mended.
func TestFolderHasAnothersCertificate(t *testing.T) {
	r := newRig(t, rehearsal.Options{}, "call.example.com", "www.example.com")
	if err := r.manager().Obtain(t.Context()); err != nil {
		t.Fatal(err)
	}
	mine, theirs := r.hears(Obtained), r.hears(Obtained)
	for _, ext := range []string{".crt", ".key", ".json"} {
		data, err := os.ReadFile(strings.TrimSuffix(theirs.CertFile, ".crt") + ext)
		if err == nil {
			err = os.WriteFile(strings.TrimSuffix(mine.CertFile, ".crt")+ext, data, 0o600)
		}
		if err != nil {
			t.Fatal(err)
		}
	}
	m := r.manager()
	if err := m.Obtain(t.Context()); err != nil {
		t.Fatal(err)
	}
	r.serial(r.server(m, "127.0.0.1:0"), "call.example.com")
}

// A folder that others could read is closed to them.
func TestFolderIsClosedToOthers(t *testing.T) {
	folder := filepath.Join(t.TempDir(), "acme")
	if err := os.Mkdir(folder, 0o755); err != nil {
		t.Fatal(err)
	}
	if _, err := New(Config{Names: []string{"call.example.com"}, Folder: folder}); err != nil {
		t.Fatal(err)
	}
	if info, err := os.Stat(folder); err != nil || info.Mode().Perm() != 0o700 {
		t.Errorf("%v, %v", info.Mode(), err)
	}
}

// A name that was a slip is not told of for ever.
func TestFaultsAreForgotten(t *testing.T) {
	folder := t.TempDir()
	m, err := New(Config{Names: []string{"cal.example.com"}, Folder: folder})
	if err != nil {
		t.Fatal(err)
	}
	for age, want := range map[time.Duration]int{time.Hour: 1, 48 * time.Hour: 0} {
		m.writeFault(State{Name: "cal.example.com", Authority: "ca", FailedAt: time.Now().Add(-age), Problem: &Problem{Kind: NoName, What: "w", Err: errors.New("e")}})
		if states, err := ReadStates(folder); err != nil || len(states) != want {
			t.Errorf("after %v: %+v, %v", age, states, err)
		}
	}
}
