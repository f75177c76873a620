package main

import (
	"context"
	"fmt"
	"path/filepath"
	"strings"
	"sync"
	"time"

	"rtcdev/certs"
	"rtcdev/certs/trust"
	"rtcdev/devserver"
	"rtcdev/devserver/signaling"
)

// servePrinter is the first screen of serve and the lines below it.
type servePrinter struct {
	*app
	ctx     context.Context // ends with the server
	options serveOptions
	ca      *certs.Authority // nil with a certificate of the person's own
	created bool
	names   []string // public ones, with --acme

	stop    func() // ends the server
	control *devserver.Control

	asked  time.Duration  // spent on the question of trust, not on starting
	stores []trust.Result // nil until read

	mu     sync.Mutex      // events and keys come from different goroutines
	server devserver.Ready // with the networks as they are now
	shown  int             // which of their addresses the phone is shown
	name   devserver.Named // by which devices find this machine, too

	opensLater bool                 // the browser, when there is a certificate for the public name
	faults     map[string]toldFault // of certificates, by name
	certified  map[string]bool      // the names that have one
}

// event prints what happens while the server runs.
func (s *servePrinter) event(e devserver.Event) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.json {
		_ = s.app.event(e) // a closed stdout must not stop the call
	}
	switch e := e.(type) {
	case devserver.Ready:
		s.ready(e)
	case devserver.PeerChange:
		s.peerChange(e)
	case devserver.Unreached:
		s.unreached(e)
	case devserver.Refused:
		s.refused(e)
	case devserver.Device:
		s.deviceLine(e)
	case devserver.NetworkChange:
		s.networksChanged(e)
	case devserver.Named:
		s.named(e)
	case devserver.Impaired:
		s.impaired(e)
	case devserver.Certificate:
		s.certificate(e)
	case devserver.TCPOnly:
		s.note("Another program has UDP at %s: what is relayed there goes over TCP.\n", e.Address)
	case devserver.RelayLost:
		s.note("This machine has left %s, on which calls were relayed: start rtcdev serve again to relay on the new address.\n", e.Address)
	case devserver.PageLeft:
		s.note("The page %q goes without the server's STUN and TURN: %s.\n", e.Page, e.Reason)
	case devserver.TestPeer:
		s.note("The test peer is not in the room: %s; it goes on trying.\n", e.Error)
	case devserver.Stopping:
		s.note("\nStopping; peers are told.\n")
	}
}

func (s *servePrinter) peerChange(e devserver.PeerChange) {
	verb := "joined"
	if e.Event != "peer-joined" {
		verb = "left"
	}
	from := hostOnly(e.Addr)
	if e.Door == "peerjs" { // has ids and no rooms
		verb += " by PeerJS,"
		s.note("%s  %.20s %s from %s (%d are there)\n", e.Time.Local().Format("15:04:05"), e.Peer, verb, from, e.Peers)
		return
	}
	s.note("%s  %.6s… %s room %q from %s (%d of %d)\n", e.Time.Local().Format("15:04:05"), e.Peer, verb, e.Room, from, e.Peers, e.RoomSize)
}

// refused says who was turned away and what would let them in.
func (s *servePrinter) refused(e devserver.Refused) {
	s.note("%s  refused %s: %s\n", e.Time.Local().Format("15:04:05"), hostOnly(e.Addr), e.Message)
	switch signaling.Code(e.Code) {
	case signaling.ForeignOrigin:
		if cfg := (devserver.Config{SignalOnly: true, AllowOrigins: []string{e.Origin}}); cfg.Validate() == nil { // a stranger chose it
			s.note("          To let them in: rtcdev serve --allow-origin %s\n", quoted(e.Origin))
		}
	case signaling.RoomFull:
		s.note("          For larger rooms: rtcdev serve --room-size %d\n", s.options.roomSize+1)
	case signaling.Overloaded:
		s.note("          For more: rtcdev serve --limit connections=… --limit connections-per-address=…\n")
	case signaling.TooManyRooms:
		s.note("          For more: rtcdev serve --limit rooms=…\n")
	case signaling.RateLimited:
		s.note("          For more: rtcdev serve --limit messages=… --limit bytes=…\n")
	case signaling.TooLarge:
		s.note("          For larger ones: rtcdev serve --limit message-bytes=…\n")
	}
}

