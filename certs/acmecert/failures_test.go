package acmecert

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"net/http"
	"net/netip"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"rtcdev/scripts/rehearsal"
)

// An authority that does not answer at first: the server goes on with its own certificate, and has
// the authority's when that is back.
func TestAuthorityDownAtStart(t *testing.T) {
	r := newRig(t, rehearsal.Options{}, "call.example.com")
	r.ca.Stop()
	m := r.manager()
	at := r.server(m, "127.0.0.1:0")
	r.run(m, portOf(at))
	var failed Event
	for failed = range r.events {
		if failed.Kind == Failed {
			break
		}
	}
	if failed.Problem.Kind != NoAuthority || failed.Next.IsZero() {
		t.Errorf("failed: %+v, %v", failed, failed.Problem)
	}
	states, err := ReadStates(r.cfg.Folder)
	if err != nil || len(states) != 1 || states[0].Problem == nil || states[0].Problem.Kind != NoAuthority {
		t.Errorf("another process reads %+v, %v", states, err)
	}
	// Who asks for the name sees the server's own certificate, and is not sent away.
	var untrusted *tls.CertificateVerificationError
	if _, err := r.dial(at, "call.example.com"); !errors.As(err, &untrusted) {
		t.Errorf("got %v", err)
	}
	r.ca.Resume()
	for e := range r.events {
		if e.Kind == Obtained {
			break
		}
	}
	r.serial(at, "call.example.com")
	if s := m.States()[0]; s.Problem != nil {
		t.Errorf("the fault is still told: %+v", s)
	}
}

// What the authority says about a check that failed, or about an order, in plain words.
func TestRefusals(t *testing.T) {
	later := time.Now().Add(90 * time.Minute).UTC().Truncate(time.Second)
	refuse := func(path, kind string, status int, detail string, header ...string) func(*rig) {
		return func(r *rig) {
			r.ca.Intercept(func(w http.ResponseWriter, q *http.Request) bool {
				if q.URL.Path != path {
					return false
				}
				for i := 0; i+1 < len(header); i += 2 {
					w.Header().Set(header[i], header[i+1])
				}
				rehearsal.Problem(w, status, kind, detail)
				return true
			})
		}
	}
	for name, c := range map[string]struct {
		prepare func(*rig)
		kind    Kind
		says    string
		until   time.Time
	}{
		"no such name":   {func(r *rig) { r.ca.SetNoName("call.example.com") }, NoName, "does not lead to this machine", time.Time{}},
		"nothing there":  {func(r *rig) { r.ca.SetAddress("call.example.com", netip.MustParseAddr("127.0.0.9")) }, NotReached, "cannot connect to call.example.com", time.Time{}},
		"someone else":   {func(r *rig) { r.cfg.ListenHost = "127.0.0.1"; elsewhere(r) }, WrongAnswer, "something other than rtcdev answers", time.Time{}},
		"rate limit":     {refuse(rehearsal.NewOrder, "rateLimited", 429, "too many certificates already issued", "Retry-After", "5400"), RateLimited, "no more certificates until", later},
		"limit in words": {refuse(rehearsal.NewOrder, "rateLimited", 429, "too many, retry after "+later.Format("2006-01-02 15:04:05 UTC")+": see the documentation"), RateLimited, "no more certificates until", later},
		"CAA":            {refuse(rehearsal.NewOrder, "caa", 403, "CAA record for example.com prevents issuance"), Forbidden, "CAA records of call.example.com forbid", time.Time{}},
		"terms":          {refuse(rehearsal.NewAccount, "userActionRequired", 403, "terms of service have changed"), Terms, "new terms of service", time.Time{}},
		"contact":        {refuse(rehearsal.NewAccount, "invalidContact", 400, "no such domain"), BadAccount, "e-mail address kim@company.kr", time.Time{}},
		"name":           {refuse(rehearsal.NewOrder, "rejectedIdentifier", 400, "policy forbids \x1b[31mit"), Refused, "gives no certificates for call.example.com", time.Time{}},
	} {
		t.Run(name, func(t *testing.T) {
			r := newRig(t, rehearsal.Options{}, "call.example.com")
			r.cfg.Challenge = HTTP01
			c.prepare(r)
			p := r.problemOf(r.manager())
			if p.Kind != c.kind || !strings.Contains(p.What, c.says) {
				t.Errorf("got %s: %v", p.Kind, p)
			}
			if d := p.Until.Sub(c.until); d < -time.Minute || d > time.Minute {
				t.Errorf("until %v, want %v", p.Until, c.until)
			}
			if strings.ContainsAny(p.Error(), "\x1b\n") {
				t.Errorf("%q would be obeyed by a terminal", p.Error())
			}
		})
	}
}

