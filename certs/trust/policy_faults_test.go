//go:build linux

package trust

import (
	"crypto/x509"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"sync"
	"testing"
)

// TestPolicyKilled: a process was killed between the journal and the end.
func TestPolicyKilled(t *testing.T) {
	for name, halfMade := range map[string]func(s policyStore, root *x509.Certificate) error{
		"nothing": func(policyStore, *x509.Certificate) error { return nil },
		"folders": func(s policyStore, _ *x509.Certificate) error { return makeFolders(filepath.Dir(s.file)) },
		"a file half-written": func(s policyStore, root *x509.Certificate) error {
			return errors.Join(makeFolders(filepath.Dir(s.file)),
				os.WriteFile(filepath.Join(filepath.Dir(s.file), policyCopies+"123"), []byte(`{"CACertificates": ["`), 0o600))
		},
		"a certificate that is not listed": func(s policyStore, root *x509.Certificate) error {
			if !s.beside {
				return nil
			}
			return errors.Join(makeFolders(filepath.Dir(s.file)), os.WriteFile(s.member(root), pemBytes(root), 0o644))
		},
	} {
		for _, complete := range []bool{true, false} {
			t.Run(fmt.Sprint(name, ", Install again ", complete), func(t *testing.T) {
				m, root, ctx := policyMachine(t, "chromium", "firefox", "certutil"), newRoot(t).cert, t.Context()
				for _, s := range m.policyStores() {
					must(t, m.record(ctx, s, root))
					must(t, halfMade(s.(policyStore), root))
				}
				if complete {
					checkAll(t, m.Install(ctx, root, KindPolicy), StateTrusted)
				}
				for _, r := range m.Remove(ctx, root) {
					if r.Kind == KindPolicy && r.Err != nil {
						t.Errorf("%+v", r)
					}
				}
				if left := append(tree(t, filepath.Join(m.Root, "etc")), tree(t, m.Journal)...); left != nil {
					t.Errorf("left: %q", left)
				}
			})
		}
	}
}

func TestPolicyManyAtOnce(t *testing.T) {
	m, ctx := policyMachine(t, "chromium", "firefox"), t.Context()
	writeFile(t, filepath.Join(m.Root, "etc/firefox/policies/policies.json"), `{"policies": {"A": 1}}`)
	writeFile(t, filepath.Join(m.Root, "etc/chromium/policies/managed/their.json"), `{"A": 1}`)
	before := folders(t, m.Root)
	var roots []*x509.Certificate
	for range 4 {
		roots = append(roots, newRoot(t).cert)
	}
	for _, do := range []func(*x509.Certificate) []Result{
		func(root *x509.Certificate) []Result { return m.Install(ctx, root, KindPolicy) },
		func(root *x509.Certificate) []Result { return m.Remove(ctx, root, KindPolicy) },
	} {
		var wg sync.WaitGroup
		for i := range 12 {
			wg.Go(func() {
				for _, r := range do(roots[i%4]) {
					if r.Err != nil {
						t.Errorf("%+v", r)
					}
				}
			})
		}
		wg.Wait()
		found, err := m.Roots(ctx, KindPolicy)
		must(t, err)
		if len(found) != 4 && len(found) != 0 {
			t.Errorf("some were lost: %d", len(found))
		}
	}
	same(t, before, folders(t, m.Root))
}

// TestTrustedByPolicies: every policy file of a browser that is used counts.
func TestTrustedByPolicies(t *testing.T) {
	absent := Result{Kind: KindNSS, Status: Status{State: StateUnavailable, Browser: BrowserChromium}}
	policy := func(state State) Result {
		return Result{Kind: KindPolicy, Status: Status{State: state, Browser: BrowserChromium}}
	}
	for _, test := range []struct {
		policies []Result
		want     bool
	}{
		{nil, false},
		{[]Result{policy(StateTrusted)}, true},
		{[]Result{policy(StateTrusted), policy(StateUnused)}, true},
		{[]Result{policy(StateAbsent), policy(StateTrusted)}, false},
		{[]Result{policy(StateTrusted), policy(StateAbsent)}, false},
	} {
		if got := Trusted(append(test.policies, absent)); got != test.want {
			t.Errorf("%+v: %t", test.policies, got)
		}
	}
}

// TestPolicyWithoutAJournal: nobody knows what was made, but no root stays.
func TestPolicyWithoutAJournal(t *testing.T) {
	m, root, ctx := policyMachine(t, "chromium", "firefox"), newRoot(t).cert, t.Context()
	m.Journal = ""
	checkAll(t, m.Install(ctx, root, KindPolicy), StateTrusted)
	checkAll(t, m.Remove(ctx, root, KindPolicy), StateAbsent)
	if left := tree(t, filepath.Join(m.Root, "etc/chromium/policies/managed")); left != nil {
		t.Errorf("Chromium's: %q", left)
	}
	if left := tree(t, filepath.Join(m.Root, "etc/firefox/policies")); len(left) != 1 || left[0] != "policies.json" {
		t.Errorf("Firefox's: %q", left)
	}
}
