package certs

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/x509"
	"net/netip"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"
	"unicode/utf8"
)

// newTestAuthority makes an authority in a temporary folder.
func newTestAuthority(t testing.TB, opts Options) *Authority {
	t.Helper()
	a, created, err := OpenOrCreate(filepath.Join(t.TempDir(), "authority"), opts)
	if err != nil || !created {
		t.Fatalf("OpenOrCreate: created %v, error %v", created, err)
	}
	return a
}

func TestAuthorityIsKept(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "state", "rtcdev", "authority")
	if _, err := Open(dir); err == nil {
		t.Fatal("Open found an authority in a folder that is not there")
	}
	made, created, err := OpenOrCreate(dir, Options{Hostname: "desk"})
	if err != nil || !created {
		t.Fatalf("OpenOrCreate: created %v, error %v", created, err)
	}
	again, created, err := OpenOrCreate(dir, Options{Hostname: "other"})
	if err != nil || created {
		t.Fatalf("second OpenOrCreate: created %v, error %v", created, err)
	}
	opened, err := Open(dir)
	if err != nil {
		t.Fatal(err)
	}
	if made.Fingerprint() != again.Fingerprint() || made.Fingerprint() != opened.Fingerprint() {
		t.Error("the same folder gave different authorities")
	}
	for path, want := range map[string]os.FileMode{
		filepath.Dir(dir): 0o700, dir: 0o700, filepath.Join(dir, keyFile): 0o600,
	} {
		if info, err := os.Stat(path); err != nil || info.Mode().Perm() != want {
			t.Errorf("%s: mode %v, error %v; want %v", path, info.Mode().Perm(), err, want)
		}
	}
	entries, err := os.ReadDir(filepath.Dir(dir))
	if err != nil || len(entries) != 1 {
		t.Errorf("the folder above holds %v (error %v), want the authority alone", entries, err)
	}
}

// TestProfile holds the certificates to DESIGN §6.
func TestProfile(t *testing.T) {
	a := newTestAuthority(t, Options{Hostname: "desk.example.org", Permit: []string{"Example.COM.", "203.0.113.7", "198.51.100.0/24"}})
	wantDNS := "localhost test local internal home.arpa lan desk.example.org example.com"
	wantIPs := "127.0.0.0/8 10.0.0.0/8 172.16.0.0/12 192.168.0.0/16 169.254.0.0/16 100.64.0.0/10 ::1/128 fc00::/7 fe80::/10 203.0.113.7/32 198.51.100.0/24"
	for name, cert := range map[string]*x509.Certificate{"root": a.Root(), "intermediate": a.Intermediate()} {
		if got := strings.Join(cert.PermittedDNSDomains, " "); got != wantDNS || !cert.PermittedDNSDomainsCritical {
			t.Errorf("%s: permitted DNS %q, critical %v", name, got, cert.PermittedDNSDomainsCritical)
		}
		var ips []string
		for _, ipNet := range cert.PermittedIPRanges {
			ips = append(ips, ipNet.String())
		}
		if got := strings.Join(ips, " "); got != wantIPs {
			t.Errorf("%s: permitted IP %q", name, got)
		}
		if !cert.IsCA || cert.KeyUsage != x509.KeyUsageCertSign|x509.KeyUsageCRLSign {
			t.Errorf("%s: CA %v, key usage %b", name, cert.IsCA, cert.KeyUsage)
		}
		if !strings.Contains(cert.Subject.CommonName, "(desk, ") || len(cert.Subject.CommonName) > 64 || cert.Subject.Organization[0] != "rtcdev" {
			t.Errorf("%s: subject %s", name, cert.Subject)
		}
		if key := cert.PublicKey.(*ecdsa.PublicKey); key.Curve != elliptic.P256() {
			t.Errorf("%s: curve %v", name, key.Curve.Params().Name)
		}
		if bits := cert.SerialNumber.BitLen(); bits < 90 || bits > 128 {
			t.Errorf("%s: serial of %d bits", name, bits)
		}
		if age := time.Since(cert.NotBefore); age < 24*time.Hour || age > 25*time.Hour {
			t.Errorf("%s: backdated by %v", name, age)
		}
	}
	if a.Root().MaxPathLen != 1 || len(a.Root().ExtKeyUsage) != 0 {
		t.Errorf("root: path length %d, EKU %v", a.Root().MaxPathLen, a.Root().ExtKeyUsage)
	}
	if a.Intermediate().MaxPathLen != 0 || !a.Intermediate().MaxPathLenZero || len(a.Intermediate().ExtKeyUsage) != 2 {
		t.Errorf("intermediate: path length %d, EKU %v", a.Intermediate().MaxPathLen, a.Intermediate().ExtKeyUsage)
	}
}

