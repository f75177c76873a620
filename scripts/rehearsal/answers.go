package rehearsal

import (
	"crypto/x509"
	"encoding/base64"
	"encoding/json"
	"encoding/pem"
	"math/big"
	"net/http"
	"net/http/httptest"
	"path"
	"strings"
	"time"

	"github.com/letsencrypt/pebble/v2/acme"
	"github.com/letsencrypt/pebble/v2/core"
)

// problems is what the types of ACME problems begin with: RFC 8555 §6.7.
const problems = "urn:ietf:params:acme:error:"

// Problem answers a request with a problem document (RFC 8555 §6.7, RFC 7807) of a type such as
// "rateLimited". Headers such as Retry-After are set on w before.
func Problem(w http.ResponseWriter, status int, kind, detail string) {
	body, err := json.Marshal(acme.ProblemDetails{Type: problems + kind, Detail: detail, HTTPStatus: status})
	if err != nil {
		http.Error(w, err.Error(), http.StatusInternalServerError)
		return
	}
	w.Header().Set("Content-Type", "application/problem+json")
	w.WriteHeader(status)
	_, _ = w.Write(body)
}

func (a *Authority) serve(w http.ResponseWriter, r *http.Request) {
	a.mu.Lock()
	a.requests = append(a.requests, r.URL.Path)
	pebble, intercept := a.pebble, a.intercept
	a.mu.Unlock()
	if intercept != nil && intercept(w, r) {
		return
	}
	id := path.Base(r.URL.Path)
	switch path.Dir(r.URL.Path) + "/" {
	case Authorization:
		pebble.amend(id, a.zone)
	case Certificate:
		pebble.forget(id)
	case RenewalInfo:
		a.serveRenewalInfo(pebble, w, r)
		return
	}
	pebble.ServeHTTP(w, r)
}

// amend adds to an authorization what Pebble does not look at and other authorities do: CAA
// records, and that a name is not there is not the same as a machine that does not answer.
// The details are in the words of Let's Encrypt.
func (p pebble) amend(id string, z *zone) {
	authz := p.store.GetAuthorizationByID(id)
	if authz == nil {
		return
	}
	authz.Lock()
	defer authz.Unlock()
	name := strings.TrimPrefix(authz.Identifier.Value, "*.")
	switch authz.Status {
	case acme.StatusValid:
		if forbidding := z.forbids(name); forbidding != "" {
			setProblem(authz, "caa", "CAA record for "+forbidding+" prevents issuance")
		}
	case acme.StatusInvalid:
		if !z.has(name) {
			setProblem(authz, "dns", "DNS problem: NXDOMAIN looking up "+name+" - check that a DNS record exists for this domain")
		}
	}
}

// setProblem makes a locked authorization and its challenge invalid.
func setProblem(authz *core.Authorization, kind, detail string) {
	authz.Status = acme.StatusInvalid
	for _, c := range authz.Challenges {
		c.RLock()
		wasTried := c.Status == acme.StatusValid || c.Status == acme.StatusInvalid
		c.RUnlock()
		if wasTried { // Pebble may never unlock the others
			c.Lock()
			c.Status = acme.StatusInvalid
			c.Error = &acme.ProblemDetails{Type: problems + kind, Detail: detail, HTTPStatus: http.StatusForbidden}
			c.Unlock()
		}
	}
}

// forget ends the authorizations of a certificate that has been issued. Pebble would reuse
// them for one order in a hundred, however it is set up.
func (p pebble) forget(serial string) {
	order, err := p.store.GetOrderByIssuedSerial(serial)
	if err != nil {
		return // not there: Pebble says so
	}
	order.RLock()
	defer order.RUnlock()
	for _, authz := range order.AuthorizationObjects {
		authz.Lock()
		authz.Status = acme.StatusDeactivated
		authz.Unlock()
	}
}

// SetRenewalInfo says when the authority would like a certificate (PEM; further ones after the
// leaf are ignored) to be renewed: RFC 9773 §4.2.
func (a *Authority) SetRenewalInfo(leafPEM []byte, start, end time.Time) {
	a.t.Helper()
	block, _ := pem.Decode(leafPEM)
	if block == nil {
		a.t.Fatal("setting renewal information: no PEM")
	}
	leaf, err := x509.ParseCertificate(block.Bytes)
	if err != nil {
		a.t.Fatalf("setting renewal information: %v", err)
	}
	type window struct {
		Start time.Time `json:"start"`
		End   time.Time `json:"end"`
	}
	info, err := json.Marshal(map[string]window{"suggestedWindow": {start.UTC(), end.UTC()}})
	if err != nil {
		a.t.Fatalf("setting renewal information: %v", err)
	}
	a.mu.Lock()
	defer a.mu.Unlock()
	a.renewalInfo[leaf.SerialNumber.String()] = info
}

// serveRenewalInfo gives what Pebble has, or what was set, and says that it may be asked again
// in a second. Pebble says six hours, in which no client would hear of a change.
func (a *Authority) serveRenewalInfo(p pebble, w http.ResponseWriter, r *http.Request) {
	_, serial, _ := strings.Cut(path.Base(r.URL.Path), ".") // RFC 9773 §4.1
	der, _ := base64.RawURLEncoding.DecodeString(serial)    // if it is bad, Pebble says so
	answer := httptest.NewRecorder()
	p.ServeHTTP(answer, r)

	body := answer.Body.Bytes()
	a.mu.Lock()
	info, isSet := a.renewalInfo[new(big.Int).SetBytes(der).String()]
	a.mu.Unlock()
	if isSet && answer.Code == http.StatusOK {
		body = info
	}
	for key, values := range answer.Header() {
		w.Header()[key] = values
	}
	w.Header().Set("Retry-After", "1")
	w.WriteHeader(answer.Code)
	_, _ = w.Write(body)
}