// elsewhere has another server answer where the authority looks.
func elsewhere(r *rig) {
	r.ca.SetAddress("call.example.com", netip.MustParseAddr("127.0.0.8"))
	server := &http.Server{Addr: "127.0.0.8:" + strings.TrimPrefix(loopback(r.cfg.HTTPPort), "127.0.0.1:"), Handler: http.NotFoundHandler()}
	ended := make(chan struct{})
	go func() {
		_ = server.ListenAndServe()
		close(ended)
	}()
	r.t.Cleanup(func() {
		server.Close()
		<-ended
	})
}

// A server that is started again while a rate limit lasts asks nobody, and says why.
func TestRateLimitOutlivesTheServer(t *testing.T) {
	r := newRig(t, rehearsal.Options{}, "call.example.com")
	r.ca.Intercept(func(w http.ResponseWriter, q *http.Request) bool {
		if q.URL.Path == rehearsal.NewOrder {
			w.Header().Set("Retry-After", "3")
			rehearsal.Problem(w, http.StatusTooManyRequests, "rateLimited", "too many")
		}
		return q.URL.Path == rehearsal.NewOrder
	})
	limit := r.problemOf(r.manager())
	r.ca.Intercept(nil)
	for len(r.events) > 0 {
		<-r.events
	}
	asked := r.ca.Requests(rehearsal.Directory)
	m := r.manager()
	r.run(m, portOf(r.server(m, "127.0.0.1:0")))
	if e := <-r.events; e.Kind != Failed || e.Problem.Kind != RateLimited || !e.Next.Equal(limit.Until) {
		t.Errorf("got %+v, %v, want until %v", e, e.Problem, limit.Until)
	}
	if n := r.ca.Requests(rehearsal.Directory); n != asked {
		t.Error("the authority was asked")
	}
	r.hears(Obtained)
	if time.Now().Before(limit.Until) {
		t.Error("it did not wait")
	}
}

// An authority with a certificate that this machine does not trust is sent nothing.
func TestWrongRoot(t *testing.T) {
	r := newRig(t, rehearsal.Options{}, "call.example.com")
	r.cfg.Roots = x509.NewCertPool()
	if p := r.problemOf(r.manager()); p.Kind != NotTrusted || !strings.Contains(p.Fix, "--acme-root") {
		t.Errorf("got %+v", p)
	}
	if n := r.ca.Requests(rehearsal.Directory); n != 0 {
		t.Errorf("%d requests reached it", n)
	}
}

func TestNoDirectory(t *testing.T) {
	for name, answer := range map[string]string{"a page": "<html>", "something else": `{"ok":true}`, "nothing": ""} {
		t.Run(name, func(t *testing.T) {
			r := newRig(t, rehearsal.Options{}, "call.example.com")
			r.ca.Intercept(func(w http.ResponseWriter, q *http.Request) bool {
				_, _ = w.Write([]byte(answer))
				return true
			})
			if p := r.problemOf(r.manager()); p.Kind != NoAuthority {
				t.Errorf("got %+v", p)
			}
		})
	}
}

