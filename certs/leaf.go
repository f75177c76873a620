package certs

import (
	"crypto"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/sha256"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/asn1"
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

// Issue makes a key and a server's certificate for DNS names, wildcards and IP
// addresses. The result holds the leaf and the intermediate, and Leaf is set.
// The error is a *NameError if a name is malformed or outside the constraints,
// and wraps [ErrExpired] if the authority is.
func (a *Authority) Issue(names []string) (*tls.Certificate, error) {
	return a.issue(names, x509.ExtKeyUsageServerAuth)
}

// IssueClient is [Authority.Issue] for a client, which shows its certificate to
// a server that asks for one. Neither kind is accepted in the other's place. The
// first DNS name is also the common name, unless it is longer than a common name
// may be: it is what browsers and servers call the certificate by.
func (a *Authority) IssueClient(names []string) (*tls.Certificate, error) {
	return a.issue(names, x509.ExtKeyUsageClientAuth)
}

func (a *Authority) issue(names []string, usage x509.ExtKeyUsage) (*tls.Certificate, error) {
	subjects, err := a.constraints.subjects(names)
	if err != nil {
		return nil, err
	}
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return nil, fmt.Errorf("making a key for %s: %w", subjects[0], err)
	}
	cert, err := a.sign(subjects, key.Public(), usage)
	if err != nil {
		return nil, err
	}
	cert.PrivateKey = key
	return cert, nil
}

// sign signs a leaf for names that were checked, and returns it with the
// intermediate, without a key.
func (a *Authority) sign(subjects []subject, key crypto.PublicKey, usage x509.ExtKeyUsage) (*tls.Certificate, error) {
	now, end := a.now(), a.Ends()
	if now.After(end) {
		return nil, fmt.Errorf("signing for %s: %w since %s", subjects[0], ErrExpired, end.Format(time.DateOnly))
	}
	template, err := leafTemplate(subjects, key, usage, now)
	if err != nil {
		return nil, err
	}
	if template.NotAfter.After(end) {
		template.NotAfter = end
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
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return nil, fmt.Errorf("making a key for %s: %w", subjects[0], err)
	}
	template, err := leafTemplate(subjects, key.Public(), x509.ExtKeyUsageServerAuth, time.Now())
	if err != nil {
		return nil, err
	}
	// An issuer must have a name (RFC 5280 §4.1.2.4), and here it is the subject
	// too. The random part keeps two such certificates apart in one file.
	template.Subject = pkix.Name{
		Organization: []string{"rtcdev"},
		CommonName:   "rtcdev self-signed " + hex.EncodeToString(randomBytes(3)),
	}
	template.AuthorityKeyId = template.SubjectKeyId // crypto/x509 leaves it out where the names are the same
	cert, err := signLeaf(template, template, key.Public(), key)
	if err != nil {
		return nil, err
	}
	cert.PrivateKey = key
	return cert, nil
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

// maxCommonName is the most characters that a common name may have (RFC 5280
// appendix A.1, ub-common-name).
const maxCommonName = 64

// leafTemplate is the certificate of a key, still unsigned. A server's has an
// empty subject, which makes crypto/x509 mark the names as critical (RFC 5280
// §4.2.1.6): where a certificate holds no DNS name, clients check a common name
// against the constraints as if it were one.
func leafTemplate(subjects []subject, key crypto.PublicKey, usage x509.ExtKeyUsage, now time.Time) (*x509.Certificate, error) {
	keyID, err := keyIdentifier(key)
	if err != nil {
		return nil, fmt.Errorf("encoding the key for %s: %w", subjects[0], err)
	}
	notBefore := now.Add(-leafBackdate)
	template := &x509.Certificate{
		SerialNumber:          newSerial(),
		NotBefore:             notBefore,
		NotAfter:              notBefore.Add(leafLife - time.Second), // both ends count (RFC 5280 §4.1.2.5)
		KeyUsage:              x509.KeyUsageDigitalSignature,
		ExtKeyUsage:           []x509.ExtKeyUsage{usage},
		BasicConstraintsValid: true,
		SubjectKeyId:          keyID,
	}
	for _, s := range subjects {
		if s.ip.IsValid() {
			template.IPAddresses = append(template.IPAddresses, s.ip.AsSlice())
		} else {
			template.DNSNames = append(template.DNSNames, s.dns)
		}
	}
	if names := template.DNSNames; usage == x509.ExtKeyUsageClientAuth && len(names) > 0 && len(names[0]) <= maxCommonName {
		template.Subject.CommonName = names[0]
	}
	return template, nil
}

// keyIdentifier is the first 160 bits of the SHA-256 of the subjectPublicKey
// (RFC 7093 §2, method 1).
func keyIdentifier(key crypto.PublicKey) ([]byte, error) {
	der, err := x509.MarshalPKIXPublicKey(key)
	if err != nil {
		return nil, err
	}
	var info struct { // SubjectPublicKeyInfo (RFC 5280 §4.1)
		Algorithm pkix.AlgorithmIdentifier
		Key       asn1.BitString
	}
	if _, err := asn1.Unmarshal(der, &info); err != nil {
		return nil, err
	}
	sum := sha256.Sum256(info.Key.Bytes)
	return sum[:20], nil
}

// signLeaf signs the template for a key and returns it with the rest of the
// chain.
func signLeaf(template, issuer *x509.Certificate, key crypto.PublicKey, issuerKey *ecdsa.PrivateKey, chain ...[]byte) (*tls.Certificate, error) {
	der, err := x509.CreateCertificate(rand.Reader, template, issuer, key, issuerKey)
	if err != nil {
		return nil, fmt.Errorf("signing a certificate: %w", err)
	}
	leaf, err := x509.ParseCertificate(der)
	if err != nil {
		return nil, fmt.Errorf("reading the signed certificate back: %w", err)
	}
	return &tls.Certificate{Certificate: append([][]byte{der}, chain...), Leaf: leaf}, nil
}
