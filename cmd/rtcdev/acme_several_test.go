//go:build unix

package main

import (
	"fmt"
	"net/http"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"rtcdev/scripts/rehearsal"
)

// A server with several names gets certificates for all of them: that the port for the
// authority is open for one of them is no fault of another.
func TestACMESeveralNames(t *testing.T) {
	h := newPublicHost(t, rehearsal.Options{})
	h.obtain() // so that there is an account
	var asked atomic.Int32
	checking, over := make(chan struct{}), make(chan struct{})
	h.ca.Intercept(func(_ http.ResponseWriter, r *http.Request) bool {
		isACME := strings.Contains(r.UserAgent(), "acmez")
		switch {
		case r.URL.Path == rehearsal.Directory && !isACME && asked.Add(1) > 1: // the names after the first, before they look at the port
			<-checking
		case strings.HasPrefix(r.URL.Path, rehearsal.Challenge):
			select {
			case <-checking:
			default:
				close(checking)
				select { // as long as the others need to fail, if they do
				case <-over:
				case <-time.After(time.Second):
				}
			}
		}
		return false
	})
	s := h.servePublic("--acme", "www.example.com,chat.example.com", "-v")
	for obtained := 0; obtained < 2; {
		switch e := s.event("certificate"); e["state"] {
		case "failed":
			close(over)
			t.Fatalf("%v", e)
		case "obtained":
			obtained++
		}
	}
	if n := h.ca.Orders(); n != 3 {
		t.Errorf("%d orders", n)
	}
	if log := s.log.String(); strings.Contains(log, "[ERROR]") { // a library's, to whoever reads stderr
		t.Errorf("the log has\n%s", log)
	}
}

// A certificate that there is needs no authority: it is shown from the start. An authority that
// was set up anew, and knows neither the account nor the certificate, is no trouble.
func TestACMEStartsWithWhatThereIs(t *testing.T) {
	h := newPublicHost(t, rehearsal.Options{})
	h.obtain()
	h.ca.Stop()
	s := h.servePublic()
	h.serial(s) // the first client's, before any event
	s.certificate("found")
	if got := h.health(s); len(got) != 1 || !got[0].good() || got[0].Problem != "" {
		t.Errorf("health tells %+v", got)
	}
	s.interrupt()

	h.ca.Resume()
	h.ca.Reset()
	h.obtain() // it is good still, though nobody trusts it any more
	if n := h.ca.Orders(); n != 1 {
		t.Errorf("%d orders", n)
	}
	if o := h.beginWith(nil, append([]string{"certs", "acme", "www.example.com"}, h.about()...)...).end(); o.code != 0 {
		t.Errorf("another name: %d\n%s", o.code, o.err)
	}
}

// What has ended is replaced as soon as the authority is there, and told until then.
func TestACMEEndedWhileDown(t *testing.T) {
	h := newPublicHost(t, rehearsal.Options{Validity: 5 * time.Second})
	h.obtain()
	h.ca.Stop()
	eventually(t, "it ends", func() error {
		if reports, _ := h.status(); len(reports) != 1 || reports[0].good() {
			return fmt.Errorf("%+v", reports)
		}
		return nil
	})
	if _, text := h.status(); !strings.Contains(text, publicName+"  ended ") {
		t.Errorf("certs status says\n%s", text)
	}
	s := h.servePublic()
	if e := s.certificate("failed"); !strings.Contains(fmt.Sprint(e["problem"]), "does not answer") {
		t.Errorf("%v", e)
	}
	h.notYet(s)
	if got := h.health(s); len(got) != 1 || got[0].good() || got[0].Kind != "unreachable" {
		t.Errorf("health tells %+v", got)
	}
	h.ca.Resume()
	s.untilCertificate("renewed")
	h.serial(s)
}
