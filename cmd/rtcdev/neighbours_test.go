package main

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"rtcdev/devserver"
)

// newPrinter prints into a file; what returns the text since it was last asked.
func newPrinter(t *testing.T) (s *servePrinter, what func() string) {
	t.Helper()
	file, err := os.Create(filepath.Join(t.TempDir(), "screen"))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { file.Close() })
	a := &app{in: file, out: &output{File: file}, err: file}
	a.setUp()
	read := 0
	return &servePrinter{app: a, faults: make(map[string]toldFault), certified: make(map[string]bool)}, func() string {
		t.Helper()
		text, err := os.ReadFile(file.Name())
		if err != nil {
			t.Fatal(err)
		}
		defer func() { read = len(text) }()
		return string(text[read:])
	}
}

// One line for each step of a device, and what to do on it below.
func TestDeviceLines(t *testing.T) {
	s, what := newPrinter(t)
	const certificate = devserver.CertificateRefused
	for want, e := range map[string]devserver.Device{
		"192.168.0.23 iPhone: opened the page that sets it up":                           {Name: "iPhone", SetUp: true},
		"192.168.0.23 iPhone: has downloaded the root":                                   {Name: "iPhone", SetUp: true, Downloaded: true},
		"192.168.0.23: refused the certificate (root not trusted yet)":                   {Refused: certificate},
		"192.168.0.23 iPhone: ✓ HTTPS ✓ WebSocket → in room lobby":                       {Name: "iPhone", HTTPS: true, WebSocket: true, Door: "native", Room: "lobby"},
		"192.168.0.23 iPhone: ✓ HTTPS ✓ WebSocket → in room \"a b\"":                     {Name: "iPhone", HTTPS: true, WebSocket: true, Door: "native", Room: "a b"},
		"192.168.0.23 iPhone: ✓ HTTPS no WebSocket → in room lobby":                      {Name: "iPhone", HTTPS: true, Door: "events", Room: "lobby"},
		"192.168.0.23 iPhone: ✓ HTTPS no WebSocket → in room clicked":                    {Name: "iPhone", HTTPS: true, Refused: certificate, Door: "events", Room: "clicked"},
		"192.168.0.23: ✓ HTTPS ✓ WebSocket → connected by PeerJS":                        {HTTPS: true, WebSocket: true, Door: "peerjs"},
		"192.168.0.23 iPhone: has no link with the secret, or a wrong one\n":             {Name: "iPhone", HTTPS: true, Uninvited: true},
		"192.168.0.23: ✓ HTTPS":                                                          {HTTPS: true},
		"192.168.0.23: ✓ HTTPS, but refused the certificate too (a warning was clicked":  {HTTPS: true, Refused: certificate},
		"192.168.0.23: asked for example.com, for which the authority may not sign: use": {Refused: devserver.NoCertificate, ServerName: "example.com"},
		"a program on this computer: refused the certificate (root not trusted yet)\n  ": {ThisComputer: true, Refused: certificate, Next: "rtcdev certs trust"},
	} {
		e.Addr, e.Time = "192.168.0.23", time.Date(2026, 11, 22, 20, 31, 7, 0, time.Local)
		s.deviceLine(e)
		if got := what(); !strings.HasPrefix(got, "20:31:07  "+want) || strings.HasSuffix(got, "→ "+e.Next+"\n") != (e.Next != "") {
			t.Errorf("%+v:\n%swant %s", e, got, want)
		}
	}
}

// Another network is told with its links, and only what is new of it.
func TestNetworkLines(t *testing.T) {
	s, what := newPrinter(t)
	home := devserver.Network{URL: "https://192.168.0.5:8443/", SetUp: "http://192.168.0.5:8443/", Interface: "wlan0", Kind: "Wi-Fi"}
	cafe := devserver.Network{URL: "https://10.0.0.9:8443/", SetUp: "http://10.0.0.9:8443/", Interface: "wlan0", Kind: "Wi-Fi"}
	s.server = devserver.Ready{URL: "https://localhost:8443/", Room: "https://localhost:8443/?room=lobby&room-token=secret12", Networks: []devserver.Network{home}}
	for _, step := range []struct {
		now  []devserver.Network
		want string
	}{
		{nil, "https://192.168.0.5:8443/ is no longer there\n          This machine has no network now: only its own browsers get here.\n"},
		{[]devserver.Network{cafe}, "This machine has a new address:\n          https://10.0.0.9:8443/?room=lobby&room-token=secret12  (Wi-Fi, wlan0)\n"},
		{[]devserver.Network{home, cafe}, "This machine has a new address:\n          https://192.168.0.5:8443/?room=lobby&room-token=secret12  (Wi-Fi, wlan0)\n"},
		{[]devserver.Network{cafe}, "https://192.168.0.5:8443/ is no longer there\n"},
		{[]devserver.Network{cafe}, ""},
	} {
		s.networksChanged(devserver.NetworkChange{Networks: step.now})
		got := what()
		if _, after, found := strings.Cut(got, "  "); found && after != step.want || !found && step.want != "" {
			t.Errorf("with %d networks:\n%s\nwant\n%s", len(step.now), got, step.want)
		}
	}
	s.named(devserver.Named{Name: "laptop.local", URL: "https://laptop.local:8443/"})
	if got := what(); !strings.Contains(got, "https://laptop.local:8443/?room=lobby&room-token=secret12\n") {
		t.Errorf("the name: %s", got)
	}
	s.server.SignalOnly, s.server.Signal = true, "wss://localhost:8443/_rtcdev/signal?room-token=secret12"
	if got := s.link(cafe.URL); got != "wss://10.0.0.9:8443/_rtcdev/signal?room-token=secret12" {
		t.Errorf("for pages of others: %s", got)
	}
}
