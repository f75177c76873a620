package certs

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/sha256"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/hex"
	"encoding/pem"
	"fmt"
	"math/big"
	"slices"
	"strings"
	"time"
	"unicode"
)

const (
	// authorityLife is how long the root and the intermediate are good for.
	authorityLife = 10 * 365 * 24 * time.Hour
	// authorityBackdate lets a phone whose clock is behind accept an authority
	// made a minute ago.
	authorityBackdate = 24 * time.Hour
)

// Options say for which names a new authority may sign, besides the defaults
// (see the package comment). They are not looked at when there is an authority
// already.
type Options struct {
	// Hostname is the machine's host name. It is permitted unless it is not a
	// DNS name or is a top-level domain of the internet, and it appears in the
	// authority's name so that a person can tell two authorities apart.
	Hostname string
	// Permit lists further DNS names (each with all names below it), IP
	// addresses, and ranges in CIDR notation.
	Permit []string
	// Unconstrained leaves the name constraints out: the authority's key can
	// then speak for every site on the internet.
	Unconstrained bool
}

// Validate returns nil if an authority can be made with o, and otherwise an error
// that wraps a *NameError: the one that [OpenOrCreate] and [Replace] would return.
// It is for asking before a person is asked.
func (o Options) Validate() error {
	if _, err := newConstraints(o); err != nil {
		return fmt.Errorf("reading the names to permit: %w", err)
	}
	return nil
}

// Authority is a loaded authority. Its methods are safe for concurrent use.
type Authority struct {
	root         *x509.Certificate
	intermediate *x509.Certificate
	key          *ecdsa.PrivateKey // the intermediate's
	constraints  constraints
	now          func() time.Time
	leaves       leafCache
}

// Root returns the root certificate, the one that devices trust.
func (a *Authority) Root() *x509.Certificate { return a.root }

// Unconstrained tells whether the authority can speak for every name there is.
func (a *Authority) Unconstrained() bool { return a.constraints.unconstrained }

// Intermediate returns the certificate whose key signs the leaves.
func (a *Authority) Intermediate() *x509.Certificate { return a.intermediate }

// Fingerprint returns the root's fingerprint as [FingerprintOf] writes it.
func (a *Authority) Fingerprint() string { return FingerprintOf(a.root) }

// Ends returns the moment at which the authority ends: the earlier of the ends
// of its two certificates. No leaf is good for longer.
func (a *Authority) Ends() time.Time { return ends(a.root, a.intermediate) }

// EndingSoon is how long before its end an authority should be replaced: long
// enough for every device to be given the new root in time.
const EndingSoon = 60 * 24 * time.Hour

// EndsSoon reports whether at the time now less than [EndingSoon] is left of the
// authority, or nothing.
func (a *Authority) EndsSoon(now time.Time) bool { return endsSoon(a.Ends(), now) }

func ends(certs ...*x509.Certificate) time.Time {
	end := certs[0].NotAfter
	for _, cert := range certs[1:] {
		if cert.NotAfter.Before(end) {
			end = cert.NotAfter
		}
	}
	return end
}

func endsSoon(end, now time.Time) bool { return end.Sub(now) < EndingSoon }

// FingerprintOf returns the SHA-256 of a certificate's DER form as 32 upper-case
// hexadecimal bytes with colons between them, the form that browsers, phones
// and OpenSSL show.
func FingerprintOf(cert *x509.Certificate) string {
	sum := sha256.Sum256(cert.Raw)
	pairs := make([]string, len(sum))
	for i, b := range sum {
		pairs[i] = strings.ToUpper(hex.EncodeToString([]byte{b}))
	}
	return strings.Join(pairs, ":")
}

// Permits returns nil if the authority can sign for a DNS name, a wildcard or
// an IP address, and otherwise a *NameError with the reason.
func (a *Authority) Permits(name string) error { return a.constraints.permits(name) }

