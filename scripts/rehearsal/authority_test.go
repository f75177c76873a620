package rehearsal_test

import (
	"crypto/tls"
	"crypto/x509"
	"encoding/pem"
	"errors"
	"net/http"
	"net/netip"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/mholt/acmez/v3/acme"
	"go.uber.org/goleak"

	"rtcdev/scripts/rehearsal"
)

func TestMain(m *testing.M) {
	goleak.VerifyTestMain(m, goleak.IgnoreTopFunction(rehearsal.LeakedGoroutine))
}

const name = "call.example.com"

// start starts an authority, and a client that answers it by http-01.
func start(t *testing.T, o rehearsal.Options) (*rehearsal.Authority, *client) {
	t.Helper()
	web := newWebServer(t)
	o.HTTPPort = web.httpPort
	a := rehearsal.Start(t, o)
	return a, newClient(t, a, acme.ChallengeTypeHTTP01, web)
}

func TestHTTP01(t *testing.T) {
	a, c := start(t, rehearsal.Options{NonceReject: 30, Validity: time.Hour})
	for _, name := range []string{name, "127.0.0.1"} {
		leaf := c.obtain(t, name, "")
		if life := leaf.NotAfter.Sub(leaf.NotBefore); life.Round(time.Minute) != time.Hour {
			t.Errorf("the certificate's life is %v, not an hour", life)
		}
	}
	if a.Orders() < 2 || a.Requests(rehearsal.Finalize) < 2 {
		t.Errorf("%d orders and %d ends were counted", a.Orders(), a.Requests(rehearsal.Finalize))
	}
}

func TestTLSALPN01(t *testing.T) {
	web := newWebServer(t)
	a := rehearsal.Start(t, rehearsal.Options{TLSPort: web.tlsPort})
	newClient(t, a, acme.ChallengeTypeTLSALPN01, web).obtain(t, name, "")
}

func TestDNS01(t *testing.T) {
	a := rehearsal.Start(t, rehearsal.Options{})
	a.SetAddress("lan.example.com", netip.MustParseAddr("192.168.1.2"))
	c := newClient(t, a, acme.ChallengeTypeDNS01, hookSolver(a.WriteHook(t)))
	c.obtain(t, "lan.example.com", "")
	if leaf := c.obtain(t, "*.example.com", ""); leaf.DNSNames[0] != "*.example.com" {
		t.Errorf("the certificate is for %v", leaf.DNSNames)
	}
	var calls []string
	for _, call := range a.HookCalls() {
		calls = append(calls, call[:strings.LastIndex(call, " ")])
	}
	const want = "present _acme-challenge.lan.example.com, cleanup _acme-challenge.lan.example.com, " +
		"present _acme-challenge.example.com, cleanup _acme-challenge.example.com"
	if got := strings.Join(calls, ", "); got != want {
		t.Errorf("the hook was called %s", got)
	}
}

func TestProfile(t *testing.T) {
	_, c := start(t, rehearsal.Options{Profiles: map[string]time.Duration{"brief": time.Minute}})
	for profile, want := range map[string]time.Duration{"brief": time.Minute, rehearsal.DefaultProfile: 90 * 24 * time.Hour} {
		leaf := c.obtain(t, name, profile)
		if life := leaf.NotAfter.Sub(leaf.NotBefore); (want - life).Abs() > 2*time.Second {
			t.Errorf("%s: the certificate's life is %v, not %v", profile, life, want)
		}
	}
}

// TestEveryOrderIsChecked sees that no authorization can be used again.
func TestEveryOrderIsChecked(t *testing.T) {
	a, c := start(t, rehearsal.Options{})
	var authorization atomic.Value
	a.Intercept(func(_ http.ResponseWriter, r *http.Request) bool {
		if strings.HasPrefix(r.URL.Path, rehearsal.Authorization) {
			authorization.Store(strings.TrimSuffix(a.Directory, rehearsal.Directory) + r.URL.Path)
		}
		return false
	})
	c.obtain(t, name, "")
	authz, err := c.GetAuthorization(t.Context(), c.account, authorization.Load().(string))
	if err != nil || authz.Status == acme.StatusValid {
		t.Errorf("the authorization is %s (%v)", authz.Status, err)
	}
}