// An authority that was set up anew knows neither the account nor the certificate that is to be
// replaced: both trouble nobody.
func TestAuthorityWasReset(t *testing.T) {
	r := newRig(t, rehearsal.Options{Validity: 20 * time.Second}, "call.example.com")
	if err := r.manager().Obtain(t.Context()); err != nil {
		t.Fatal(err)
	}
	first := r.hears(Obtained)
	r.ca.Reset()
	r.cfg.Names = []string{"call.example.com", "www.example.com"}
	m := r.manager()
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	for m.States()[0].NotAfter.Equal(first.NotAfter) || m.States()[1].NotAfter.IsZero() {
		if err := m.Obtain(ctx); err != nil {
			t.Fatal(err)
		}
		select {
		case <-time.After(200 * time.Millisecond): // until it is time to renew
		case <-ctx.Done():
			t.Fatal("it was not renewed")
		}
	}
	r.serial(r.server(m, "127.0.0.1:0"), "call.example.com")
}

func TestUnknownProfile(t *testing.T) {
	r := newRig(t, rehearsal.Options{Profiles: map[string]time.Duration{"short": time.Hour}}, "call.example.com")
	r.cfg.Profile = "long"
	if p := r.problemOf(r.manager()); p.Kind != BadSetting || !strings.Contains(p.Fix, "default, short") {
		t.Errorf("got %+v", p)
	}
	for len(r.events) > 0 {
		<-r.events
	}
	r.cfg.Profile = "short"
	if err := r.manager().Obtain(t.Context()); err != nil {
		t.Fatal(err)
	}
	if e := r.hears(Obtained); time.Until(e.NotAfter) > time.Hour {
		t.Errorf("it ends %v", e.NotAfter)
	}
}

// A port that cannot be opened is found before anything is asked for.
func TestPortIsTaken(t *testing.T) {
	r := newRig(t, rehearsal.Options{}, "call.example.com")
	r.cfg.Challenge = HTTP01
	m := r.manager()
	r.server(m, loopback(r.cfg.HTTPPort))
	if p := r.problemOf(m); p.Kind != PortTaken || !strings.Contains(p.Fix, "--http-challenge-port") {
		t.Errorf("got %+v", p)
	}
	r.run(m, r.cfg.HTTPPort) // the port is the server's own
	for e := range r.events {
		if e.Kind == Failed && strings.Contains(e.Problem.What, "the server's own") {
			break
		}
	}
	if r.ca.Orders() != 0 {
		t.Error("there was an order")
	}
}

func TestHookFails(t *testing.T) {
	r := newRig(t, rehearsal.Options{}, "call.example.com")
	r.cfg.Resolvers = []string{r.ca.DNSAddr}
	r.cfg.DNSHook = filepath.Join(t.TempDir(), "hook")
	script := "#!/bin/sh\necho working\nprintf 'no \\033[1mpassword\\n' >&2\nexit 3\n"
	if err := os.WriteFile(r.cfg.DNSHook, []byte(script), 0o700); err != nil {
		t.Fatal(err)
	}
	p := r.problemOf(r.manager())
	if p.Kind != HookFailed || !strings.Contains(p.Error(), "exit status 3: no [1mpassword") || strings.Contains(p.Error(), "\x1b") {
		t.Errorf("got %s: %q", p.Kind, p)
	}
}

// An order that is interrupted leaves no lock, no port and nothing half-made.
func TestShutdownDuringOrder(t *testing.T) {
	r := newRig(t, rehearsal.Options{}, "call.example.com")
	reached, release := make(chan struct{}), make(chan struct{})
	r.ca.Intercept(func(w http.ResponseWriter, q *http.Request) bool {
		if strings.HasPrefix(q.URL.Path, rehearsal.Finalize) {
			close(reached)
			<-release
		}
		return false
	})
	m := r.manager()
	ctx, cancel := context.WithCancel(t.Context())
	ended := make(chan error, 1)
	go func() { ended <- m.Obtain(ctx) }()
	<-reached
	began := time.Now()
	cancel()
	var p *Problem
	if err := <-ended; !errors.As(err, &p) || p.Kind != Interrupted {
		t.Errorf("got %v", err)
	}
	t.Logf("it took %v", time.Since(began))
	close(release)
	r.ca.Intercept(nil)
	again := r.manager()
	if err := again.Obtain(t.Context()); err != nil {
		t.Fatal(err)
	}
	if states, err := ReadStates(r.cfg.Folder); err != nil || len(states) != 1 || states[0].Problem != nil {
		t.Errorf("%+v, %v", states, err)
	}
}
