package devserver

import (
	"encoding/pem"
	"net/http"
	"net/netip"
	"os"

	"rtcdev/devserver/web"
)

// setUp is what leads another device to trust the root: the page, and the root in the
// forms that devices take.
type setUp struct {
	pages *web.Pages
	files map[string]http.HandlerFunc // by path; none with a certificate of the person's own
	cfg   *Config
}

func newSetUp(cfg *Config) (*setUp, error) {
	computer, _ := os.Hostname() // without one the page says "this computer"
	about := web.Config{Computer: computer, Fingerprint: cfg.Fingerprint}
	s := &setUp{files: make(map[string]http.HandlerFunc), cfg: cfg}
	if cfg.Root != nil {
		about.RootName = cfg.Root.Subject.CommonName
		der := cfg.Root.Raw
		asPEM := pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der})
		// RFC 8555 §9.1 for PEM chains; RFC 2585 §4 has no type for DER that
		// phones act on, and x-x509-ca-cert is the one they do.
		s.files["/_rtcdev/ca.pem"] = download("application/pem-certificate-chain", "rtcdev-ca.pem", asPEM)
		s.files["/_rtcdev/ca.crt"] = download("application/x-x509-ca-cert", "rtcdev-ca.crt", der)
		if cfg.RootProfile != nil {
			s.files["/_rtcdev/ca.mobileconfig"] = download("application/x-apple-aspen-config", "rtcdev-ca.mobileconfig", cfg.RootProfile)
		}
	}
	var err error
	s.pages, err = web.New(about)
	return s, err
}

// plain answers what comes without TLS: never the app, and never a key.
func (s *setUp) plain(w http.ResponseWriter, r *http.Request) {
	w.Header().Set("X-Content-Type-Options", "nosniff")
	file := s.files[r.URL.Path]
	switch {
	case file != nil && (r.Method == http.MethodGet || r.Method == http.MethodHead):
		file(w, r)
	// Who comes by a public name needs no root for it.
	case len(s.files) > 0 && (r.URL.Path == "/_rtcdev/trust" || r.URL.Path == "/" && !fromHere(r) && !s.cfg.isPublic(hostOnly(r.Host))):
		s.pages.SetUp(w, r)
	default:
		s.pages.ToHTTPS(w, r)
	}
}

// fromHere tells whether a request comes from this machine, over loopback.
func fromHere(r *http.Request) bool {
	return addressOf(r.RemoteAddr).IsLoopback()
}

// addressOf is the IP address in a connection's "host:port"; not valid if there is none.
func addressOf(remote string) netip.Addr {
	at, _ := netip.ParseAddrPort(remote)
	return at.Addr().Unmap().WithZone("")
}

// isFree tells what a device gets before it has an invitation: what it needs to trust
// this server, and to see that it does; and what only this machine gets, by its own rule.
func isFree(r *http.Request) bool {
	switch r.URL.Path {
	case "/_rtcdev/ca.pem", "/_rtcdev/ca.crt", "/_rtcdev/ca.mobileconfig", "/_rtcdev/trust", "/_rtcdev/beacon", "/_rtcdev/impair":
		return true
	}
	return isProbe(r)
}

// isProbe tells a WebSocket that the set-up page opens to see whether it can.
func isProbe(r *http.Request) bool {
	return r.URL.Path == "/_rtcdev/signal" && r.URL.Query().Has("probe")
}

// beacon proves that this server's certificate is trusted to who asks from the set-up
// page, which is another origin.
func beacon(w http.ResponseWriter, _ *http.Request) {
	w.Header().Set("Access-Control-Allow-Origin", "*")
	w.Header().Set("Cross-Origin-Resource-Policy", "cross-origin")
	w.Header().Set("Cache-Control", "no-store")
	w.WriteHeader(http.StatusNoContent)
}
