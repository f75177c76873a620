package main

import (
	"fmt"
	"net"
	"os"
	"strings"

	"rtcdev/devserver"
)

// hasPhone tells whether other devices can be led here.
func (s *servePrinter) hasPhone() bool {
	return s.letsOthersIn() && s.ca != nil && !s.server.SignalOnly
}

// letsOthersIn tells whether the server listens for other devices at all.
func (s *servePrinter) letsOthersIn() bool {
	ip := net.ParseIP(s.options.host)
	return s.options.host != "" && (ip == nil || !ip.IsLoopback())
}

// publicName is the name that people are shown; empty if there is none.
func (s *servePrinter) publicName() string {
	for _, name := range s.names {
		if !strings.HasPrefix(name, "*.") {
			return name
		}
	}
	return ""
}

// setUps are where a phone may begin, best first: the addresses that the authority may sign
// for, and the name.
func (s *servePrinter) setUps() (all []devserver.Network) {
	for _, n := range s.server.Networks {
		if n.SetUp != "" {
			all = append(all, n)
		}
	}
	if s.name.SetUp != "" && len(all) > 0 {
		all = append(all, devserver.Network{SetUp: s.name.SetUp, Interface: "by name"})
	}
	return all
}

// phone shows where another device begins: last, since what follows moves it up.
func (s *servePrinter) phone() {
	if !s.hasPhone() {
		return
	}
	if s.publicName() != "" {
		s.line("Phone", "%s", s.strong.Sprint(s.server.Room))
		s.line("", "Open it there, or scan this.")
		s.code(s.server.Room)
		return
	}
	all := s.setUps()
	switch {
	case len(all) == 0 && len(s.server.Networks) > 0:
		s.line("Phone", "%s", s.bad.Sprint("the authority may not sign for this machine's public address"))
		s.line("", "Give a certificate for it, with --cert-file and --key-file.")
		return
	case len(all) == 0:
		s.line("Phone", "this machine has no private address that a phone could reach it by")
		return
	}
	shown := all[s.shown%len(all)]
	address := shown.SetUp
	s.line("Phone", "%s%s", s.strong.Sprint(address), via(shown))
	s.line("", "Open it there, or scan this: it shows how that device comes to trust this one.")
	s.line("", "To compare, the root's SHA-256 fingerprint:")
	half := (len(s.ca.Fingerprint()) + 1) / 2
	s.line("", "%s", s.ca.Fingerprint()[:half])
	s.line("", "%s", s.ca.Fingerprint()[half:])
	s.code(address)
}

// code shows an address as a QR code.
func (s *servePrinter) code(address string) {
	if code := qrCode(address, readConsole(s.out.File, s.noColor, os.LookupEnv, consoleCodePage())); code != "" {
		fmt.Fprint(s.out, "\n"+code) // no empty line after it, which would take its first away
	}
}

// via is the network interface, for people who have several.
func via(n devserver.Network) string {
	switch {
	case n.Interface == "":
		return ""
	case n.Kind == "":
		return "  (" + n.Interface + ")"
	}
	return "  (" + n.Kind + ", " + n.Interface + ")"
}
