package acmecert

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"
	"unicode/utf8"

	"github.com/mholt/acmez/v3/acme"
)

func TestExplain(t *testing.T) {
	cfg, err := Config{Names: []string{"call.example.com"}}.checked()
	if err != nil {
		t.Fatal(err)
	}
	acmeError := func(kind, detail string) error {
		return fmt.Errorf("ordering: %w", acme.Problem{Type: "urn:ietf:params:acme:error:" + kind, Detail: detail})
	}
	check := func(kind, detail string) error {
		return acme.Problem{Type: "urn:ietf:params:acme:error:" + kind, Detail: detail, Resource: acme.Authorization{}}
	}
	for _, c := range []struct {
		err  error
		kind Kind
		says string // in what, why or fix
	}{
		{context.Canceled, Interrupted, "interrupted"},
		{x509.UnknownAuthorityError{}, NotTrusted, "--acme-root"},
		{x509.HostnameError{Certificate: &x509.Certificate{}, Host: "x"}, NotTrusted, "--acme-ca"},
		{x509.CertificateInvalidError{Reason: x509.Expired}, NotTrusted, "clock"},
		{tls.RecordHeaderError{}, NoAuthority, "does not speak HTTPS"},
		{&net.DNSError{Err: "no such host", Name: "acme"}, NoAuthority, "is not found"},
		{&net.OpError{Op: "dial", Err: syscall.ECONNREFUSED}, NoAuthority, "does not answer"},
		{context.DeadlineExceeded, NoAuthority, "does not answer"},
		{&os.PathError{Op: "open", Err: syscall.ENOSPC}, BadFolder, "make room"},
		{&os.PathError{Op: "open", Err: syscall.EACCES}, BadFolder, "RTCDEV_HOME"},
		{check("dns", "NXDOMAIN looking up A"), NoName, "A or AAAA record"},
		{check("connection", "Timeout during connect"), NotReached, "port 80"},
		{check("unauthorized", "Invalid response: 404"), WrongAnswer, "something other"},
		{check("tls", "no application protocol"), WrongAnswer, "something other"},
		{check("incorrectResponse", ""), WrongAnswer, "something other"},
		{check("dns", "SERVFAIL looking up CAA for example.com"), NoName, "dig CAA"},
		{acmeError("unauthorized", "account is not valid"), BadAccount, "acme-v02.api.letsencrypt.org-directory"},
		{&net.OpError{Op: "listen", Err: syscall.EADDRINUSE}, PortTaken, "stop the program"},
		{errors.New("a.com: obtaining certificate: [a.com] Obtain: [a.com] solving challenges: odd"), OtherProblem, "failed: odd"},
		{acmeError("caa", ""), Forbidden, "CAA"},
		{acmeError("rateLimited", ""), RateLimited, "for now"},
		{acmeError("accountDoesNotExist", ""), BadAccount, "this account"},
		{acmeError("externalAccountRequired", ""), BadAccount, "does not support"},
		{acmeError("unsupportedContact", ""), BadAccount, "e-mail"},
		{acmeError("userActionRequired", ""), Terms, "terms of service"},
		{acmeError("unsupportedIdentifier", ""), Refused, "no certificates for call.example.com"},
		{acmeError("invalidProfile", ""), BadSetting, "--acme-profile"},
		{acmeError("serverInternal", ""), NoAuthority, "fault of its own"},
		{acmeError("somethingNew", "of the future"), OtherProblem, `says "of the future"`},
		{errors.New("a\x1b[31mb"), OtherProblem, "a [31mb"},
		{acme.Problem{Type: "urn:ietf:params:acme:error:compound", Subproblems: []acme.Subproblem{{Problem: acme.Problem{Type: acme.ProblemTypeCAA}}}}, Forbidden, "CAA"},
	} {
		p := cfg.explain("call.example.com", c.err, time.Time{})
		if p.Kind != c.kind || !strings.Contains(p.Error()+" "+p.Fix, c.says) || p.What == "" || p.Fix == "" || strings.Contains(p.Error(), "\x1b") {
			t.Errorf("%v: got %s: %q (%q), want %s: %q", c.err, p.Kind, p, p.Fix, c.kind, c.says)
		}
	}
	later := time.Now().Add(time.Hour)
	if p := cfg.explain("call.example.com", errors.New("HTTP 429"), later); p.Kind != RateLimited || !p.Until.Equal(later) {
		t.Errorf("got %+v", p)
	}
	if p := cfg.explain("call.example.com", nil, time.Time{}); p != nil {
		t.Errorf("nothing is wrong: %v", p)
	}
}

