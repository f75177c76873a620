package acmecert

import (
	"bytes"
	"crypto/tls"
	"encoding/pem"
	"net/http"
	"os"
	"path/filepath"
	"testing"
	"time"

	"rtcdev/scripts/rehearsal"
)

// says sends a line on a connection and waits until it comes back.
func (r *rig) says(conn *tls.Conn, line string) {
	r.t.Helper()
	conn.SetDeadline(time.Now().Add(patience))
	buf := make([]byte, len(line))
	if _, err := conn.Write([]byte(line)); err != nil {
		r.t.Fatal(err)
	}
	if _, err := conn.Read(buf); err != nil || string(buf) != line {
		r.t.Fatalf("got %q, %v", buf, err)
	}
}

// A certificate that is about to end is replaced; a connection from before goes on, and what comes
// after gets the new one. Copies follow.
func TestRenewal(t *testing.T) {
	r := newRig(t, rehearsal.Options{Validity: 8 * time.Second}, "call.example.com")
	out := t.TempDir()
	r.cfg.CertFile, r.cfg.KeyFile = filepath.Join(out, "site.pem"), filepath.Join(out, "site.key")
	m := r.manager()
	at := r.server(m, "127.0.0.1:0")
	stop := r.run(m, portOf(at))
	first := r.hears(Obtained)
	conn, err := r.dial(at, "call.example.com")
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	r.says(conn, "before")
	old := conn.ConnectionState().PeerCertificates[0].SerialNumber.String()
	renewed := r.hears(Renewed)
	r.checkFiles(renewed)
	if !renewed.NotAfter.After(first.NotAfter) {
		t.Errorf("renewed until %v, before that %v", renewed.NotAfter, first.NotAfter)
	}
	if r.serial(at, "call.example.com") == old {
		t.Error("the old certificate is served still")
	}
	r.says(conn, "after")
	stop() // the copies are written by then
	for copied, from := range map[string]string{r.cfg.CertFile: renewed.CertFile, r.cfg.KeyFile: renewed.KeyFile} {
		was, err1 := os.ReadFile(from)
		is, err2 := os.ReadFile(copied)
		if err1 != nil || err2 != nil || !bytes.Equal(was, is) {
			t.Errorf("%s is not what %s is (%v, %v)", copied, from, err1, err2)
		}
	}
	if info, err := os.Stat(r.cfg.KeyFile); err != nil || info.Mode().Perm() != 0o600 {
		t.Errorf("the copied key: %v, %v", info.Mode(), err)
	}
}

// A certificate with most of its life before it is renewed when its authority asks for that.
func TestRenewalIsSuggested(t *testing.T) {
	r := newRig(t, rehearsal.Options{Validity: 90 * 24 * time.Hour}, "call.example.com")
	if err := r.manager().Obtain(t.Context()); err != nil {
		t.Fatal(err)
	}
	e := r.hears(Obtained)
	r.suggestRenewal(e)
	if err := r.manager().Obtain(t.Context()); err != nil {
		t.Fatal(err)
	}
	r.hears(Renewed)
	if r.ca.Orders() != 2 {
		t.Errorf("%d orders", r.ca.Orders())
	}
}

// suggestRenewal has the authority want a certificate renewed, and the time come to ask it.
func (r *rig) suggestRenewal(e Event) {
	r.t.Helper()
	leaf, err := os.ReadFile(e.CertFile)
	if err != nil {
		r.t.Fatal(err)
	}
	block, _ := pem.Decode(leaf)
	r.ca.SetRenewalInfo(pem.EncodeToMemory(block), time.Now().Add(-time.Hour), time.Now().Add(-time.Minute))
	about := e.CertFile[:len(e.CertFile)-len(".crt")] + ".json"
	data, err := os.ReadFile(about)
	if err != nil {
		r.t.Fatal(err)
	}
	at := bytes.Index(data, []byte(`"_retryAfter": "20`))
	if at < 0 {
		r.t.Fatalf("no time to ask again in %s", data)
	}
	copy(data[at+len(`"_retryAfter": "`):], "2020")
	if err := os.WriteFile(about, data, 0o600); err != nil {
		r.t.Fatal(err)
	}
}

// While the authority does not renew, the old certificate is served, and everybody who asks is
// told; when it does, nobody is told any more.
func TestRenewalFails(t *testing.T) {
	r := newRig(t, rehearsal.Options{}, "call.example.com")
	m := r.manager()
	at := r.server(m, "127.0.0.1:0")
	stop := r.run(m, portOf(at))
	first := r.hears(Obtained)
	stop()
	r.ca.Intercept(func(w http.ResponseWriter, q *http.Request) bool {
		if q.URL.Path == rehearsal.NewOrder {
			rehearsal.Problem(w, http.StatusInternalServerError, "serverInternal", "out of paper")
		}
		return q.URL.Path == rehearsal.NewOrder
	})
	r.suggestRenewal(first)
	m = r.manager()
	at = r.server(m, "127.0.0.1:0")
	r.run(m, portOf(at))
	var failed Event
	for failed = range r.events {
		if failed.Kind == Failed {
			break
		}
	}
	if failed.Problem.Kind != NoAuthority || !failed.NotAfter.Equal(first.NotAfter) || failed.Next.IsZero() {
		t.Errorf("failed: %+v", failed)
	}
	r.serial(at, "call.example.com")
	here := m.States()[0]
	elsewhere, err := ReadStates(r.cfg.Folder)
	if err != nil || len(elsewhere) != 1 || elsewhere[0].Problem == nil || here.Problem == nil {
		t.Fatalf("%+v, %+v, %v", here, elsewhere, err)
	}
	if s := elsewhere[0]; !s.NotAfter.Equal(first.NotAfter) || s.Problem.Kind != NoAuthority || s.Problem.Fix == "" || s.Next.IsZero() {
		t.Errorf("another process reads %+v", s)
	}
	r.ca.Intercept(nil)
	for e := range r.events {
		if e.Kind == Renewed {
			break
		}
	}
	if states, err := ReadStates(r.cfg.Folder); err != nil || len(states) != 1 || states[0].Problem != nil || m.States()[0].Problem != nil {
		t.Errorf("the fault is still told: %+v, %v", states, err)
	}
}

// A server sees what another process that shares its folder has renewed.
func TestRenewedElsewhere(t *testing.T) {
	r := newRig(t, rehearsal.Options{Validity: 30 * time.Second}, "call.example.com")
	m := r.manager()
	at := r.server(m, "127.0.0.1:0")
	r.run(m, portOf(at))
	first := r.hears(Obtained)
	r.suggestRenewal(first)
	if err := r.manager().Obtain(t.Context()); err != nil {
		t.Fatal(err)
	}
	var kinds []EventKind
	for len(kinds) == 0 || kinds[len(kinds)-1] != Found {
		kinds = append(kinds, (<-r.events).Kind)
	}
	if r.ca.Orders() != 2 {
		t.Errorf("%d orders: %v", r.ca.Orders(), kinds)
	}
	r.serial(at, "call.example.com")
}
