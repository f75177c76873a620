package certs

import (
	"bytes"
	"crypto/ecdsa"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"encoding/base64"
	"encoding/hex"
	"encoding/json"
	"encoding/pem"
	"errors"
	"fmt"
	"log/slog"
	"math/big"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"
	"unicode"

	"software.sslmate.com/src/go-pkcs12"
)

// leaked returns in what form data gives a private key away, "" if in none.
func leaked(t testing.TB, data []byte, key *ecdsa.PrivateKey) string {
	t.Helper()
	scalar, err := key.Bytes()
	if err != nil {
		t.Fatal(err)
	}
	pkcs8, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		t.Fatal(err)
	}
	sec1, err := x509.MarshalECPrivateKey(key)
	if err != nil {
		t.Fatal(err)
	}
	forms := map[string][]byte{"the number": scalar, "PKCS#8": pkcs8, "SEC 1": sec1}
	for what, secret := range map[string][]byte{"the number": scalar, "PKCS#8": pkcs8, "SEC 1": sec1} {
		for offset := range 3 { // base64 looks different at each
			for name, encoding := range map[string]*base64.Encoding{"base64": base64.RawStdEncoding, "URL base64": base64.RawURLEncoding} {
				text := encoding.EncodeToString(append(make([]byte, offset), secret...))
				forms[fmt.Sprintf("%s in %s at %d", what, name, offset)] = []byte(text[4 : len(text)-4])
			}
		}
	}
	forms["hexadecimal"] = []byte(hex.EncodeToString(scalar))
	forms["decimal"] = new(big.Int).SetBytes(scalar).Append(nil, 10)
	forms["a list of bytes"] = []byte(strings.Trim(fmt.Sprint(scalar), "[]"))
	packed := bytes.Map(func(r rune) rune {
		if unicode.IsSpace(r) || r == ':' {
			return -1
		}
		return r
	}, data)
	for form, secret := range forms {
		for _, text := range [][]byte{data, packed, bytes.ToLower(packed)} {
			if bytes.Contains(text, secret) {
				return form
			}
		}
	}
	for block, rest := pem.Decode(data); block != nil; block, rest = pem.Decode(rest) {
		if bytes.Contains(block.Bytes, scalar) {
			return "a PEM block"
		}
	}
	return ""
}

func noLeak(t *testing.T, what string, data []byte, key *ecdsa.PrivateKey) {
	t.Helper()
	if len(data) == 0 {
		t.Errorf("%s is empty, so it shows nothing", what)
	}
	if form := leaked(t, data, key); form != "" {
		t.Errorf("%s gives the key away as %s", what, form)
	}
}

// TestLeakedFindsKeys, or the tests below would show nothing.
func TestLeakedFindsKeys(t *testing.T) {
	a := newTestAuthority(t, Options{})
	scalar, err := a.key.Bytes()
	must(t, err)
	pkcs8, err := x509.MarshalPKCS8PrivateKey(a.key)
	must(t, err)
	p12, err := EncodePKCS12(&tls.Certificate{Certificate: [][]byte{a.intermediate.Raw}, PrivateKey: a.key}, "secret")
	must(t, err)
	for name, data := range map[string][]byte{
		"raw":         append([]byte("x"), scalar...),
		"DER":         pkcs8,
		"PEM":         encodePEM(blockKey, pkcs8),
		"plist":       []byte("<data>" + base64.StdEncoding.EncodeToString(append([]byte("ab"), scalar...)) + "</data>"),
		"URL":         []byte(base64.URLEncoding.EncodeToString(pkcs8)),
		"openssl":     []byte("priv:\n  " + strings.Join(strings.Fields(fmt.Sprintf("% X", scalar)), ":")),
		"%v":          fmt.Append(nil, new(big.Int).SetBytes(scalar)),
		"%+v of key":  fmt.Appendf(nil, "%+v", *a.key),
		"%v of bytes": fmt.Appendf(nil, "%v", scalar),
		"opened p12":  openPKCS12(t, p12),
	} {
		if leaked(t, data, a.key) == "" {
			t.Errorf("%s: the key was not found", name)
		}
		if form := leaked(t, data, newKey(t)); form != "" {
			t.Errorf("%s: a key that is not there was found as %s", name, form)
		}
	}
}

// openPKCS12 returns everything that openssl finds in a file with the password
// "secret".
func openPKCS12(t *testing.T, data []byte) []byte {
	t.Helper()
	out, err := exec.Command(findTool(t, "openssl"), "pkcs12", "-in", writeTestFile(t, "pair.p12", data), "-passin", "pass:secret", "-noenc").Output()
	if err != nil {
		t.Fatalf("openssl pkcs12: %v", err)
	}
	return out
}

