package certs

import (
	"bytes"
	"crypto/ecdsa"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/asn1"
	"encoding/pem"
	"errors"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"reflect"
	"slices"
	"strings"
	"testing"
)

// opensslRequest has openssl make a key and a request. Arguments without a
// subject get an empty one, and without a kind of key P-256.
func opensslRequest(t *testing.T, args ...string) (request []byte, keyPath string) {
	t.Helper()
	dir := t.TempDir()
	requestPath, keyPath := filepath.Join(dir, "request"), filepath.Join(dir, "key.pem")
	all := append([]string{"req", "-new", "-noenc", "-keyout", keyPath, "-out", requestPath}, args...)
	if !slices.Contains(args, "-newkey") {
		all = append(all, "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256")
	}
	if !slices.Contains(args, "-subj") {
		all = append(all, "-subj", "/")
	}
	if out, err := exec.Command(findTool(t, "openssl"), all...).CombinedOutput(); err != nil {
		t.Fatalf("openssl %q: %v\n%s", args, err, out)
	}
	request, err := os.ReadFile(requestPath)
	if err != nil {
		t.Fatal(err)
	}
	return request, keyPath
}

func san(names string) []string { return []string{"-addext", "subjectAltName=" + names} }

// TestSignRequest signs what openssl asks for, and has a server of openssl show
// the result with its own key.
func TestSignRequest(t *testing.T) {
	a := newTestAuthority(t, Options{})
	rsaKey := func(bits string) []string { return []string{"-newkey", "rsa:" + bits} }
	curve := func(name string) []string { return []string{"-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:" + name} }
	for name, c := range map[string]struct {
		args  []string
		names string // of the leaf
	}{
		"P-256":                     {san("DNS:localhost,IP:127.0.0.1,IP:::1"), "localhost 127.0.0.1 ::1"},
		"P-384":                     {append(curve("P-384"), san("DNS:localhost")...), "localhost"},
		"RSA 2048":                  {append(rsaKey("2048"), san("DNS:localhost")...), "localhost"},
		"RSA 3072":                  {append(rsaKey("3072"), san("DNS:localhost")...), "localhost"},
		"DER":                       {append(san("DNS:localhost"), "-outform", "DER"), "localhost"},
		"text before it":            {append(san("DNS:localhost"), "-text"), "localhost"},
		"the old name of the PEM":   {append(san("DNS:localhost"), "-newhdr"), "localhost"},
		"only a common name":        {[]string{"-subj", "/O=Someone/CN=LOCALHOST"}, "localhost"},
		"a common name on top":      {append(san("DNS:localhost"), "-subj", "/CN=accounts.google.com"), "localhost"},
		"names in odd forms":        {san("DNS:LocalHost.,DNS:localhost,DNS:*.app.test,DNS:127.0.0.1,IP:::ffff:10.0.0.1"), "localhost *.app.test 127.0.0.1 10.0.0.1"},
		"the right to sign":         {append(san("DNS:localhost"), "-addext", "basicConstraints=critical,CA:TRUE", "-addext", "keyUsage=critical,keyCertSign,cRLSign"), "localhost"},
		"other purposes":            {append(san("DNS:localhost"), "-addext", "extendedKeyUsage=codeSigning,anyExtendedKeyUsage"), "localhost"},
		"an extension nobody knows": {append(san("DNS:localhost"), "-addext", "1.2.3.4=critical,ASN1:UTF8String:x"), "localhost"},
	} {
		t.Run(name, func(t *testing.T) {
			request, keyPath := opensslRequest(t, c.args...)
			signed, err := a.SignRequest(request, false)
			if err != nil {
				t.Fatal(err)
			}
			names := slices.Clone(signed.Leaf.DNSNames)
			for _, ip := range signed.Leaf.IPAddresses {
				names = append(names, ip.String())
			}
			if got := strings.Join(names, " "); got != c.names {
				t.Errorf("signed for %q, want %q", got, c.names)
			}
			checkLikeIssue(t, a, signed)
			checkServes(t, a, signed, keyPath)
		})
	}
}

