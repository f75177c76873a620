package main

import (
	"fmt"
	"strings"

	"rtcdev/devserver"
	"rtcdev/devserver/relay"
)

// networkKey goes from one network to the next.
func (s *servePrinter) networkKey() key {
	does := "have all calls meet the next network of: off (a good one), " + strings.Join(relay.Presets(), ", ")
	return key{'i', does, func() {
		if err := s.control.NextNetwork(); err != nil {
			s.note("The network is as it was: %s.\n", err)
		}
	}}
}

// impaired says which network calls meet now.
func (s *servePrinter) impaired(e devserver.Impaired) {
	who := "all calls"
	switch {
	case e.Peer != "":
		who = fmt.Sprintf("%.6s…", e.Peer)
	case e.Room != "":
		who = fmt.Sprintf("room %q", e.Room)
	}
	network := e.Network
	switch {
	case e.Name != "":
		network = e.Name + " (" + e.Network + ")"
	case e.Network != "off":
	case e.Peer+e.Room != "":
		network = "no network of its own any more"
	default:
		network = "a good network"
	}
	s.note("%s  %s: %s\n", e.Time.Local().Format("15:04:05"), who, network)
	if e.Reload {
		s.note("          Reload the pages that are open: %s\n", s.whoMeetsIt())
	}
}

// whoMeetsIt says which pages meet a bad network.
func (s *servePrinter) whoMeetsIt() string {
	if s.options.noInject || s.options.signalOnly {
		return `only pages that ask for iceTransportPolicy: "relay" by themselves meet it.`
	}
	return "calls go through the relay, which loses and delays packets on their way."
}
