package rehearsal

import (
	"bytes"
	"crypto/x509"
	"log"
	"net"
	"net/http"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/letsencrypt/pebble/v2/ca"
	"github.com/letsencrypt/pebble/v2/db"
	"github.com/letsencrypt/pebble/v2/va"
	"github.com/letsencrypt/pebble/v2/wfe"
)

// LeakedGoroutine is the function of the goroutine that each start and reset of Pebble leaves
// behind, for goleak.IgnoreTopFunction.
const LeakedGoroutine = "github.com/letsencrypt/pebble/v2/va.VAImpl.processTasks"

// DefaultProfile is the profile that is always there.
const DefaultProfile = "default"

// CAAIdentity is the name that allows the authority in CAA records: see [Authority.SetCAA].
const CAAIdentity = "authority.test"

// Where the authority takes requests, for [Authority.Requests] and [Authority.Intercept]. The
// paths that end with a slash go on with an id. Clients find them in the directory.
const (
	Directory     = wfe.DirectoryPath
	NewNonce      = "/nonce-plz"
	NewAccount    = "/sign-me-up"
	NewOrder      = "/order-plz"
	Order         = "/my-order/"
	Authorization = "/authZ/"
	Challenge     = "/chalZ/"
	Finalize      = "/finalize-order/"
	Certificate   = "/certZ/"
	RenewalInfo   = "/draft-ietf-acme-ari-03/renewalInfo/"
)

// Options say how the authority is.
type Options struct {
	// HTTPPort and TLSPort are where it connects to for http-01 and tls-alpn-01, instead of 80
	// and 443.
	HTTPPort, TLSPort int
	// NonceReject is how many percent of good nonces it refuses.
	NonceReject int
	// Validity is that of certificates of the default profile, in whole seconds from two up;
	// 0 is Pebble's own, 90 days.
	Validity time.Duration
	// Profiles are further profiles, by name, with their validity.
	Profiles map[string]time.Duration
}

// An Authority is one that runs until the test ends. Its methods may be called from several
// goroutines.
type Authority struct {
	// Directory is the https address of the directory.
	Directory string
	// RootFile is a PEM file with the root that the authority's own certificate chains to.
	RootFile string
	// DNSAddr is the host:port, TCP and UDP, of the DNS server that the authority asks.
	DNSAddr string

	t       testing.TB
	options Options
	log     *log.Logger
	zone    *zone
	server  *http.Server
	gate    *gate

	mu          sync.Mutex
	pebble      pebble
	requests    []string // their paths
	intercept   func(http.ResponseWriter, *http.Request) bool
	renewalInfo map[string][]byte // JSON, by decimal serial number
}

// pebble is one life of the authority, from reset to reset.
type pebble struct {
	http.Handler
	store *db.MemoryStore
	ca    *ca.CAImpl
}

// Start starts an authority that ends with the test.
func Start(t testing.TB, o Options) *Authority {
	t.Helper()
	lines := &lockedBuffer{}
	a := &Authority{t: t, options: o, log: log.New(lines, "", log.Ltime|log.Lmicroseconds), renewalInfo: map[string][]byte{}}
	t.Cleanup(func() { // the last one, when all has been said
		if t.Failed() {
			t.Logf("what the authority says:\n%s", lines)
		}
	})
	a.zone = startZone(t)
	a.DNSAddr = a.zone.addr
	a.Reset()

	identity, rootFile := newIdentity(t)
	a.RootFile = rootFile
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatalf("opening a port for the authority: %v", err)
	}
	a.gate = &gate{Listener: l, open: map[net.Conn]bool{}}
	a.Directory = "https://" + l.Addr().String() + Directory
	a.server = &http.Server{Handler: http.HandlerFunc(a.serve), TLSConfig: identity, ErrorLog: a.log,
		ReadHeaderTimeout: time.Minute, ConnState: a.gate.connState}
	done := make(chan struct{})
	go func() {
		defer close(done)
		_ = a.server.ServeTLS(a.gate, "", "")
	}()
	t.Cleanup(func() {
		_ = a.server.Close()
		<-done
	})
	return a
}

// Reset is what happens when somebody sets up an authority anew: at the same address is one
// that knows no account and no order, and issues from another root.
func (a *Authority) Reset() {
	a.t.Setenv("PEBBLE_VA_NOSLEEP", "1")
	a.t.Setenv("PEBBLE_VA_ALWAYS_VALID", "0")
	a.t.Setenv("PEBBLE_AUTHZREUSE", "0")
	a.t.Setenv("PEBBLE_WFE_NONCEREJECT", strconv.Itoa(a.options.NonceReject))
	profiles := map[string]ca.Profile{DefaultProfile: {ValidityPeriod: uint64(a.options.Validity / time.Second)}}
	for name, validity := range a.options.Profiles {
		profiles[name] = ca.Profile{Description: "lasts " + validity.String(), ValidityPeriod: uint64(validity / time.Second)}
	}
	const ocsp, keys, alternateRoots, intermediates, strict, accountBinding = "", "ecdsa", 0, 1, true, false
	const retryAuthorization, retryOrder = 0, 0 // as soon as the client likes
	store := db.NewMemoryStore()
	issuer := ca.New(a.log, store, ocsp, keys, alternateRoots, intermediates, profiles)
	validator := va.New(a.log, a.options.HTTPPort, a.options.TLSPort, strict, a.DNSAddr, store)
	front := wfe.New(a.log, store, validator, issuer, []string{CAAIdentity}, strict, accountBinding, retryAuthorization, retryOrder)

	a.mu.Lock()
	defer a.mu.Unlock()
	a.pebble = pebble{front.Handler(), store, issuer}
}

// Issuers returns the root that the certificates issued since the last reset chain to.
func (a *Authority) Issuers() *x509.CertPool {
	a.mu.Lock()
	defer a.mu.Unlock()
	pool := x509.NewCertPool()
	pool.AddCert(a.pebble.ca.GetRootCert(0).Cert)
	return pool
}

// Stop makes the authority be down: it closes every connection, those that it has and
// those to come.
func (a *Authority) Stop() { a.gate.shut(true) }

// Resume ends what Stop began.
func (a *Authority) Resume() { a.gate.shut(false) }

// Intercept makes f see each request first; if it returns true, it has answered. A nil f
// ends this. Calls may come from several goroutines.
func (a *Authority) Intercept(f func(http.ResponseWriter, *http.Request) bool) {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.intercept = f
}

// Requests returns how many requests were made so far for a path, or for all below it if it
// ends with a slash, with those that were refused or intercepted.
func (a *Authority) Requests(path string) int {
	a.mu.Lock()
	defer a.mu.Unlock()
	n := 0
	for _, r := range a.requests {
		if r == path || strings.HasSuffix(path, "/") && strings.HasPrefix(r, path) {
			n++
		}
	}
	return n
}

// Orders returns how many orders were asked for so far. With [Options.NonceReject] some
// are the same ones again.
func (a *Authority) Orders() int { return a.Requests(NewOrder) }

// lockedBuffer is a buffer for several goroutines, some of which may outlast the test.
type lockedBuffer struct {
	mu  sync.Mutex
	buf bytes.Buffer
}

func (b *lockedBuffer) Write(p []byte) (int, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.buf.Write(p)
}

func (b *lockedBuffer) String() string {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.buf.String()
}

// FreePort returns a port of this machine's that nobody was using a moment ago, for
// [Options.HTTPPort] and [Options.TLSPort].
func FreePort(t testing.TB) int {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatalf("looking for a free port: %v", err)
	}
	defer l.Close()
	return l.Addr().(*net.TCPAddr).Port
}
