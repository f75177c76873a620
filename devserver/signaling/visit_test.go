package signaling

import (
	"testing"
	"time"
)

// A bucket gives what comes in five seconds at once, and from then on what comes.
func TestBucket(t *testing.T) {
	now := time.Unix(1000, 0)
	b := newBucket(10, now.UnixNano())
	wantTaken := func(n int, want int) {
		t.Helper()
		for i := range want {
			if !b.take(n, now.UnixNano()) {
				t.Fatalf("only %d times %d", i, n)
			}
		}
		if b.take(n, now.UnixNano()) {
			t.Fatalf("more than %d times %d", want, n)
		}
	}
	wantTaken(1, 50)
	now = now.Add(99 * time.Millisecond)
	wantTaken(1, 0)
	now = now.Add(time.Millisecond)
	wantTaken(1, 1)
	now = now.Add(time.Second)
	wantTaken(5, 2)
	now = now.Add(time.Hour)
	wantTaken(10, 5)
	now = now.Add(time.Minute)
	wantTaken(51, 0)
	wantTaken(50, 1)
	now = now.Add(-time.Second) // two who looked at the clock one after the other
	wantTaken(1, 0)
	now = now.Add(time.Second)
	wantTaken(1, 0)
}

func TestHostOf(t *testing.T) {
	for addr, want := range map[string]string{
		"192.0.2.1:80":                     "192.0.2.1",
		"[::ffff:192.0.2.1]:80":            "192.0.2.1",
		"127.0.0.1:1":                      "127.0.0.1",
		"[::1]:1":                          "::1",
		"[2001:db8:1:2:3:4:5:6]:80":        "2001:db8:1:2::/64",
		"[2001:db8:1:2:ffff::1]:9":         "2001:db8:1:2::/64",
		"[2001:db8:1:3::1]:9":              "2001:db8:1:3::/64",
		"[fe80::1234:5678%eth0]:443":       "fe80::1234:5678",
		"[fe80::1234:5678%wlan0]:443":      "fe80::1234:5678",
		"a pipe":                           "a pipe",
		"":                                 "",
		"host.example:80":                  "host.example",
		"@":                                "@",
		"[2001:db8::1]":                    "[2001:db8::1]",
		"[::ffff:10.0.0.1%eth0]:80":        "10.0.0.1",
		"[0:0:0:0:0:0:0:1]:80":             "::1",
		"[2001:db8:1:2:ffff::192.0.2.1]:9": "2001:db8:1:2::/64",
	} {
		if got := hostOf(addr); got != want {
			t.Errorf("%q: %q, want %q", addr, got, want)
		}
	}
}
