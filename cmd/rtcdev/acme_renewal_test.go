//go:build unix

package main

import (
	"bytes"
	"fmt"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"rtcdev/scripts/rehearsal"
)

// While a certificate is replaced, two peers talk by WebSocket and a relayed address is in use:
// neither notices. Whoever comes after has the new certificate.
func TestACMERenewalUnderLoad(t *testing.T) {
	h := newPublicHost(t, rehearsal.Options{Validity: 10 * time.Second})
	s := h.servePublic("-v")
	first := s.certificate("obtained")
	a, b := h.join(s, "x"), h.join(s, "x")
	h.hears(a, "peer-joined")
	one, other := h.allocate(s), h.allocate(s)
	one.meets(other)
	old := leafOf(one.conn).SerialNumber.String()
	n := 0
	exchange := func() {
		t.Helper()
		n++
		if err := b.WriteJSON(map[string]any{"type": "signal", "data": n}); err != nil {
			t.Fatalf("message %d: %v\n%s", n, err, &s.log)
		}
		if got := h.hears(a, "signal"); got != float64(n) {
			t.Fatalf("message %d comes as %v", n, got)
		}
		one.sends(other, fmt.Sprint(n))
	}
	ticker := time.NewTicker(50 * time.Millisecond) // well below what one may send
	defer ticker.Stop()
	deadline := time.After(patience)
	var renewed map[string]any
	for renewed == nil {
		select {
		case e := <-s.events:
			if e["state"] == "failed" || e == nil {
				t.Fatalf("%v\n%s", e, &s.log)
			}
			if e["state"] == "renewed" {
				renewed = e
			}
		case <-ticker.C:
			exchange()
		case <-deadline:
			t.Fatal("it is not renewed")
		}
	}
	t.Logf("%d messages before the renewal", n)
	if renewed["notAfter"] == first["notAfter"] || renewed["name"] != publicName {
		t.Errorf("renewed %v after %v", renewed, first)
	}
	serial := h.serial(s)
	if serial == old || h.serial(s, "stun.turn") != serial || h.serial(s, "http/1.1") != serial {
		t.Errorf("after the renewal there are %s, %s and %s; before it %s", serial, h.serial(s, "stun.turn"), h.serial(s, "http/1.1"), old)
	}
	for range 10 {
		<-ticker.C
		exchange()
	}
	one.refresh()
	other.refresh()
	exchange()
	newer := h.allocate(s) // with the new certificate, and to one with the old
	newer.meets(one)
	newer.sends(one, "from the new to the old")
}

// A renewal that fails leaves the old certificate, is told everywhere, and is forgotten when the
// next one works.
func TestACMERenewalFails(t *testing.T) {
	h := newPublicHost(t, rehearsal.Options{})
	h.obtain()
	h.makeDue()
	h.ca.Intercept(func(w http.ResponseWriter, r *http.Request) bool {
		if r.URL.Path == rehearsal.NewOrder {
			rehearsal.Problem(w, http.StatusInternalServerError, "serverInternal", "out of paper")
		}
		return r.URL.Path == rehearsal.NewOrder
	})
	s := h.servePublic()
	failed := s.untilCertificate("failed")
	if got := fmt.Sprint(failed["problem"]); !strings.Contains(got, "has a fault of its own") || !strings.Contains(got, "out of paper") ||
		failed["next"] == nil || failed["retryAt"] == nil || failed["notAfter"] == nil {
		t.Errorf("the event is %v", failed)
	}
	old := h.serial(s)
	reports, text := h.status()
	for where, got := range map[string][]acmeReport{"health": h.health(s), "certs status": reports} {
		if len(got) != 1 || !got[0].good() || !strings.Contains(got[0].Problem, "a fault of its own") || got[0].FailedAt.IsZero() || got[0].RetryAt.IsZero() {
			t.Errorf("%s tells %+v", where, got)
		}
	}
	for _, want := range []string{publicName + "  until ", "not renewed at ", "out of paper", "next: "} {
		if !strings.Contains(text, want) {
			t.Errorf("certs status lacks %q:\n%s", want, text)
		}
	}
	h.ca.Intercept(nil)
	s.untilCertificate("renewed")
	if h.serial(s) == old {
		t.Error("the old certificate is served still")
	}
	reports, text = h.status()
	for where, got := range map[string][]acmeReport{"health": h.health(s), "certs status": reports} {
		if len(got) != 1 || !got[0].good() || got[0].Problem+got[0].Kind+got[0].Next != "" || !got[0].FailedAt.IsZero() || !got[0].RetryAt.IsZero() {
			t.Errorf("%s tells still %+v", where, got)
		}
	}
	if strings.Contains(text, "not renewed") || strings.Contains(text, "next: ") && strings.Contains(text, "out of paper") {
		t.Errorf("certs status tells still:\n%s", text)
	}
}

// Copies that certs acme was asked for once are replaced when serve renews the certificate.
func TestACMECopiesAreRenewed(t *testing.T) {
	h := newPublicHost(t, rehearsal.Options{})
	cert, key := filepath.Join(h.home, "site.pem"), filepath.Join(h.home, "site.key")
	o := h.obtain("--cert-file", "site.pem", "--key-file", "site.key") // as seen from where it runs
	if want := "Copies       " + cert + ", " + key + "\n"; !strings.Contains(o.out, want) {
		t.Errorf("it says no %q:\n%s", want, o.out)
	}
	wantCopies := func() error {
		for copied, from := range map[string]string{cert: h.site(".crt"), key: h.site(".key")} {
			is, err := os.ReadFile(copied)
			if err != nil {
				return err
			}
			was, err := os.ReadFile(from)
			if err != nil {
				return err
			}
			if !bytes.Equal(is, was) {
				return fmt.Errorf("%s is not what %s is", copied, from)
			}
		}
		if info, err := os.Stat(key); err != nil || info.Mode().Perm() != 0o600 {
			t.Errorf("the copied key: %v, %v", info.Mode(), err)
		}
		return nil
	}
	if err := wantCopies(); err != nil {
		t.Fatal(err)
	}
	before, err := os.ReadFile(cert)
	if err != nil {
		t.Fatal(err)
	}
	h.makeDue()
	h.servePublic().certificate("renewed")
	eventually(t, "the copies are the new ones", func() error {
		if now, err := os.ReadFile(cert); err != nil || bytes.Equal(now, before) {
			return fmt.Errorf("%s is the old one (%v)", cert, err)
		}
		return wantCopies()
	})
	if left, _ := filepath.Glob(filepath.Join(h.home, ".site*")); len(left) > 0 {
		t.Errorf("there is more: %q", left)
	}
}