// checkLikeIssue wants of a signed request what Issue makes for its names, apart
// from the key and what is new each time.
func checkLikeIssue(t *testing.T, a *Authority, signed *tls.Certificate) {
	t.Helper()
	names := slices.Clone(signed.Leaf.DNSNames)
	for _, ip := range signed.Leaf.IPAddresses {
		names = append(names, ip.String())
	}
	own := issue(t, a.Issue, names...)
	if signed.PrivateKey != nil || len(signed.Certificate) != 2 || !bytes.Equal(signed.Certificate[1], own.Certificate[1]) {
		t.Errorf("a key (%v) or %d certificates", signed.PrivateKey != nil, len(signed.Certificate))
	}
	if !bytes.Equal(signed.Leaf.RawSubject, own.Leaf.RawSubject) || signed.Leaf.NotAfter.Sub(signed.Leaf.NotBefore) != own.Leaf.NotAfter.Sub(own.Leaf.NotBefore) {
		t.Errorf("subject %q, until %v", signed.Leaf.Subject, signed.Leaf.NotAfter)
	}
	extensions := func(c *x509.Certificate) (kept []pkix.Extension) {
		for _, e := range c.Extensions {
			if e.Id.String() != "2.5.29.14" { // the key's own identifier
				kept = append(kept, e)
			}
		}
		return kept
	}
	if !reflect.DeepEqual(extensions(signed.Leaf), extensions(own.Leaf)) {
		t.Errorf("extensions %v, want %v", extensions(signed.Leaf), extensions(own.Leaf))
	}
}

// checkServes has openssl verify the certificate and serve with it.
func checkServes(t *testing.T, a *Authority, signed *tls.Certificate, keyPath string) {
	t.Helper()
	if out, err := opensslVerify(t, [][]byte{a.Root().Raw}, signed.Certificate, "-x509_strict", "-verify_hostname", "localhost"); err != nil {
		t.Errorf("openssl refuses it: %v\n%s", err, out)
	}
	certPath, err := WriteCertificate(t.TempDir(), signed, false)
	if err != nil {
		t.Fatal(err)
	}
	port := startServer(t, "ACCEPT ", findTool(t, "openssl"), "s_server", "-accept", "127.0.0.1:0", "-www", "-cert", certPath, "-cert_chain", certPath, "-key", keyPath)
	conn, err := tls.Dial("tcp", net.JoinHostPort("127.0.0.1", port), &tls.Config{ServerName: "localhost", RootCAs: poolOf(a.Root())})
	if err != nil {
		t.Fatalf("no connection: %v", err)
	}
	conn.Close()
}

func TestSignRequestForAClient(t *testing.T) {
	a := newTestAuthority(t, Options{})
	request, keyPath := opensslRequest(t, san("DNS:phone.local")...)
	signed, err := a.SignRequest(request, true)
	if err != nil {
		t.Fatal(err)
	}
	if signed.Leaf.Subject.CommonName != "phone.local" || len(signed.Leaf.ExtKeyUsage) != 1 || signed.Leaf.ExtKeyUsage[0] != x509.ExtKeyUsageClientAuth {
		t.Errorf("subject %q, EKU %v", signed.Leaf.Subject, signed.Leaf.ExtKeyUsage)
	}
	certPath, err := WriteCertificate(t.TempDir(), signed, false)
	if err != nil {
		t.Fatal(err)
	}
	port := serveTLS(t, &tls.Config{GetCertificate: a.GetCertificate, ClientAuth: tls.RequireAndVerifyClientCert, ClientCAs: poolOf(a.Root())})
	if out, err := curl(t, a.Root(), port, "https://localhost/", "--cert", certPath, "--key", keyPath); err != nil || out != "hello" {
		t.Errorf("%q, %v", out, err)
	}
}

func TestSignRequestRefusesNames(t *testing.T) {
	a := newTestAuthority(t, Options{})
	for _, c := range []struct {
		args    []string
		name    string
		outside bool
	}{
		{san("DNS:accounts.google.com"), "accounts.google.com", true},
		{san("DNS:localhost,DNS:accounts.google.com"), "accounts.google.com", true},
		{san("DNS:localhost,IP:8.8.8.8"), "8.8.8.8", true},
		{san("DNS:localhost,IP:2001:4860:4860::8888"), "2001:4860:4860::8888", true},
		{[]string{"-subj", "/CN=accounts.google.com"}, "accounts.google.com", true},
		{san("DNS:*.test"), "*.test", false},
		{san("DNS:a b.test"), "a b.test", false},
	} {
		request, _ := opensslRequest(t, c.args...)
		_, err := a.SignRequest(request, false)
		var nameErr *NameError
		if !errors.As(err, &nameErr) || nameErr.Name != c.name || nameErr.Outside != c.outside {
			t.Errorf("%q: error %v, want one of %s", c.args, err, c.name)
		}
	}
	request, _ := opensslRequest(t, san("DNS:accounts.google.com")...)
	if _, err := newTestAuthority(t, Options{Unconstrained: true}).SignRequest(request, false); err != nil {
		t.Errorf("by an unconstrained authority: %v", err)
	}
}

