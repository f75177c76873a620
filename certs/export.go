package certs

import (
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"slices"
	"strings"

	"software.sslmate.com/src/go-pkcs12"
)

// Format is an encoding of public certificates. None holds a key.
type Format string

const (
	FormatPEM          Format = "pem"          // the root (RFC 7468 §5), for command-line tools and Linux
	FormatDER          Format = "der"          // the root (X.690), for phones and Windows
	FormatMobileConfig Format = "mobileconfig" // the root in a configuration profile, for iPhone, iPad and Mac
	FormatBundle       Format = "bundle"       // the root and then the intermediate, as PEM
)

// Export returns what is public of the authority in the given format.
func (a *Authority) Export(format Format) ([]byte, error) {
	if format == FormatBundle {
		// The root comes first, for programs that read no more than one.
		return append(encodePEM(blockCertificate, a.root.Raw), encodePEM(blockCertificate, a.intermediate.Raw)...), nil
	}
	return EncodeRoot(a.root, format)
}

// EncodeRoot returns a root certificate, which is public, in any format but
// [FormatBundle]. The same root gives the same bytes.
func EncodeRoot(root *x509.Certificate, format Format) ([]byte, error) {
	switch format {
	case FormatPEM:
		return encodePEM(blockCertificate, root.Raw), nil
	case FormatDER:
		return slices.Clone(root.Raw), nil
	case FormatMobileConfig:
		return mobileConfig(root)
	}
	return nil, fmt.Errorf("exporting the root: %q is not a format for it; use %s, %s or %s",
		string(format), FormatPEM, FormatDER, FormatMobileConfig)
}

// ErrPassword says that a password cannot be used for a PKCS#12 file.
var ErrPassword = errors.New("the password will not do")

// EncodePKCS12 returns a certificate with its private key and chain as one
// PKCS#12 file (RFC 7292), for programs that import nothing else: browsers, Java
// and Windows. It is encrypted with AES-256 and authenticated with SHA-256, which
// OpenSSL since 1.1.0, Java since 12 and Windows since Server 2019 can read. The
// number of key derivations is small, so the password has to be hard to guess if
// the file can fall into other hands.
//
// The chain is what a server or a client sends: the leaf and the intermediate,
// not the root. Importing the file then never asks anybody to trust a root; only
// package trust does that.
//
// The error wraps [ErrPassword] for a password that is empty or not printable
// ASCII.
func EncodePKCS12(c *tls.Certificate, password string) ([]byte, error) {
	if err := checkPassword(password); err != nil {
		return nil, fmt.Errorf("making a PKCS#12 file: %w", err)
	}
	if c.PrivateKey == nil || len(c.Certificate) == 0 {
		return nil, errors.New("making a PKCS#12 file: it needs a certificate and its private key, and one is not there")
	}
	chain := make([]*x509.Certificate, len(c.Certificate))
	for i, der := range c.Certificate {
		cert, err := x509.ParseCertificate(der)
		if err != nil {
			return nil, fmt.Errorf("making a PKCS#12 file: reading the chain: %w", err)
		}
		chain[i] = cert
	}
	data, err := pkcs12.Modern2023.Encode(c.PrivateKey, chain[0], chain[1:], password)
	if err != nil {
		return nil, fmt.Errorf("making a PKCS#12 file: %w", err)
	}
	return data, nil
}

// checkPassword accepts the 95 printable characters of ASCII. RFC 7292 appendix
// B.1 and RFC 8018 encode all others in two ways, Java refuses them ("Password is
// not ASCII"), and what a program gets to see depends on the terminal's locale.
func checkPassword(password string) error {
	strange := func(r rune) bool { return r < ' ' || r > '~' }
	switch {
	case password == "":
		return fmt.Errorf("%w: it is empty, and such a file protects nothing and cannot be imported everywhere", ErrPassword)
	case strings.ContainsFunc(password, strange):
		return fmt.Errorf("%w: it holds something else than ASCII letters, digits, signs and spaces, which not every program can read", ErrPassword)
	}
	return nil
}
