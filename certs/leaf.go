package certs

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/sha256"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/hex"
	"errors"
	"fmt"
	"slices"
	"time"
)

const (
	// leafLife is the whole validity of a leaf, backdating included.
	leafLife = 90 * 24 * time.Hour
	// leafBackdate allows for a client whose clock is behind.
	leafBackdate = time.Hour
)

// Issue makes a key and a certificate for DNS names, wildcards and IP addresses.
// The result holds the leaf and the intermediate, and Leaf is set. The error is
// a *NameError if a name is malformed or outside the constraints, and wraps
// [ErrExpired] if the authority is.
func (a *Authority) Issue(names []string) (*tls.Certificate, error) {
	subjects, err := a.constraints.subjects(names)
	if err != nil {
		return nil, err
	}
	now := a.now()
	if now.After(a.intermediate.NotAfter) {
		return nil, fmt.Errorf("signing for %s: %w since %s", subjects[0], ErrExpired, a.intermediate.NotAfter.Format(time.DateOnly))
	}
	key, template, err := newLeaf(subjects, now)
	if err != nil {
		return nil, err
	}
	if template.NotAfter.After(a.intermediate.NotAfter) {
		template.NotAfter = a.intermediate.NotAfter
	}
	return signLeaf(template, a.intermediate, key, a.key, a.intermediate.Raw)
}

// SelfSigned makes a key and a certificate for the names that no authority
// stands behind: a client accepts it when it is given this very certificate. A
// malformed name gives a *NameError.
func SelfSigned(names []string) (*tls.Certificate, error) {
	subjects, err := parseSubjects(names)
	if err != nil {
		return nil, err
	}
	key, template, err := newLeaf(subjects, time.Now())
	if err != nil {
		return nil, err
	}
	// An issuer must have a name (RFC 5280 §4.1.2.4), and here it is the subject
	// too. The random part keeps two such certificates apart in one file.
	template.Subject = pkix.Name{
		Organization: []string{"rtcdev"},
		CommonName:   "rtcdev self-signed " + hex.EncodeToString(randomBytes(3)),
	}
	return signLeaf(template, template, key, key)
}

// parseSubjects parses the names and leaves out repetitions.
func parseSubjects(names []string) ([]subject, error) {
	if len(names) == 0 {
		return nil, errors.New("making a certificate: no name was given; give at least one, like localhost")
	}
	var subjects []subject
	for _, name := range names {
		s, err := parseSubject(name)
		if err != nil {
			return nil, err
		}
		if !slices.Contains(subjects, s) {
			subjects = append(subjects, s)
		}
	}
	return subjects, nil
}

// subjects parses the names and returns a *NameError for one that is outside.
func (c *constraints) subjects(names []string) ([]subject, error) {
	for _, name := range names {
		if err := c.permits(name); err != nil {
			return nil, err
		}
	}
	return parseSubjects(names)
}

// newLeaf makes a key and the template of a server certificate. Its subject is
// empty, which makes crypto/x509 mark the names as critical (RFC 5280
// §4.2.1.6): a common name would be checked against the constraints as if it
// were a DNS name.
func newLeaf(subjects []subject, now time.Time) (*ecdsa.PrivateKey, *x509.Certificate, error) {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return nil, nil, fmt.Errorf("making a key for %s: %w", subjects[0], err)
	}
	point, err := key.PublicKey.Bytes()
	if err != nil {
		return nil, nil, fmt.Errorf("encoding the key for %s: %w", subjects[0], err)
	}
	keyID := sha256.Sum256(point)
	notBefore := now.Add(-leafBackdate)
	template := &x509.Certificate{
		SerialNumber:          newSerial(),
		NotBefore:             notBefore,
		NotAfter:              notBefore.Add(leafLife - time.Second), // both ends count (RFC 5280 §4.1.2.5)
		KeyUsage:              x509.KeyUsageDigitalSignature,
		ExtKeyUsage:           []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth},
		BasicConstraintsValid: true,
		SubjectKeyId:          keyID[:20], // RFC 7093 §2, method 1
	}
	for _, s := range subjects {
		if s.ip.IsValid() {
			template.IPAddresses = append(template.IPAddresses, s.ip.AsSlice())
		} else {
			template.DNSNames = append(template.DNSNames, s.dns)
		}
	}
	return key, template, nil
}

// signLeaf signs the template and returns it with its key and the rest of the
// chain.
func signLeaf(template, issuer *x509.Certificate, key, issuerKey *ecdsa.PrivateKey, chain ...[]byte) (*tls.Certificate, error) {
	der, err := x509.CreateCertificate(rand.Reader, template, issuer, key.Public(), issuerKey)
	if err != nil {
		return nil, fmt.Errorf("signing a certificate: %w", err)
	}
	leaf, err := x509.ParseCertificate(der)
	if err != nil {
		return nil, fmt.Errorf("reading the signed certificate back: %w", err)
	}
	return &tls.Certificate{
		Certificate: append([][]byte{der}, chain...),
		PrivateKey:  key,
		Leaf:        leaf,
	}, nil
}
