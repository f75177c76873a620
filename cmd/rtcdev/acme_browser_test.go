//go:build unix

package main

import (
	"crypto/x509"
	"fmt"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"github.com/chromedp/chromedp"

	"rtcdev/scripts/rehearsal"
)

// issuer is the root that the server's certificate leads to, which the client trusts.
func (h *publicHost) issuer(s *server) *x509.Certificate {
	h.t.Helper()
	conn := h.secure(s)
	defer conn.Close()
	chain := conn.ConnectionState().VerifiedChains[0]
	return chain[len(chain)-1]
}

// Chromium, which trusts the authority's root and knows no other name for the server than the
// public one, has a call with the test peer through the relay, by turns: with the same
// certificate.
func TestACMEInChromium(t *testing.T) {
	need(t, "certutil", "libnss3-tools")
	h := newPublicHost(t, rehearsal.Options{})
	s := h.servePublic("--with-peer", "-v")
	s.certificate("obtained")
	h.trustInNSS(filepath.Join(h.home, ".pki", "nssdb"), h.writeRoot(h.issuer(s)))
	v := h.chromiumAt(publicName)
	for _, kind := range []string{"any", "tls"} {
		v.open(s.ready.Room + "&rtcdev-relay")
		if kind == "tls" {
			v.get(viaRelay(kind, publicName))
		}
		v.get("allow()")
		v.wantMoving()
		got := v.get(selectedPair)
		t.Logf("the call goes by %s", got)
		if !strings.HasPrefix(got, "relay ") || !strings.HasSuffix(got, " relay") || kind == "tls" && !strings.HasPrefix(got, "relay tls ") {
			t.Errorf("the call goes by %s", got)
		}
		want := fmt.Sprintf("turns:%s:%d?transport=tcp", publicName, s.ready.Port)
		if got := v.get(`JSON.stringify(testPCs.at(-1).getConfiguration().iceServers)`); !strings.Contains(got, want) {
			t.Errorf("the servers are %s", got)
		}
		if kind == "any" && v.get("isSecureContext && location.protocol") != "https:" {
			t.Error("the page is not secure")
		}
	}
	v.wantQuietConsole()
	v.open("about:blank")
	if took := s.interrupt(); took > endLimit {
		t.Errorf("it took %v to end", took)
	}
	// A browser that needs a connection no more leaves in the middle; one that does not trust a
	// certificate sends an alert.
	if refusal := regexp.MustCompile(`a TLS handshake failed.*remote error.*`).FindString(s.log.String()); refusal != "" {
		t.Errorf("somebody did not trust a certificate: %s", refusal)
	}
}

// chromiumAt is a Chromium for which the name leads to this machine, as the DNS says to others.
func (h *publicHost) chromiumAt(name string) *visitor {
	h.t.Helper()
	p := h.startBrowser(chromedp.Flag("host-resolver-rules", "MAP "+name+" 127.0.0.1"))
	v := visitTab(h.t, p.ctx)
	v.chrom, v.said = p, p.trouble
	return v
}
