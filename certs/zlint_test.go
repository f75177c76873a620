package certs

import (
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"encoding/json"
	"maps"
	"net"
	"os/exec"
	"slices"
	"strings"
	"testing"
)

// A lintException excuses a finding of zlint in all certificates of some kinds.
type lintException struct {
	lint   string
	kinds  string // separated by spaces, see lintedCertificates
	reason string
}

// lintExceptions are the rules for public authorities that mean nothing for a
// private one. Every other error fails the test, and so does an exception that
// is no longer needed.
func lintExceptions() []lintException {
	const (
		leaves   = "names addresses wildcard public request self-signed"
		noPolicy = "a certificate policy says under which audit a public authority issued it; there is none, and clients look at no policy"
		noURL    = "there is no server that could answer for an authority on one machine, which may be offline: no revocation, and the chain is sent along"
	)
	return []lintException{
		{"e_ca_country_name_missing", "root intermediate", "the country is that of a company in a public register; a person's machine has none"},
		{"e_ext_nc_intersects_reserved_ip", "root intermediate", "private addresses are what this authority is for: the constraints permit them and nothing else"},
		{"e_sub_ca_certificate_policies_missing", "intermediate", noPolicy},
		{"e_sub_ca_crl_distribution_points_missing", "intermediate", noURL},
		{"e_sub_cert_aia_does_not_contain_ocsp_url", leaves, noURL},
		{"e_sub_cert_aia_missing", leaves, noURL},
		{"e_sub_cert_cert_policy_empty", leaves, noPolicy},
		{"e_sub_cert_certificate_policies_missing", leaves, noPolicy},
		{"e_dnsname_not_valid_tld", "names wildcard request", "localhost, .local and .test are reserved so that they are no public names, which is why they are permitted"},
		{"e_ext_san_contains_reserved_ip", "addresses", "a device on a home network has such an address and no other"},
		{"e_subject_common_name_not_exactly_from_san", "self-signed", "it is its own issuer, which must have a name; the name is no host's, and no client compares it with one"},
	}
}

// lintedCertificates are one of each kind that this package makes.
func lintedCertificates(t *testing.T) map[string][]byte {
	t.Helper()
	a := newTestAuthority(t, Options{Hostname: "내컴퓨터", Permit: []string{"example.com", "203.0.113.0/24"}})
	request, err := x509.CreateCertificateRequest(rand.Reader, &x509.CertificateRequest{DNSNames: []string{"localhost"}}, newKey(t))
	must(t, err)
	signed, err := a.SignRequest(request, false)
	must(t, err)
	first := func(c *tls.Certificate) []byte { return c.Certificate[0] }
	return map[string][]byte{
		"root":             a.Root().Raw,
		"intermediate":     a.Intermediate().Raw,
		"names":            first(issue(t, a.Issue, "localhost", "phone.local")),
		"addresses":        first(issue(t, a.Issue, "192.168.1.5", "::1")),
		"wildcard":         first(issue(t, a.Issue, "*.app.test")),
		"public":           first(issue(t, a.Issue, "www.example.com")),
		"client":           first(issue(t, a.IssueClient, "phone.local", "localhost")),
		"client-addresses": first(issue(t, a.IssueClient, "192.168.1.5")),
		"request":          first(signed),
		"self-signed":      first(issue(t, SelfSigned, "localhost")),
	}
}

// zlintTool builds zlint, which is in scripts/tools.mod, and returns its path.
func zlintTool(t *testing.T) string {
	t.Helper()
	cmd := exec.Command(findTool(t, "go"), "tool", "-modfile=../scripts/tools.mod", "-n", "zlint")
	out, err := cmd.CombinedOutput()
	if err != nil {
		needTool(t, "zlint with: go mod download -modfile=scripts/tools.mod; go said: "+strings.TrimSpace(string(out)), err)
	}
	return strings.TrimSpace(string(out))
}

// lint returns the names of zlint's findings of a level in a certificate.
func lint(t *testing.T, zlint string, der []byte, levels ...string) []string {
	t.Helper()
	cmd := exec.Command(zlint, writeTestFile(t, "cert.pem", encodePEM(blockCertificate, der)))
	cmd.Stderr = t.Output()
	out, err := cmd.Output()
	if err != nil {
		t.Fatal(err)
	}
	var results map[string]struct{ Result string }
	if err := json.Unmarshal(out, &results); err != nil {
		t.Fatalf("zlint said %s: %v", out, err)
	}
	passed := 0
	var found []string
	for name, r := range results {
		if r.Result == "pass" {
			passed++
		}
		if slices.Contains(levels, r.Result) {
			found = append(found, name)
		}
	}
	if passed < 20 {
		t.Fatalf("zlint looked at next to nothing: %s", out)
	}
	return found
}

func TestZlint(t *testing.T) {
	zlint := zlintTool(t)
	needed := map[string]bool{}
	excused := map[string]string{}
	for _, e := range lintExceptions() {
		for _, kind := range strings.Fields(e.kinds) {
			excused[e.lint+" in "+kind] = e.reason
		}
		if len(e.reason) < 20 {
			t.Errorf("%s has no reason", e.lint)
		}
	}
	for kind, der := range lintedCertificates(t) {
		for _, name := range lint(t, zlint, der, "error", "fatal") {
			finding := name + " in " + kind
			needed[finding] = true
			if excused[finding] == "" {
				t.Errorf("zlint finds %s: mend the certificate, or add it to lintExceptions with a reason", finding)
			}
		}
	}
	for _, finding := range slices.Sorted(maps.Keys(excused)) {
		if !needed[finding] {
			t.Errorf("the exception for %s excuses nothing", finding)
		}
	}
}

// TestZlintFindsFaults, or the test above would show nothing.
func TestZlintFindsFaults(t *testing.T) {
	zlint := zlintTool(t)
	key := newKey(t)
	template, err := leafTemplate([]subject{{dns: "localhost"}}, key.Public(), x509.ExtKeyUsageServerAuth, newTestAuthority(t, Options{}).now())
	must(t, err)
	template.IPAddresses, template.DNSNames = []net.IP{net.IPv4zero}, nil
	template.KeyUsage |= x509.KeyUsageCertSign
	c, err := signLeaf(template, template, key.Public(), key)
	must(t, err)
	if found := lint(t, zlint, c.Certificate[0], "error", "fatal"); !slices.Contains(found, "e_sub_cert_key_usage_cert_sign_bit_set") {
		t.Errorf("a leaf that may sign certificates: found only %v", found)
	}
}