// ready prints the first screen. It looks at the trust stores, which runs other
// programs, after everything a person can use at once.
func (s *servePrinter) ready(r devserver.Ready) {
	took := time.Since(s.started) - s.asked
	s.server = r
	switch {
	case s.json:
	case s.quiet && r.SignalOnly:
		fmt.Fprintln(s.out, r.Signal)
	case s.quiet:
		fmt.Fprintln(s.out, r.Room)
	default:
		s.screen(r, took)
	}
	if s.opensLater = s.options.open && s.publicName() != ""; s.options.open && !s.opensLater {
		s.openRoom(r)
	}
	if !s.quiet || s.json {
		s.trustLine()
	}
	if !s.quiet && !s.json {
		keys := ""
		if s.interactive() {
			keys = "   (h and Enter lists more keys)"
		}
		s.line("Stop", "Ctrl-C%s", keys)
		fmt.Fprintln(s.out)
		s.phone()
		s.keys(r)
	}
}

func (s *servePrinter) openRoom(r devserver.Ready) {
	openBrowser(r.Room, func(err error) {
		s.logger().Debug("opening a browser", "error", err)
		s.note("  No browser could be opened from here. Open the room link yourself.\n")
	})
}

// keys has letters do what a person at the terminal wants while the server runs.
func (s *servePrinter) keys(r devserver.Ready) {
	locked := func(do func()) func() {
		return func() {
			s.mu.Lock()
			defer s.mu.Unlock()
			do()
		}
	}
	var list []key
	if !r.SignalOnly {
		list = append(list, key{'o', "open the room in a browser", func() { s.openRoom(r) }})
	}
	if s.hasPhone() {
		list = append(list, key{'p', "show the QR code for a phone", locked(s.phone)})
	}
	if s.hasPhone() && s.publicName() == "" {
		list = append(list, key{'n', "show that of the next address", locked(func() {
			if len(s.setUps()) == 1 {
				s.note("This machine has one address only that a phone could reach.\n")
				return
			}
			s.shown++
			s.phone()
		})})
	}
	if !s.options.noTURN {
		list = append(list, s.networkKey())
	}
	list = append(list,
		key{'t', "tell whether browsers here trust the certificate", locked(func() {
			s.stores = nil // as it is now
			s.trustLine()
		})},
		key{'q', "quit", s.stop})
	s.listen(s.ctx, list...)
}

func (s *servePrinter) line(label, format string, args ...any) {
	fmt.Fprintf(s.out, "  %-8s %s\n", label, fmt.Sprintf(format, args...))
}

func (s *servePrinter) screen(r devserver.Ready, took time.Duration) {
	fmt.Fprintf(s.out, "%s  ready in %d ms\n\n", s.strong.Sprint("rtcdev "+r.Version), took.Milliseconds())
	if r.Taken != nil {
		fmt.Fprintf(s.out, "  %s, so this is port %d.\n\n", capital(r.Taken.Error()), r.Port)
	}
	if r.SignalOnly {
		s.doors(r)
	} else {
		s.line("Room", "%s", s.strong.Sprint(r.Room))
		if s.options.withPeer {
			s.line("", "A test peer goes into the room: open the link once, and you are in a call with it.")
		} else {
			s.line("", "Open it twice, in two tabs or windows: that is the call.")
		}
		s.line("Pages", "%s", r.URL)
		for _, n := range r.Networks {
			s.line("Network", "%s%s", s.link(n.URL), via(n))
		}
	}
	if s.letsOthersIn() {
		s.whoCan(r)
	}
	if !r.SignalOnly {
		s.line("From", "%s", s.source(r))
	}
	if r.BuiltIn {
		s.line("", "It has no index.html, so this is the built-in call app (rtcdev init writes it).")
	}
	switch r.Impair {
	case "":
	case "off":
		s.line("Bad net", "not yet; calls go through the relay already, so that it can be made bad at any time")
	default:
		s.line("Bad net", "%s", s.bad.Sprint(r.Impair))
		s.line("", "%s", s.whoMeetsIt())
	}
	if s.created {
		what := "the certificates of this server"
		if len(s.names) > 0 {
			what = "for this server's other names"
		}
		s.line("Made", "a local authority, which signs %s", what)
	}
}