// With DNS-01 the ports do not matter.
func TestExplainDNS(t *testing.T) {
	cfg := Config{Challenge: DNS01, Directory: LetsEncrypt}
	for _, kind := range []string{acme.ProblemTypeDNS, acme.ProblemTypeUnauthorized} {
		p := cfg.explain("*.example.com", acme.Problem{Type: kind, Resource: acme.Authorization{}}, time.Time{})
		if p.Kind != WrongAnswer || !strings.Contains(p.Fix, "dig TXT _acme-challenge.example.com") {
			t.Errorf("%s: %+v", kind, p)
		}
	}
}

func TestPortInUse(t *testing.T) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	m := &Manager{cfg: Config{ListenHost: "127.0.0.1"}}
	var p *Problem
	if err := m.tryPort(l.Addr().(*net.TCPAddr).Port, 443); !errors.As(err, &p) || p.Kind != PortTaken || !strings.Contains(p.Fix, "--tls-challenge-port") {
		t.Errorf("got %+v", p)
	}
}

func FuzzStatedTime(f *testing.F) {
	at := time.Date(2026, 11, 25, 10, 0, 0, 0, time.UTC)
	for _, text := range []string{
		"too many certificates (5) already issued for this exact set of identifiers in the last 168h0m0s, retry after 2026-11-25 10:00:00 UTC: see https://letsencrypt.org/docs/rate-limits/",
		"retry after 2026-11-25T10:00:00Z",
	} {
		f.Add(text)
		if got := statedTime(text); !got.Equal(at) {
			f.Errorf("%q: %v", text, got)
		}
	}
	f.Add("retry after 2026-13-45 99:00:00 UTC")
	f.Fuzz(func(t *testing.T, text string) { statedTime(text) })
}

func FuzzRetryTime(f *testing.F) {
	now := time.Date(2026, 11, 25, 10, 0, 0, 0, time.UTC)
	for text, want := range map[string]time.Time{
		"120": now.Add(2 * time.Minute), "0": now, "-1": {}, "": {}, "soon": {}, "99999999999999": {},
		now.Format(http.TimeFormat): now,
	} {
		f.Add(text)
		if got := retryTime(text, now); !got.Equal(want) {
			f.Errorf("%q: %v, want %v", text, got, want)
		}
	}
	f.Fuzz(func(t *testing.T, text string) {
		if got := retryTime(text, now); got.Sub(now) > 367*24*time.Hour && !strings.Contains(text, "GMT") && !strings.ContainsAny(text, "-:") {
			t.Errorf("%q: %v", text, got)
		}
	})
}

func FuzzOneLine(f *testing.F) {
	for _, text := range []string{"", "한국어", "a\nb\tc", "\x1b]0;title\x07", strings.Repeat("가", 400), "\xff\xfe", "\u202eright"} {
		f.Add(text)
	}
	f.Fuzz(func(t *testing.T, text string) {
		got := oneLine(text)
		if !utf8.ValidString(got) && utf8.ValidString(text) || strings.ContainsAny(got, "\n\r\x1b\x07\x00\u202e\u009b") || len([]rune(got)) > longestLine+1 {
			t.Errorf("%q became %q", text, got)
		}
	})
}

// What the folder has may be anybody's.
func FuzzReadSite(f *testing.F) {
	f.Add([]byte("-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n"), []byte(`{"sans":["a"],"issuer_data":{"ca":"https://a/"}}`), []byte(`{"name":"a"}`))
	f.Add([]byte(nil), []byte(`{"sans":1}`), []byte(`[`))
	f.Fuzz(func(t *testing.T, cert, about, fault []byte) {
		folder := t.TempDir()
		for path, data := range map[string][]byte{"certificates/a/b/b.crt": cert, "certificates/a/b/b.json": about, "faults/b.json": fault} {
			if err := writeFile(filepath.Join(folder, filepath.FromSlash(path)), data, 0o600); err != nil {
				t.Fatal(err)
			}
		}
		states, err := ReadStates(folder)
		if err != nil || len(states) > 2 {
			t.Errorf("%+v, %v", states, err)
		}
	})
}