// TestNoExportHoldsTheKey looks for the intermediate's key in everything that
// leaves the folder.
func TestNoExportHoldsTheKey(t *testing.T) {
	a := newTestAuthority(t, Options{Hostname: "desk"})
	for _, format := range []Format{FormatPEM, FormatDER, FormatMobileConfig, FormatBundle} {
		data, err := a.Export(format)
		must(t, err)
		noLeak(t, string(format), data, a.key)
	}
	request, err := x509.CreateCertificateRequest(rand.Reader, &x509.CertificateRequest{DNSNames: []string{"localhost"}}, newKey(t))
	must(t, err)
	signed, err := a.SignRequest(request, false)
	must(t, err)
	certPath, err := WriteCertificate(t.TempDir(), signed, false)
	must(t, err)
	noLeak(t, "a signed request", readFile(t, certPath), a.key)
	for kind, c := range map[string]*tls.Certificate{"server": issue(t, a.Issue, "localhost"), "client": issue(t, a.IssueClient, "localhost")} {
		certPath, keyPath := certificateFiles(t, c)
		noLeak(t, kind+" cert.pem", readFile(t, certPath), a.key)
		noLeak(t, kind+" key.pem", readFile(t, keyPath), a.key)
		p12, err := EncodePKCS12(c, "secret")
		must(t, err)
		noLeak(t, kind+" p12", p12, a.key)
		noLeak(t, kind+" p12, opened", openPKCS12(t, p12), a.key)
		key, _, _, err := pkcs12.DecodeChain(p12, "secret")
		if err != nil || a.key.Equal(key) {
			t.Errorf("%s: the file's key is the intermediate's (error %v)", kind, err)
		}
	}
}

func readFile(t *testing.T, path string) []byte {
	t.Helper()
	data, err := os.ReadFile(path)
	must(t, err)
	return data
}

// TestPrintingShowsNoKey, also by accident: a log line, a %+v, a JSON encoder.
func TestPrintingShowsNoKey(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "authority")
	a, _, err := OpenOrCreate(dir, Options{})
	must(t, err)
	for _, verb := range []string{"%v", "%+v", "%#v", "%s", "%q", "%x", "%X", "%d"} {
		noLeak(t, verb, fmt.Appendf(nil, verb, a), a.key)
		noLeak(t, "a list as "+verb, fmt.Appendf(nil, verb, []any{a, struct{ A *Authority }{a}}), a.key)
	}
	encoded, err := json.Marshal([]any{a})
	must(t, err)
	noLeak(t, "JSON", encoded, a.key)
	var log bytes.Buffer
	slog.New(slog.NewTextHandler(&log, nil)).Info("text", "authority", a)
	slog.New(slog.NewJSONHandler(&log, nil)).Info("json", "authority", a)
	noLeak(t, "a log", log.Bytes(), a.key)
	d, err := Describe(dir)
	must(t, err)
	noLeak(t, "a description", fmt.Appendf(nil, "%+v", d), a.key)
}

// TestErrorsShowNoKey damages the key file in ways that leave the key in it.
func TestErrorsShowNoKey(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "authority")
	a, _, err := OpenOrCreate(dir, Options{})
	must(t, err)
	path := filepath.Join(dir, keyFile)
	good := readFile(t, path)
	block, _ := pem.Decode(good)
	scalar, err := a.key.Bytes()
	must(t, err)
	sec1, err := x509.MarshalECPrivateKey(a.key)
	must(t, err)
	for name, content := range map[string][]byte{
		"as DER":            block.Bytes,
		"bare":              scalar,
		"in hexadecimal":    []byte(hex.EncodeToString(scalar)),
		"without its start": good[10:],
		"without its end":   good[:len(good)-10],
		"twice":             append(bytes.Clone(good), good...),
		"as SEC 1":          encodePEM("EC PRIVATE KEY", sec1),
		"as another type":   encodePEM(string(block.Bytes), block.Bytes),
		"with a header":     pem.EncodeToMemory(&pem.Block{Type: blockKey, Headers: map[string]string{"Key": hex.EncodeToString(scalar)}, Bytes: block.Bytes}),
		"cut off inside":    encodePEM(blockKey, block.Bytes[:len(block.Bytes)-3]),
		"behind a length":   encodePEM(blockKey, append([]byte{0x30, 0x7f}, block.Bytes...)),
	} {
		must(t, os.WriteFile(path, content, 0o600))
		_, openErr := Open(dir)
		_, _, createErr := OpenOrCreate(dir, Options{})
		_, describeErr := Describe(dir)
		_, requestErr := a.SignRequest(content, false) // the key in the request's place
		for _, err := range []error{openErr, createErr, describeErr, requestErr} {
			if err == nil {
				t.Fatalf("%s: accepted", name)
			}
			text := fmt.Sprintf("%v\n%+v\n%#v\n", err, err, err)
			var store *StoreError
			var request *RequestError
			if errors.As(err, &store) {
				text += store.Fix + fmt.Sprintf("%+v", *store)
			} else if errors.As(err, &request) {
				text += request.Fix
			}
			noLeak(t, name+": the error", []byte(text), a.key)
			if block := hex.EncodeToString(scalar[:8]); strings.Contains(strings.ToLower(text), block) {
				t.Errorf("%s: the error holds a part of the key: %s", name, text)
			}
		}
	}
}

// TestRootKeyIsNowhere: nothing in the folder can sign for the root.
func TestRootKeyIsNowhere(t *testing.T) {
	files, err := newAuthority(Options{}, time.Now())
	must(t, err)
	root, err := x509.ParseCertificate(mustBlock(t, files[rootFile], blockCertificate))
	must(t, err)
	key, err := x509.ParsePKCS8PrivateKey(mustBlock(t, files[keyFile], blockKey))
	must(t, err)
	if len(files) != 3 || key.(*ecdsa.PrivateKey).PublicKey.Equal(root.PublicKey) {
		t.Errorf("%d files, or the root's key among them", len(files))
	}
}

func mustBlock(t *testing.T, data []byte, blockType string) []byte {
	t.Helper()
	der, err := parseBlock(data, blockType)
	must(t, err)
	return der
}