func TestUnconstrained(t *testing.T) {
	a := newTestAuthority(t, Options{Unconstrained: true})
	if nameConstraints(a.Root()) != nil || nameConstraints(a.Intermediate()) != nil {
		t.Error("an unconstrained authority has name constraints")
	}
	for _, name := range []string{"example.com", "8.8.8.8", "localhost"} {
		if err := a.Permits(name); err != nil {
			t.Errorf("Permits(%q): %v", name, err)
		}
	}
}

func TestCommonNameFits(t *testing.T) {
	for _, host := range []string{"", "desk", strings.Repeat("long", 20), "내컴퓨터이름이아주아주아주길어요정말로", "bad\xffname\x1b[31m", "."} {
		suffix := nameSuffix(host, time.Now())
		name := []rune("rtcdev local intermediate " + suffix)
		if len(name) > 64 || strings.Contains(suffix, "\x1b") || !utf8.ValidString(suffix) {
			t.Errorf("host %q: common name %q has %d characters", host, string(name), len(name))
		}
	}
	first, second := nameSuffix("a", time.Now()), nameSuffix("a", time.Now())
	if first == second {
		t.Error("two authorities of one host and day have the same name")
	}
}

func TestFingerprintAndExport(t *testing.T) {
	a := newTestAuthority(t, Options{})
	if f := a.Fingerprint(); len(f) != 95 || strings.Count(f, ":") != 31 || strings.ToUpper(f) != f {
		t.Errorf("fingerprint %q", f)
	}
	der, err := a.Export(FormatDER)
	if err != nil || string(der) != string(a.Root().Raw) {
		t.Errorf("DER export: %v", err)
	}
	armoured, err := a.Export(FormatPEM)
	if err != nil {
		t.Fatal(err)
	}
	if block, err := parseBlock(armoured, blockCertificate); err != nil || string(block) != string(a.Root().Raw) {
		t.Errorf("PEM export: %v", err)
	}
	if _, err := a.Export("p12"); err == nil {
		t.Error("an unknown format was accepted")
	}
}

// TestLeafProfile also checks that Go itself accepts the chain.
func TestLeafProfile(t *testing.T) {
	a := newTestAuthority(t, Options{})
	pair, err := a.Issue([]string{"LocalHost.", "localhost", "*.app.test", "::ffff:127.0.0.1", "fe80::1%eth0"})
	if err != nil {
		t.Fatal(err)
	}
	leaf := pair.Leaf
	if len(pair.Certificate) != 2 || string(pair.Certificate[1]) != string(a.Intermediate().Raw) {
		t.Errorf("the chain has %d certificates", len(pair.Certificate))
	}
	if got := strings.Join(leaf.DNSNames, " "); got != "localhost *.app.test" {
		t.Errorf("DNS names %q", got)
	}
	if len(leaf.IPAddresses) != 2 || len(leaf.IPAddresses[0]) != 4 || !leaf.IPAddresses[1].Equal(netip.MustParseAddr("fe80::1").AsSlice()) {
		t.Errorf("addresses %v", leaf.IPAddresses)
	}
	if subject := leaf.Subject.String(); subject != "" {
		t.Errorf("subject %q, want none", subject)
	}
	for _, extension := range leaf.Extensions {
		if extension.Id.String() == "2.5.29.17" && !extension.Critical {
			t.Error("the alternative names are not critical beside an empty subject")
		}
	}
	if leaf.KeyUsage != x509.KeyUsageDigitalSignature || len(leaf.ExtKeyUsage) != 1 || leaf.ExtKeyUsage[0] != x509.ExtKeyUsageServerAuth || leaf.IsCA {
		t.Errorf("key usage %b, EKU %v, CA %v", leaf.KeyUsage, leaf.ExtKeyUsage, leaf.IsCA)
	}
	if len(leaf.SubjectKeyId) == 0 || string(leaf.AuthorityKeyId) != string(a.Intermediate().SubjectKeyId) {
		t.Error("the key identifiers do not link the leaf to the intermediate")
	}
	if life := leaf.NotAfter.Sub(leaf.NotBefore) + time.Second; life > 90*24*time.Hour || life < 89*24*time.Hour {
		t.Errorf("good for %v", life)
	}
	roots, intermediates := x509.NewCertPool(), x509.NewCertPool()
	roots.AddCert(a.Root())
	intermediates.AddCert(a.Intermediate())
	for _, name := range []string{"localhost", "x.app.test", "127.0.0.1", "fe80::1"} {
		if _, err := leaf.Verify(x509.VerifyOptions{DNSName: name, Roots: roots, Intermediates: intermediates}); err != nil {
			t.Errorf("%s: %v", name, err)
		}
	}
}
