//go:build unix

package main

import (
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// trustInNSS makes an NSS database that trusts the root.
func (a *account) trustInNSS(db, rootFile string) {
	a.t.Helper()
	if err := os.MkdirAll(db, 0o700); err != nil {
		a.t.Fatal(err)
	}
	for _, args := range [][]string{
		{"-N", "-d", "sql:" + db, "--empty-password"},
		{"-A", "-d", "sql:" + db, "-n", "root", "-t", "C,,", "-i", rootFile},
	} {
		if out, err := a.command("certutil", args...).CombinedOutput(); err != nil {
			a.t.Fatalf("certutil %s: %v\n%s", args[0], err, out)
		}
	}
}

// nssWords are those that tstclnt and vfychain have in common, but for the name
// of the host, which vfychain is not told.
func nssWords() words {
	return words{
		outside:  "is not permitted to issue a certificate with this name",
		misnamed: "SSL_ERROR_BAD_CERT_DOMAIN",
		unknown:  "issuer is not recognized",
	}
}

// visitWithNSS asks two tools of NSS, which have to agree: tstclnt shakes hands,
// and vfychain judges the chain that the server sends.
func visitWithNSS(t *testing.T, root *x509.Certificate, sites []*site) []string {
	a := newAccount(t)
	db := filepath.Join(a.home, "nss")
	a.trustInNSS(db, a.writeRoot(root))
	request := filepath.Join(a.home, "request")
	if err := os.WriteFile(request, []byte(plainRequest), 0o600); err != nil {
		t.Fatal(err)
	}
	common := nssWords()
	said := make([]string, len(sites))
	for i, s := range sites {
		said[i] = a.say("", "tstclnt", "-d", "sql:"+db, "-h", "127.0.0.1", "-p", s.port, "-a", s.host, "-A", request, "-V", "tls1.2:")
		if err := s.visited(); err != nil { // before sentChain is a visit, too
			t.Errorf("%v; tstclnt says: %s", err, said[i])
		}
		args := []string{"-d", "sql:" + db, "-u", "1", "-v"} // usage 1 is that of a TLS server
		for j, sent := range sentChain(t, s) {
			file := filepath.Join(a.home, fmt.Sprintf("sent%d.der", j))
			if err := os.WriteFile(file, sent.Raw, 0o600); err != nil {
				t.Fatal(err)
			}
			args = append(args, file)
		}
		chain := a.say("", "vfychain", args...)
		wants := "Chain is good!"
		for _, reason := range []verdict{outside, unknown} {
			if strings.Contains(said[i], common[reason]) {
				wants = common[reason]
			}
		}
		if !strings.Contains(chain, wants) {
			t.Errorf("%s: tstclnt says %s\nbut vfychain says %s", s.host, said[i], chain)
		}
	}
	return said
}

// sentChain returns the certificates that the site sends to whoever asks.
func sentChain(t *testing.T, s *site) []*x509.Certificate {
	t.Helper()
	nobody := &tls.Config{RootCAs: x509.NewCertPool(), ServerName: s.host}
	conn, err := tls.Dial("tcp", "127.0.0.1:"+s.port, nobody)
	var refused *tls.CertificateVerificationError
	if !errors.As(err, &refused) {
		t.Fatalf("%s: %v with %v; want the chain that was refused", s.host, conn, err)
	}
	return refused.UnverifiedCertificates
}