func TestSignRequestRefusesRequests(t *testing.T) {
	a := newTestAuthority(t, Options{})
	from := func(args ...string) []byte {
		request, _ := opensslRequest(t, args...)
		return request
	}
	good := from(append(san("DNS:localhost"), "-outform", "DER")...)
	flipped := func(at int) []byte {
		changed := slices.Clone(good)
		changed[at] ^= 1
		return changed
	}
	goodPEM := encodePEM("CERTIFICATE REQUEST", good)
	_, keyPath := opensslRequest(t, san("DNS:localhost")...)
	key, err := os.ReadFile(keyPath)
	if err != nil {
		t.Fatal(err)
	}
	for name, c := range map[string]struct {
		request []byte
		reason  string
	}{
		"RSA 1024":             {from(append(san("DNS:localhost"), "-newkey", "rsa:1024")...), "RSA key of 1024 bits"},
		"P-521":                {from(append(san("DNS:localhost"), "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-521")...), "curve P-521"},
		"another curve":        {from(append(san("DNS:localhost"), "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:secp256k1")...), "unsupported elliptic curve"},
		"Ed25519":              {from(append(san("DNS:localhost"), "-newkey", "ed25519")...), "Ed25519 key"},
		"Ed448":                {from(append(san("DNS:localhost"), "-newkey", "ed448")...), "browsers do not know"},
		"RSA-PSS":              {from(append(san("DNS:localhost"), "-newkey", "rsa-pss")...), "browsers do not know"},
		"e-mail":               {from(san("DNS:localhost,email:me@localhost")...), `the e-mail address "me@localhost"`},
		"URI":                  {from(san("DNS:localhost,URI:https://localhost/")...), `the URI "https://localhost/"`},
		"other name":           {from(san("DNS:localhost,otherName:1.3.6.1.4.1.311.20.2.3;UTF8:me@desk")...), "neither a DNS name nor an IP address"},
		"registered ID":        {from(san("RID:1.2.3.4")...), "neither a DNS name nor an IP address"},
		"no name at all":       {from(), `its common name ("")`},
		"a person's name":      {from("-subj", "/CN=My Server"), `its common name ("My Server") is not a host name`},
		"signature changed":    {flipped(len(good) - 1), "was not signed with its own key"},
		"name changed":         {bytes.Replace(good, []byte("localhost"), []byte("localhosu"), 1), "was changed"},
		"cut off":              {good[:len(good)-9], "cannot be read"},
		"something behind":     {append(slices.Clone(good), 0), "cannot be read"},
		"empty":                {nil, "neither complete PEM nor DER"},
		"text":                 {[]byte("localhost"), "neither complete PEM nor DER"},
		"PEM cut off":          {goodPEM[:len(goodPEM)/2], "neither complete PEM nor DER"},
		"two requests":         {append(slices.Clone(goodPEM), goodPEM...), "followed by something else"},
		"a certificate":        {encodePEM(blockCertificate, a.Root().Raw), `type "CERTIFICATE" instead of CERTIFICATE REQUEST`},
		"a certificate as DER": {a.Root().Raw, "cannot be read"},
		"a key":                {key, `type "PRIVATE KEY" instead of`},
		"too large":            {bytes.Repeat([]byte("\n"), maxRequest+1), "too large"},
	} {
		_, err := a.SignRequest(c.request, false)
		var fault *RequestError
		if !errors.As(err, &fault) || !strings.Contains(err.Error(), c.reason) {
			t.Errorf("%s: error %v, want %q", name, err, c.reason)
			continue
		}
		if !strings.HasPrefix(err.Error(), "the request ") || fault.Fix == "" || strings.HasSuffix(err.Error(), ".") {
			t.Errorf("%s: it reads %q, next: %q", name, err, fault.Fix)
		}
	}
}

// TestRequestAdvice runs the command that a refusal recommends.
func TestRequestAdvice(t *testing.T) {
	a := newTestAuthority(t, Options{})
	_, err := a.SignRequest(nil, false)
	var fault *RequestError
	if !errors.As(err, &fault) {
		t.Fatal(err)
	}
	_, command, _ := strings.Cut(fault.Fix, "openssl ")
	dir := t.TempDir()
	cmd := exec.Command(findTool(t, "openssl"), strings.Fields(command)...)
	cmd.Dir = dir
	if out, err := cmd.CombinedOutput(); err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	request, err := os.ReadFile(filepath.Join(dir, "request.pem"))
	if err != nil {
		t.Fatal(err)
	}
	if _, err := a.SignRequest(request, false); err != nil {
		t.Errorf("%s makes a request that is refused: %v", fault.Fix, err)
	}
}

