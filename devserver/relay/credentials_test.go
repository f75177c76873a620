package relay

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/pion/stun/v4"
)

func TestCredentials(t *testing.T) {
	s, err := New(Config{Secret: []byte("north of the wall"), CredentialLifetime: time.Hour})
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	c := s.Credentials("a:b")
	if left := time.Until(c.Expires); left < 59*time.Minute || left > time.Hour {
		t.Errorf("they expire in %s", left)
	}
	if want := fmt.Sprintf("%d:a:b", c.Expires.Unix()); c.Username != want {
		t.Errorf("the user name is %q, not %q", c.Username, want)
	}
	// printf 1767225600:page | openssl dgst -sha1 -hmac 'north of the wall' -binary | base64
	if got := s.password("1767225600:page"); got != "aF2NKWecyTWG8SCD24a2x02eh7g=" {
		t.Errorf("the password is %q", got)
	}
	if other, _ := New(Config{}); other.password(c.Username) == c.Password {
		t.Error("another server makes the same password")
	}
}

func TestConfig(t *testing.T) {
	for _, cfg := range []Config{
		{Secret: []byte("short")}, {Lifetime: time.Millisecond}, {Total: -1}, {Total: closedWorldSize + 1}, {BytesPerSecond: -1},
	} {
		if _, err := New(cfg); err == nil || !strings.Contains(err.Error(), ErrConfig.Error()) {
			t.Errorf("%+v: %v", cfg, err)
		}
	}
}

func TestBadCredentials(t *testing.T) {
	w := start(t, Config{})
	good := w.Credentials("page")
	old := fmt.Sprintf("%d:page", time.Now().Add(-time.Second).Unix())
	elsewhere, err := New(Config{})
	if err != nil {
		t.Fatal(err)
	}
	defer elsewhere.Close()
	for name, bad := range map[string]struct {
		Credentials
		reason Reason
	}{
		"expired":         {Credentials{Username: old, Password: w.password(old)}, ExpiredCredentials},
		"prolonged":       {Credentials{Username: "9" + good.Username, Password: good.Password}, BadCredentials},
		"other session":   {Credentials{Username: good.Username + "2", Password: good.Password}, BadCredentials},
		"wrong password":  {Credentials{Username: good.Username, Password: "guess"}, BadCredentials},
		"another server":  {elsewhere.Credentials("page"), BadCredentials},
		"no user of ours": {Credentials{Username: "admin", Password: "admin"}, BadCredentials},
	} {
		t.Run(name, func(t *testing.T) {
			c := w.raw(bad.Credentials)
			if code, _ := c.request(stun.MethodAllocate, requestedTransport(17)); code == 0 {
				t.Error("they were good enough")
			}
			w.waitRefusal(func(r Refusal) bool { return r.Reason == bad.reason && r.Client == addrPort(c.conn.LocalAddr()) })
		})
	}
	if n := w.Stats().Allocations; n != 0 {
		t.Errorf("there are %d allocations", n)
	}
}

// What somebody overheard cannot be sent again from elsewhere.
func TestReplay(t *testing.T) {
	w := start(t, Config{})
	c := w.raw(w.Credentials("page"))
	c.allocate()
	thief := w.raw(Credentials{})
	if _, err := thief.conn.Write(c.last); err != nil {
		t.Fatal(err)
	}
	w.waitRefusal(func(r Refusal) bool {
		return r.Reason == ReplayedRequest && r.Client == addrPort(thief.conn.LocalAddr())
	})
	if n := w.Stats().Allocations; n != 1 {
		t.Errorf("there are %d allocations", n)
	}
	if code, _, err := c.exchange(c.last); code != 0 || err != nil { // a retransmission
		t.Errorf("the same from the same client: %d, %v", code, err)
	}
}

// A call goes on when its credentials have expired, and may be renewed; but it
// cannot make more.
func TestExpiryDuringCall(t *testing.T) {
	w := start(t, Config{CredentialLifetime: time.Second})
	c := w.raw(w.Credentials("page"))
	c.allocate()
	<-time.After(time.Until(c.user.Expires.Add(10 * time.Millisecond)))
	if code, _ := c.request(stun.MethodRefresh); code != 0 {
		t.Errorf("Refresh with expired credentials: %d", code)
	}
	if code, _ := w.raw(c.user).request(stun.MethodAllocate, requestedTransport(17)); code == 0 {
		t.Error("one more allocation with expired credentials")
	}
	c.user = w.Credentials("page")
	if code, _ := c.request(stun.MethodRefresh); code != 0 {
		t.Errorf("Refresh with renewed credentials: %d", code)
	}
}

func TestReplaysAreBounded(t *testing.T) {
	var r replays
	for i := range maxReplays + 10 {
		r.note(transactionID{byte(i), byte(i >> 8), byte(i >> 16)}, fiveTuple{})
	}
	if len(r.owner) != maxReplays || len(r.ring) != maxReplays {
		t.Errorf("%d and %d are remembered", len(r.owner), len(r.ring))
	}
}
