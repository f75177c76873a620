package main

import (
	"net"
	"slices"
	"strconv"
	"strings"

	"rtcdev/devserver"
)

// deviceLine says how far another device is, in a line of its own.
func (s *servePrinter) deviceLine(e devserver.Device) {
	who := e.Addr
	switch {
	case e.ThisComputer:
		who = "a program on this computer"
	case e.Name != "":
		who += " " + e.Name
	}
	s.note("%s  %s: %s\n", e.Time.Local().Format("15:04:05"), who, s.progress(e))
	// What to do on it may be long, and is to be found at a glance.
	if e.Next != "" {
		s.note("          → %s\n", e.Next)
	}
}

// progress is what has worked, and what has not.
func (s *servePrinter) progress(e devserver.Device) string {
	var parts []string
	if e.HTTPS {
		parts = append(parts, s.good.Sprint("✓")+" HTTPS")
	}
	if e.WebSocket {
		parts = append(parts, s.good.Sprint("✓")+" WebSocket")
	} else if e.HTTPS && e.Door != "" {
		parts = append(parts, "no WebSocket")
	}
	line := strings.Join(parts, " ")
	switch {
	case e.Door == "peerjs":
		return line + " → connected by PeerJS"
	case e.Door != "":
		return line + " → in room " + safeRoom(e.Room)
	case e.Refused != "" && slices.Contains(s.names, e.ServerName) && !s.certified[e.ServerName]:
		return "asked for " + e.ServerName + ", which has no certificate yet"
	case e.Refused == devserver.NoCertificate && len(s.names) > 0:
		return s.bad.Sprint("asked for "+e.ServerName) + ", for which there is no certificate: if it is yours, name it with --acme too"
	case e.Refused == devserver.CertificateRefused && e.ServerName != "":
		return s.bad.Sprint("refused the certificate of "+e.ServerName) + " (it does not know who signed it)"
	case e.Refused == devserver.NoCertificate:
		return s.bad.Sprint("asked for "+e.ServerName) + ", for which the authority may not sign: use an address above, or a certificate for it with --cert-file"
	case e.Refused != "" && e.HTTPS:
		return line + ", " + s.bad.Sprint("but refused the certificate too") + " (a warning was clicked away, or another browser does not trust the root)"
	case e.Refused != "":
		return s.bad.Sprint("refused the certificate") + " (root not trusted yet)"
	case e.Uninvited:
		return s.bad.Sprint("has no link with the secret") + ", or a wrong one"
	case e.HTTPS:
		return line
	case e.Downloaded:
		return "has downloaded the root"
	}
	return "opened the page that sets it up"
}

// networksChanged shows the addresses that are new, and those that are gone.
func (s *servePrinter) networksChanged(e devserver.NetworkChange) {
	before := s.server.Networks
	s.server.Networks, s.shown = e.Networks, 0
	var lines []string
	for _, n := range e.Networks {
		if !slices.Contains(before, n) {
			lines = append(lines, s.link(n.URL)+via(n))
		}
	}
	if len(lines) > 0 {
		lines = append([]string{"This machine has a new address:"}, lines...)
		if s.hasPhone() && s.interactive() {
			lines = append(lines, "(p and Enter shows the QR code for a phone)")
		}
	}
	for _, n := range before {
		if !slices.Contains(e.Networks, n) {
			lines = append(lines, n.URL+" is no longer there")
		}
	}
	if len(e.Networks) == 0 {
		lines = append(lines, "This machine has no network now: only its own browsers get here.")
	}
	start := e.Time.Local().Format("15:04:05") + "  "
	for _, line := range lines {
		s.note("%s%s\n", start, line)
		start = "          "
	}
}

// named says by what name other devices find this machine.
func (s *servePrinter) named(e devserver.Named) {
	if e.Lost {
		s.name = devserver.Named{}
		s.note("%s  Another machine has the name %s now: use an address.\n", e.Time.Local().Format("15:04:05"), e.Name)
		return
	}
	s.name = e
	if len(s.names) > 0 { // they have a better one
		return
	}
	s.note("          Other devices find it by name, too: %s\n", s.link(e.URL))
}

// link is the server's address with the room, and the secret if there is one.
func (s *servePrinter) link(base string) string {
	if s.server.SignalOnly {
		_, query, found := strings.Cut(s.server.Signal, "_rtcdev/signal")
		if !found {
			return base
		}
		return "wss" + strings.TrimPrefix(base, "https") + "_rtcdev/signal" + query
	}
	return base + strings.TrimPrefix(s.server.Room, s.server.URL)
}

// safeRoom is a room's name, which a stranger chose, as it can stand in a line.
func safeRoom(room string) string {
	if strings.Trim(strings.ToLower(room), "abcdefghijklmnopqrstuvwxyz0123456789-_.") == "" {
		return room
	}
	return strconv.Quote(room)
}

// hostOnly is a connection's address without its port.
func hostOnly(addr string) string {
	if host, _, err := net.SplitHostPort(addr); err == nil {
		return host
	}
	return addr
}