func TestWriteCertificate(t *testing.T) {
	a := newTestAuthority(t, Options{})
	request, _ := opensslRequest(t, san("DNS:localhost")...)
	signed, err := a.SignRequest(request, false)
	if err != nil {
		t.Fatal(err)
	}
	dir := filepath.Join(t.TempDir(), "new folder")
	path, err := WriteCertificate(dir, signed, false)
	if err != nil || path != filepath.Join(dir, "cert.pem") {
		t.Fatalf("%s, %v", path, err)
	}
	data, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	leaf, rest := pem.Decode(data)
	intermediate, rest := pem.Decode(rest)
	if intermediate == nil || len(rest) != 0 || !bytes.Equal(leaf.Bytes, signed.Certificate[0]) || !bytes.Equal(intermediate.Bytes, a.Intermediate().Raw) {
		t.Errorf("not the leaf and then the intermediate:\n%s", data)
	}
	if entries, _ := os.ReadDir(dir); len(entries) != 1 {
		t.Errorf("the folder holds %v", entries)
	}
	var exists *ExistsError
	if _, err := WriteCertificate(dir, signed, false); !errors.As(err, &exists) || len(exists.Files) != 1 {
		t.Errorf("onto a file without replace: error %v", err)
	}
	if _, err := WriteCertificate(dir, signed, true); err != nil {
		t.Errorf("with replace: %v", err)
	}
}

func FuzzSignRequest(f *testing.F) {
	a := newTestAuthority(f, Options{})
	key := newKey(f)
	for _, template := range []x509.CertificateRequest{
		{DNSNames: []string{"localhost", "accounts.google.com"}},
		{DNSNames: []string{"localhost"}, IPAddresses: []net.IP{net.IPv4(127, 0, 0, 1)}},
		{Subject: pkix.Name{CommonName: "phone.local"}},
		{EmailAddresses: []string{"me@localhost"}},
	} {
		der := makeRequest(f, &template, key)
		f.Add(der, false)
		f.Add(encodePEM("CERTIFICATE REQUEST", der), true)
		f.Add(append([]byte("Certificate Request:\n"), encodePEM("NEW CERTIFICATE REQUEST", der)...), false)
	}
	f.Add([]byte("-----BEGIN CERTIFICATE REQUEST-----\n"), false)
	f.Add([]byte{0x30, 0x80}, true)
	f.Fuzz(func(t *testing.T, request []byte, client bool) { checkSigned(t, a, request, client) })
}

// FuzzRequestNames changes the names and signs the request anew, so that they
// are looked at.
func FuzzRequestNames(f *testing.F) {
	a := newTestAuthority(f, Options{})
	key := newKey(f)
	f.Add([]byte("\x30\x0b\x82\x09localhost"), "accounts.google.com")
	f.Add([]byte("\x30\x11\x82\x09localhost\x87\x04\x7f\x00\x00\x01"), "")
	f.Add([]byte("\x30\x0e\x81\x0cme@localhost"), "")
	f.Add([]byte("\x30\x00"), "phone.local")
	f.Add([]byte("\x30\x05\x88\x03\x2a\x03\x04"), "My Server")
	f.Fuzz(func(t *testing.T, names []byte, commonName string) {
		template := &x509.CertificateRequest{
			Subject:         pkix.Name{CommonName: commonName},
			ExtraExtensions: []pkix.Extension{{Id: asn1.ObjectIdentifier{2, 5, 29, 17}, Value: names}},
		}
		if request, err := x509.CreateCertificateRequest(rand.Reader, template, key); err == nil {
			checkSigned(t, a, request, false)
		}
	})
}

func makeRequest(f *testing.F, template *x509.CertificateRequest, key *ecdsa.PrivateKey) []byte {
	f.Helper()
	der, err := x509.CreateCertificateRequest(rand.Reader, template, key)
	if err != nil {
		f.Fatal(err)
	}
	return der
}

// checkSigned wants an error of a known type, or a certificate that is not more
// than it may be.
func checkSigned(t *testing.T, a *Authority, request []byte, client bool) {
	signed, err := a.SignRequest(request, client)
	var requestErr *RequestError
	var nameErr *NameError
	if err != nil {
		if !errors.As(err, &requestErr) && !errors.As(err, &nameErr) {
			t.Fatalf("error %v of type %T", err, err)
		}
		return
	}
	leaf := signed.Leaf
	usage := map[bool]x509.ExtKeyUsage{false: x509.ExtKeyUsageServerAuth, true: x509.ExtKeyUsageClientAuth}[client]
	if _, err := leaf.Verify(x509.VerifyOptions{
		Roots: poolOf(a.Root()), Intermediates: poolOf(a.Intermediate()), KeyUsages: []x509.ExtKeyUsage{usage},
	}); err != nil || leaf.IsCA || len(leaf.URIs)+len(leaf.EmailAddresses) > 0 || len(leaf.DNSNames)+len(leaf.IPAddresses) == 0 {
		t.Fatalf("signed what it should not: %v", err)
	}
	names := append(slices.Clone(leaf.DNSNames), leaf.Subject.CommonName)
	for _, ip := range leaf.IPAddresses {
		names = append(names, ip.String())
	}
	for _, name := range names {
		if name != "" && a.Permits(name) != nil {
			t.Fatalf("signed for %q", name)
		}
	}
}