// CheckNames returns nil if [Authority.Issue] would accept the names from an
// authority made with o, and otherwise a *NameError. It is for asking before
// [OpenOrCreate] makes one.
func CheckNames(names []string, o Options) error {
	limits, err := newConstraints(o)
	if err != nil {
		return fmt.Errorf("reading the names to permit: %w", err)
	}
	_, err = limits.subjects(names)
	return err
}

// newAuthority makes the contents of a store: a root, an intermediate, and the
// intermediate's key. The root's key does not leave this function.
func newAuthority(o Options, now time.Time) (map[string][]byte, error) {
	limits, err := newConstraints(o)
	if err != nil {
		return nil, fmt.Errorf("reading the names to permit: %w", err)
	}
	rootKey, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return nil, fmt.Errorf("making the root's key: %w", err)
	}
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return nil, fmt.Errorf("making the intermediate's key: %w", err)
	}
	suffix := nameSuffix(o.Hostname, now)

	rootTemplate := authorityTemplate("rtcdev local authority "+suffix, limits, now)
	rootTemplate.MaxPathLen = 1
	rootDER, err := x509.CreateCertificate(rand.Reader, rootTemplate, rootTemplate, rootKey.Public(), rootKey)
	if err != nil {
		return nil, fmt.Errorf("signing the root: %w", err)
	}
	root, err := x509.ParseCertificate(rootDER)
	if err != nil {
		return nil, fmt.Errorf("reading the root back: %w", err)
	}

	template := authorityTemplate("rtcdev local intermediate "+suffix, limits, now)
	template.MaxPathLenZero = true
	template.ExtKeyUsage = []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth, x509.ExtKeyUsageClientAuth}
	der, err := x509.CreateCertificate(rand.Reader, template, root, key.Public(), rootKey)
	if err != nil {
		return nil, fmt.Errorf("signing the intermediate: %w", err)
	}
	keyDER, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		return nil, fmt.Errorf("encoding the intermediate's key: %w", err)
	}
	return map[string][]byte{
		rootFile:         encodePEM(blockCertificate, rootDER),
		intermediateFile: encodePEM(blockCertificate, der),
		keyFile:          encodePEM(blockKey, keyDER),
	}, nil
}

// authorityTemplate holds what the root and the intermediate have in common.
// The common name is there because iOS lists no root without one.
func authorityTemplate(name string, limits constraints, now time.Time) *x509.Certificate {
	template := &x509.Certificate{
		SerialNumber:          newSerial(),
		Subject:               pkix.Name{Organization: []string{"rtcdev"}, CommonName: name},
		NotBefore:             now.Add(-authorityBackdate),
		NotAfter:              now.Add(authorityLife),
		KeyUsage:              x509.KeyUsageCertSign | x509.KeyUsageCRLSign,
		BasicConstraintsValid: true,
		IsCA:                  true,
	}
	limits.apply(template)
	return template
}

// nameSuffix tells authorities apart: "(HOST, 2026-11-22, 3f9a2c)". The host is
// cut so that the common name stays within 64 characters (RFC 5280 appendix A.1,
// ub-common-name) behind the longer of the two prefixes.
func nameSuffix(hostname string, now time.Time) string {
	const maxHost = 16
	label, _, _ := strings.Cut(strings.ToValidUTF8(hostname, ""), ".")
	host := slices.DeleteFunc([]rune(label), func(r rune) bool { return !unicode.IsPrint(r) })
	if len(host) == 0 {
		host = []rune("this machine")
	}
	return fmt.Sprintf("(%s, %s, %s)", string(host[:min(len(host), maxHost)]), now.UTC().Format(time.DateOnly), hex.EncodeToString(randomBytes(3)))
}

// newSerial returns a random serial number of 128 bits (RFC 5280 §4.1.2.2 wants
// it positive, unique, and of at most 20 bytes).
func newSerial() *big.Int { return new(big.Int).SetBytes(randomBytes(16)) }

func randomBytes(n int) []byte {
	b := make([]byte, n)
	_, _ = rand.Read(b) // documented never to fail
	return b
}

func encodePEM(blockType string, der []byte) []byte {
	return pem.EncodeToMemory(&pem.Block{Type: blockType, Bytes: der})
}
