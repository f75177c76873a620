package certs

import (
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"encoding/json"
	"errors"
	"fmt"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

func TestDescribe(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "authority")
	a, _, err := OpenOrCreate(dir, Options{Hostname: "desk", Permit: []string{"example.com", "203.0.113.0/24"}})
	must(t, err)
	d, err := Describe(dir)
	must(t, err)
	if d.Folder != dir || d.Name != a.Root().Subject.CommonName || d.Fingerprint != a.Fingerprint() || d.Unconstrained || d.Key != KeyOK ||
		!d.NotBefore.Equal(a.Root().NotBefore) || !d.NotAfter.Equal(a.Ends()) || d.EndsSoon {
		t.Errorf("described as %+v", d)
	}
	if fmt.Sprint(d.DNS) != fmt.Sprint(a.Root().PermittedDNSDomains) || fmt.Sprint(d.IP) != fmt.Sprint(a.Root().PermittedIPRanges) || len(d.IP) != 10 {
		t.Errorf("permitted %v and %v", d.DNS, d.IP)
	}
	text, err := json.Marshal(d)
	must(t, err)
	for _, want := range []string{`"rootFingerprint":"` + a.Fingerprint(), `"permittedDNS":["localhost",`, `"permittedIP":["127.0.0.0/8",`, `"notAfter":"20`, `"key":"ok"`, `"unconstrained":false`, `"endsSoon":false`} {
		if !strings.Contains(string(text), want) {
			t.Errorf("no %s in %s", want, text)
		}
	}
}

func TestDescribeNothing(t *testing.T) {
	for _, dir := range []string{t.TempDir(), filepath.Join(t.TempDir(), "missing")} {
		d, err := Describe(dir)
		text, _ := json.Marshal(d)
		if !errors.Is(err, ErrNoAuthority) || string(text) != fmt.Sprintf(`{"folder":%q,"endsSoon":false,"unconstrained":false}`, dir) {
			t.Errorf("%s, error %v", text, err)
		}
	}
}

func TestDescribeUnconstrained(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "authority")
	_, _, err := OpenOrCreate(dir, Options{Unconstrained: true})
	must(t, err)
	if d, err := Describe(dir); err != nil || !d.Unconstrained || d.DNS != nil || d.IP != nil {
		t.Errorf("described as %+v, error %v", d, err)
	}
}

// TestDescribeEnd: an intermediate that ends first ends the authority.
func TestDescribeEnd(t *testing.T) {
	dir, _ := newStore(t)
	end := time.Now().Add(EndingSoon / 2).UTC().Truncate(time.Second)
	otherChain(func(c *x509.Certificate) { c.NotAfter = end })(t, dir)
	if d, err := Describe(dir); err != nil || !d.NotAfter.Equal(end) || !d.EndsSoon {
		t.Errorf("it ends on %v, soon %v, error %v; want %v", d.NotAfter, d.EndsSoon, err, end)
	}
}

// TestDescribeFaults: what can be read is told along with the fault.
func TestDescribeFaults(t *testing.T) {
	for name, c := range map[string]struct {
		damage func(*testing.T, string)
		key    KeyState
		noRoot bool
	}{
		"key missing":           {remove(keyFile), KeyMissing, false},
		"key damaged":           {edit(keyFile, func([]byte) []byte { return []byte("x") }), KeyDamaged, false},
		"key of another kind":   {edit(keyFile, func([]byte) []byte { return ed25519PEM() }), KeyDamaged, false},
		"key of another":        {fromOther(keyFile), KeyMismatched, false},
		"intermediate missing":  {remove(intermediateFile), KeyOK, false},
		"intermediate damaged":  {edit(intermediateFile, func([]byte) []byte { return nil }), KeyOK, false},
		"root damaged":          {edit(rootFile, func([]byte) []byte { return nil }), KeyOK, true},
		"everything of another": {fromOther(rootFile), KeyOK, false},
	} {
		t.Run(name, func(t *testing.T) {
			dir, _ := newStore(t)
			c.damage(t, dir)
			checkDescription(t, dir, c.key, c.noRoot)
		})
	}
}

func checkDescription(t *testing.T, dir string, key KeyState, noRoot bool) {
	t.Helper()
	root, _ := OpenRoot(dir)
	_, openErr := Open(dir)
	d, err := Describe(dir)
	if err == nil || fmt.Sprint(err) != fmt.Sprint(openErr) {
		t.Errorf("error %v, and Open says %v", err, openErr)
	}
	if d.Key != key {
		t.Errorf("the key is %q, want %q", d.Key, key)
	}
	if noRoot != (root == nil) || noRoot != (d.Fingerprint == "") || !noRoot && d.Fingerprint != FingerprintOf(root) {
		t.Errorf("fingerprint %q", d.Fingerprint)
	}
}

func TestEnds(t *testing.T) {
	var offset time.Duration
	now := func() time.Time { return time.Now().Add(offset) }
	dir := filepath.Join(t.TempDir(), "authority")
	a, _, err := openOrCreate(dir, Options{}, now)
	must(t, err)
	start := time.Now()
	for left, want := range map[time.Duration]bool{
		-time.Hour: true, time.Hour: true, EndingSoon - time.Hour: true, EndingSoon + time.Hour: false, authorityLife: false,
	} {
		if got := a.EndsSoon(a.Ends().Add(-left)); got != want {
			t.Errorf("%v before the end: soon %v", left, got)
		}
		offset = a.Ends().Add(-left).Sub(start)
		d, err := describe(dir, now)
		if d.EndsSoon != want || errors.Is(err, ErrExpired) != (left < 0) || d.Fingerprint != a.Fingerprint() {
			t.Errorf("%v before the end: described as %+v, error %v", left, d, err)
		}
	}
	if EndingSoon != 60*24*time.Hour {
		t.Errorf("soon is %v", EndingSoon)
	}
}

// TestEndsWithTheFirst: a root that ends before its intermediate ends both, and
// no leaf, of whatever kind, is good for longer.
func TestEndsWithTheFirst(t *testing.T) {
	end := time.Now().Add(10 * 24 * time.Hour).UTC().Truncate(time.Second)
	for _, short := range []string{rootFile, intermediateFile} {
		a := newTestAuthority(t, Options{})
		cut := map[string]*x509.Certificate{rootFile: a.root, intermediateFile: a.intermediate}[short]
		cut.NotAfter = end
		if !a.Ends().Equal(end) || !a.EndsSoon(time.Now()) {
			t.Errorf("%s: it ends on %v", short, a.Ends())
		}
		request, err := x509.CreateCertificateRequest(rand.Reader, &x509.CertificateRequest{DNSNames: []string{"localhost"}}, newKey(t))
		must(t, err)
		for kind, sign := range map[string]func() (*tls.Certificate, error){
			"server":  func() (*tls.Certificate, error) { return a.Issue([]string{"localhost"}) },
			"client":  func() (*tls.Certificate, error) { return a.IssueClient([]string{"localhost"}) },
			"request": func() (*tls.Certificate, error) { return a.SignRequest(request, false) },
		} {
			if c, err := sign(); err != nil || !c.Leaf.NotAfter.Equal(end) {
				t.Errorf("%s, %s: good for longer, or error %v", short, kind, err)
			}
		}
		a.now = func() time.Time { return end.Add(time.Second) }
		if _, err := a.SignRequest(request, true); !errors.Is(err, ErrExpired) {
			t.Errorf("%s: after the end: %v", short, err)
		}
	}
}