// whoCan says who can reach what, now that other devices are let in.
func (s *servePrinter) whoCan(r devserver.Ready) {
	can := "open these pages and join a room"
	if r.SignalOnly {
		can = "join a room"
	}
	if s.options.roomToken != "" {
		s.line("", "Only who has a link with the secret can %s.", can)
	} else {
		who := "on your network"
		if len(s.names) > 0 {
			who = "who reaches this machine, from the internet too,"
		}
		s.line("", "Everyone %s can %s.", who, can)
		s.line("", "With --room-token, only who has your link can.")
	}
	if r.SignalOnly && len(r.Networks) > 0 && r.Networks[0].SetUp != "" {
		setUp, _, _ := strings.Cut(r.Networks[0].SetUp, "#") // there is no page to go on to
		s.line("Devices", "%s shows one how to trust this machine", setUp)
	}
}

// doors says where pages that are served elsewhere find the signaling.
func (s *servePrinter) doors(r devserver.Ready) {
	for i, u := range r.URLs {
		label := "Signal"
		if i > 0 {
			label = "Network"
		}
		s.line(label, "%s", s.strong.Sprint(s.link(u)))
	}
	secret := ""
	if _, query, found := strings.Cut(r.Signal, "?"); found {
		secret = ", with ?" + query
	}
	s.line("", "socket.io and PeerJS clients connect to %s%s", r.URL, secret)
	if len(s.options.allowOrigins) == 0 {
		s.line("Pages", "%s", s.bad.Sprint("no other server's pages may connect"))
		s.line("", "Let yours in: rtcdev serve --signal-only --allow-origin https://your.page")
		return
	}
	s.line("Pages", "of %s may connect", strings.Join(s.options.allowOrigins, " "))
}

// source is where the pages come from.
func (s *servePrinter) source(r devserver.Ready) string {
	if r.Proxy != "" {
		return r.Proxy
	}
	return s.folder()
}

// folder is the one that is served, as it can be found from anywhere.
func (s *servePrinter) folder() string {
	dir, err := filepath.Abs(s.options.dir)
	if err != nil {
		return s.options.dir
	}
	return dir
}

// trustLine says whether the browsers here accept the certificate and, if not,
// the exact command.
func (s *servePrinter) trustLine() {
	if len(s.names) > 0 {
		if !s.json {
			s.whoTrusts()
		}
		return
	}
	if s.ca == nil {
		if !s.json {
			s.line("Trust", "for those who trust the certificate in %s", s.options.certFile)
		}
		return
	}
	if s.stores == nil {
		m, err := machine()
		if err != nil {
			s.note("Trust could not be checked: %s\n", err)
			return
		}
		s.stores = m.BrowserStatus(s.ctx, s.ca.Root())
	}
	if s.ctx.Err() != nil {
		return // stopped meanwhile: what could not be read says nothing
	}
	trusted := trust.Trusted(s.stores)
	if s.json {
		_ = s.app.event(trustReport{Event: "trust", Trusted: trusted, Next: trustNext(trusted, s.stores), Stores: storeReports(s.stores)})
		return
	}
	if trusted {
		s.line("Trust", "%s", s.good.Sprint("browsers on this machine trust it"))
		return
	}
	for _, r := range s.stores {
		if r.Browser != "" && r.State == trust.StateUnknown {
			s.line("Trust", "%s: %s", s.bad.Sprint("could not be checked"), r.Reason)
			s.line("", "See: rtcdev certs status")
			return
		}
	}
	s.line("Trust", "%s", s.bad.Sprint("browsers on this machine will show a warning page"))
	s.line("", "In another terminal: %s", trustNext(trusted, s.stores))
	s.line("", "Then restart the browser.")
}

func capital(text string) string { return strings.ToUpper(text[:1]) + text[1:] }
