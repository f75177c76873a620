package certs

import (
	"bytes"
	"crypto"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/elliptic"
	"crypto/rsa"
	"crypto/tls"
	"crypto/x509"
	"encoding/asn1"
	"encoding/pem"
	"fmt"
)

// maxRequest bounds a certificate request, in bytes. One takes about one
// thousand.
const maxRequest = 64 << 10

// RequestError says why a certificate request cannot be signed, whatever the
// authority.
type RequestError struct {
	Reason string // continues a sentence that begins with "the request"; no full stop
	Fix    string // the next step, to be read after "next: "; never empty
}

// Error returns "the request REASON", without the fix.
func (e *RequestError) Error() string { return "the request " + e.Reason }

// SignRequest signs a certificate request (PKCS#10, RFC 2986) in PEM or DER form,
// for a server or, if client is set, for a client. The result is what
// [Authority.Issue] or [Authority.IssueClient] would make for the same names,
// with the request's key in it and without a private key; [WriteCertificate]
// writes it.
//
// Of the request only its key and its names count. The names are the DNS names
// and IP addresses of its subject alternative names or, if it asks for no
// extension of that kind, its common name. Everything else that it asks for, a
// subject, a longer life or the right to sign certificates, is left out.
//
// The key is ECDSA on P-256 or P-384, or RSA with 2048 to 8192 bits: what
// Chromium, Firefox and Safari accept of a server. They refuse Ed25519, and
// Chromium refuses P-521.
//
// The error is a *RequestError for a request that is malformed, has a bad
// signature, or asks with another key or for other kinds of names, a *NameError
// for a name that is malformed or outside the constraints, and wraps
// [ErrExpired] if the authority is past its end.
func (a *Authority) SignRequest(request []byte, client bool) (*tls.Certificate, error) {
	parsed, err := parseRequest(request)
	if err != nil {
		return nil, err
	}
	names, err := requestedNames(parsed)
	if err != nil {
		return nil, err
	}
	subjects, err := a.constraints.subjects(names)
	if err != nil {
		return nil, err
	}
	usage := x509.ExtKeyUsageServerAuth
	if client {
		usage = x509.ExtKeyUsageClientAuth
	}
	return a.sign(subjects, parsed.PublicKey, usage)
}

// parseRequest returns a request whose key will do and which was signed with it,
// and otherwise a *RequestError.
func parseRequest(data []byte) (*x509.CertificateRequest, error) {
	der, err := requestDER(data)
	if err != nil {
		return nil, err
	}
	request, err := x509.ParseCertificateRequest(der)
	if err != nil {
		return nil, badRequest("cannot be read (%v)", err)
	}
	if reason := keyFault(request.PublicKey); reason != "" {
		return nil, badRequest("%s", reason)
	}
	if err := request.CheckSignature(); err != nil {
		return nil, badRequest("was changed, or was not signed with its own key (%v)", err)
	}
	return request, nil
}

// requestDER takes the PEM form off. Text before it, as openssl req -text
// writes, is passed over.
func requestDER(data []byte) ([]byte, error) {
	if len(data) > maxRequest {
		return nil, badRequest("is too large: it has more than %d bytes", maxRequest)
	}
	block, rest := pem.Decode(data)
	switch {
	case block == nil && (bytes.Contains(data, []byte("-----BEGIN")) || len(data) == 0 || data[0] != 0x30): // 0x30: SEQUENCE
		return nil, badRequest("cannot be read: it is neither complete PEM nor DER")
	case block == nil:
		return data, nil
	case block.Type != "CERTIFICATE REQUEST" && block.Type != "NEW CERTIFICATE REQUEST": // RFC 7468 §7
		return nil, badRequest("is a PEM block of type %q instead of CERTIFICATE REQUEST", block.Type)
	case len(bytes.TrimSpace(rest)) > 0:
		return nil, badRequest("is followed by something else in the same file")
	}
	return block.Bytes, nil
}

// keyFault says what is wrong with a key, "" if nothing.
func keyFault(key crypto.PublicKey) string {
	switch key := key.(type) {
	case *ecdsa.PublicKey:
		if key.Curve != elliptic.P256() && key.Curve != elliptic.P384() {
			return "has a key on the curve " + key.Curve.Params().Name + ", which not every browser accepts"
		}
	case *rsa.PublicKey:
		if bits := key.N.BitLen(); bits < 2048 || bits > 8192 {
			return fmt.Sprintf("has an RSA key of %d bits, and only 2048 to 8192 are accepted", bits)
		}
	case ed25519.PublicKey:
		return "has an Ed25519 key, which browsers refuse"
	default:
		return "has a key of a kind that browsers do not know"
	}
	return ""
}

// requestedNames returns the names that a request asks for. They are not checked
// yet.
func requestedNames(request *x509.CertificateRequest) ([]string, error) {
	if err := checkNameKinds(request); err != nil {
		return nil, err
	}
	names := request.DNSNames
	for _, ip := range request.IPAddresses {
		names = append(names, ip.String())
	}
	if len(names) > 0 {
		return names, nil
	}
	name := request.Subject.CommonName
	if _, err := parseSubject(name); err != nil {
		return nil, badRequest("names nothing to sign for: it has no subject alternative names, and its common name (%q) is not a host name", name)
	}
	return []string{name}, nil
}

// checkNameKinds refuses alternative names that are neither DNS names nor IP
// addresses. crypto/x509 passes over some kinds of them.
func checkNameKinds(request *x509.CertificateRequest) error {
	const dns, ip = 2, 7 // the tags of GeneralName (RFC 5280 §4.2.1.6)
	for _, extension := range request.Extensions {
		if !extension.Id.Equal(asn1.ObjectIdentifier{2, 5, 29, 17}) {
			continue
		}
		var names []asn1.RawValue
		if _, err := asn1.Unmarshal(extension.Value, &names); err != nil {
			return badRequest("is damaged: its subject alternative names cannot be read (%v)", err)
		}
		for _, name := range names {
			switch name.Tag {
			case dns, ip:
			case 1:
				return badRequest("asks for the e-mail address %q, and a certificate for servers holds only DNS names and IP addresses", name.Bytes)
			case 6:
				return badRequest("asks for the URI %q, and a certificate for servers holds only DNS names and IP addresses", name.Bytes)
			default:
				return badRequest("asks for a name that is neither a DNS name nor an IP address")
			}
		}
	}
	return nil
}

func badRequest(format string, args ...any) *RequestError {
	return &RequestError{Reason: fmt.Sprintf(format, args...),
		Fix: "make one like this: openssl req -new -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -keyout key.pem" +
			" -subj /CN=localhost -addext subjectAltName=DNS:localhost,IP:127.0.0.1 -out request.pem"}
}