func TestProblems(t *testing.T) {
	a, c := start(t, rehearsal.Options{})
	a.SetNoName("nowhere.example.com")
	a.SetCAA("example.org", "another.example")
	a.SetCAA("mine.example.org", "another.example")
	a.SetCAA("mine.example.org", rehearsal.CAAIdentity)
	a.SetAddress("off.example.com", netip.MustParseAddr("127.0.0.2")) // where our web server is not

	for name, want := range map[string]string{
		"nowhere.example.com":     acme.ProblemTypeDNS,
		"sub.nowhere.example.com": acme.ProblemTypeDNS,
		"off.example.com":         acme.ProblemTypeConnection,
		"call.example.org":        acme.ProblemTypeCAA,
	} {
		_, err := c.order(t, name, "")
		var problem acme.Problem
		if !errors.As(err, &problem) || problem.Type != want || problem.Detail == "" {
			t.Errorf("%s: %v; want a problem of type %s", name, err, want)
		}
	}
	c.obtain(t, "mine.example.org", "")
}

func TestIntercept(t *testing.T) {
	a, c := start(t, rehearsal.Options{})
	a.Intercept(func(w http.ResponseWriter, r *http.Request) bool {
		if r.URL.Path != rehearsal.NewOrder {
			return false
		}
		w.Header().Set("Retry-After", "3600")
		rehearsal.Problem(w, http.StatusTooManyRequests, "rateLimited", "too many certificates")
		return true
	})
	_, err := c.order(t, name, "")
	var problem acme.Problem
	if !errors.As(err, &problem) || problem.Type != acme.ProblemTypeRateLimited || problem.Status != http.StatusTooManyRequests || problem.Detail != "too many certificates" {
		t.Errorf("the order failed with %v", err)
	}
	if a.Orders() != 1 {
		t.Errorf("%d orders were counted", a.Orders())
	}
	a.Intercept(nil)
	c.obtain(t, name, "")
}

func TestReset(t *testing.T) {
	a, c := start(t, rehearsal.Options{})
	old, err := c.order(t, name, "")
	if err != nil {
		t.Fatal(err)
	}
	a.Reset()
	_, err = c.order(t, name, "")
	var problem acme.Problem
	if !errors.As(err, &problem) || problem.Type != acme.ProblemTypeAccountDoesNotExist {
		t.Errorf("an order with the old account: %v", err)
	}
	var unknown x509.UnknownAuthorityError
	if _, err := verify(t, old, name, a); !errors.As(err, &unknown) {
		t.Errorf("the old certificate under the new root: %v", err)
	}
	c.register(t)
	c.obtain(t, name, "")
}

func TestStop(t *testing.T) {
	a, c := start(t, rehearsal.Options{})
	get := func() error {
		resp, err := c.HTTPClient.Get(a.Directory)
		if err == nil {
			_ = resp.Body.Close()
		}
		return err
	}
	for range 3 {
		if err := get(); err != nil {
			t.Fatalf("the authority is up: %v", err)
		}
		a.Stop()
		for range 3 {
			if err := get(); err == nil {
				t.Fatal("the authority answers while it is down")
			}
		}
		a.Resume()
	}
	c.obtain(t, name, "")
}

func TestRootIsNeeded(t *testing.T) {
	a := rehearsal.Start(t, rehearsal.Options{})
	transport := &http.Transport{TLSClientConfig: &tls.Config{RootCAs: a.Issuers()}}
	defer transport.CloseIdleConnections()
	var unknown x509.UnknownAuthorityError
	if _, err := (&http.Client{Transport: transport}).Get(a.Directory); !errors.As(err, &unknown) {
		t.Errorf("with the wrong root: %v", err)
	}
}

func TestRenewalInfo(t *testing.T) {
	a, c := start(t, rehearsal.Options{})
	leaf := c.obtain(t, name, "")
	before, err := c.GetRenewalInfo(t.Context(), leaf)
	if err != nil {
		t.Fatal(err)
	}
	if before.SuggestedWindow.Start.Before(time.Now()) || time.Until(*before.RetryAfter) > time.Minute {
		t.Errorf("at first it is %v", before)
	}
	end := time.Now().Add(-time.Hour).Truncate(time.Second)
	a.SetRenewalInfo(pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: leaf.Raw}), end.Add(-time.Hour), end)
	after, err := c.GetRenewalInfo(t.Context(), leaf)
	if err != nil || !after.SuggestedWindow.End.Equal(end) {
		t.Errorf("after it was set it is %v (%v)", after, err)
	}
}
