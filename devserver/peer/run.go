package peer

import (
	"context"
	"encoding/json"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/pion/webrtc/v4"
)

const (
	statsPeriod = time.Second
	// closingTime is for what connections say in the end, to others and to TURN servers.
	closingTime = 250 * time.Millisecond
)

// A participant is a peer while Run runs. Its fields belong to the goroutine of Run.
type participant struct {
	cfg         Config
	room        string
	address     *url.URL
	line        *line
	mailbox     *mailbox
	source      *source // for Pattern
	count       counters
	working     sync.WaitGroup // everything that ends with the connections
	id          string
	servers     []webrtc.ICEServer
	relayOnly   bool
	network     *boundNet
	api         *webrtc.API
	others      map[string]bool        // who is in the room, and whether we are the polite one
	connections map[string]*connection // by the other one's id
	done        <-chan struct{}
	failure     error // what ends Run
}

// Run takes part in a room until ctx ends, which is no error, or the server refuses the
// peer: then the error wraps a *signaling.Error. A server that cannot be reached at
// first is an error, too; when the line breaks later, the peer comes back. The Stats say
// what has happened, with an error too.
func Run(ctx context.Context, cfg Config) (Stats, error) {
	p, err := newParticipant(cfg)
	if err != nil {
		return Stats{}, err
	}
	networkCtx, cutNetwork := context.WithCancel(context.WithoutCancel(ctx)) // to say goodbye
	defer cutNetwork()
	if p.network, err = newBoundNet(networkCtx); err != nil {
		return Stats{}, err
	}
	running, stop := context.WithCancel(ctx)
	p.done = running.Done()
	failed := make(chan error, 2)
	var helpers sync.WaitGroup
	if p.source != nil {
		helpers.Go(func() { failed <- p.source.run(running) })
	}
	lineCtx, cutLine := context.WithCancel(context.WithoutCancel(ctx)) // to say goodbye
	lineOver := make(chan struct{})
	helpers.Go(func() {
		defer close(lineOver)
		failed <- p.line.run(lineCtx)
	})
	err = p.loop(ctx, failed)

	p.line.leave()
	stats := p.stats()
	for id, c := range p.connections {
		delete(p.connections, id)
		c.close()
	}
	stop()
	defer time.AfterFunc(closingTime, cutNetwork).Stop()
	timer := time.AfterFunc(goodbyeTime, cutLine)
	<-lineOver
	timer.Stop()
	cutLine()
	helpers.Wait()
	p.working.Wait()
	return stats, err
}

// RunAll runs cfg.Count peers until ctx ends or one of them fails, whose error it returns.
// The Stats are theirs, in order.
func RunAll(ctx context.Context, cfg Config) ([]Stats, error) {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	count := max(1, cfg.Count)
	all := make([]Stats, count)
	failed := make(chan error, count)
	var peers sync.WaitGroup
	for i := range count {
		one := cfg
		if count > 1 {
			room := i/max(1, cfg.PerRoom) + 1
			one.URL, one.Room = numbered(cfg.URL, room), numbered(cfg.Room, room)
		}
		peers.Go(func() {
			var err error
			if all[i], err = Run(ctx, one); err != nil {
				failed <- err
				cancel()
			}
		})
	}
	peers.Wait()
	close(failed)
	return all, <-failed // nil if there is none
}

// numbered puts n in the place of each %d, apart from those that begin a byte in an
// address (RFC 3986 §2.1).
func numbered(text string, n int) string {
	parts := strings.Split(text, "%d")
	for i, part := range parts[1:] {
		between := strconv.Itoa(n)
		if part != "" && strings.Contains("0123456789abcdefABCDEF", part[:1]) {
			between = "%d"
		}
		parts[i+1] = between + part
	}
	return strings.Join(parts, "")
}

func newParticipant(cfg Config) (*participant, error) {
	address, room, err := cfg.address()
	if err != nil {
		return nil, err
	}
	p := &participant{cfg: cfg, room: room, address: address, mailbox: newMailbox(),
		others: map[string]bool{}, connections: map[string]*connection{}}
	if cfg.Mode == Pattern {
		if p.source, err = newSource(&p.count); err != nil {
			return nil, err
		}
	}
	p.line = &line{address: *address, room: room, tls: cfg.TLS,
		deliver: func(m message) { p.mailbox.post(func() { p.hear(m) }) }}
	return p, nil
}

// loop handles what happens, until ctx ends or something fails.
func (p *participant) loop(ctx context.Context, failed <-chan error) error {
	ticker := time.NewTicker(statsPeriod)
	defer ticker.Stop()
	for {
		select {
		case <-ctx.Done():
			return nil
		case err := <-failed:
			if ctx.Err() != nil {
				return nil
			}
			return err
		case <-ticker.C:
			if p.cfg.OnStats != nil {
				p.cfg.OnStats(p.stats())
			}
		case <-p.mailbox.ready:
			for _, f := range p.mailbox.take() {
				f()
			}
			if p.failure != nil {
				return p.failure
			}
		}
	}
}

func (p *participant) stats() Stats {
	s := p.count.stats(p.cfg.Mode)
	s.Room, s.Peer = p.room, p.id
	for id, c := range p.connections {
		if !c.connected() {
			continue
		}
		s.Connections++
		if selected, ok := pair(c.pc); ok {
			selected.Peer = id
			s.Pairs = append(s.Pairs, selected)
		}
	}
	return s
}

// after runs f on the goroutine of Run after a while.
func (p *participant) after(d time.Duration, f func()) {
	p.working.Go(func() {
		timer := time.NewTimer(d)
		defer timer.Stop()
		select {
		case <-timer.C:
			p.mailbox.post(f)
		case <-p.done:
		}
	})
}

func (p *participant) send(to string, s signal) {
	_ = p.line.send(to, s) // our own structs always encode
}

// hear handles what the server says.
func (p *participant) hear(m message) {
	switch m.Type {
	case "welcome":
		p.begin(m)
	case "resumed":
		p.use(m)
	case "peer-joined":
		p.meet(m.Peer, false)
	case "peer-left":
		// Perhaps it lost only the server. As long as the connection stands we keep it.
		delete(p.others, m.Peer)
		if c := p.connections[m.Peer]; c != nil && !c.connected() {
			p.drop(c)
		}
	case "signal":
		var s signal
		if json.Unmarshal(m.Data, &s) != nil { // another program's message
			return
		}
		p.negotiate(m.From, s)
	}
}

// begin takes the welcome, which may be one of several.
func (p *participant) begin(m message) {
	p.id = m.ID
	if p.use(m); p.failure != nil {
		return
	}
	clear(p.others)
	for _, id := range m.Peers {
		p.others[id] = true
	}
	for _, id := range m.Peers {
		p.meet(id, true)
	}
	for _, c := range p.connections {
		if _, here := p.others[c.remote]; !here && !c.connected() {
			p.drop(c)
		}
	}
}

// use takes the server's STUN and TURN servers, whose credentials are new in every welcome
// and resumption, and its policy. Connections use them when ICE starts again.
func (p *participant) use(m message) {
	p.servers, p.relayOnly = nil, p.cfg.RelayOnly || m.Policy == "relay"
	for _, s := range p.cfg.ICEServers {
		p.servers = append(p.servers, webrtc.ICEServer{URLs: s.URLs, Username: s.Username, Credential: s.Credential})
	}
	for _, s := range m.ICEServers {
		urls := slices.DeleteFunc(slices.Clone(s.URLs), p.untrusted)
		if len(urls) > 0 {
			p.servers = append(p.servers, webrtc.ICEServer{URLs: urls, Username: s.Username, Credential: s.Credential})
		}
	}
	if p.api, p.failure = newAPI(p.network, p.cfg.Mode, p.servers, p.address); p.failure != nil {
		return
	}
	for _, c := range p.connections {
		_ = c.pc.SetConfiguration(p.configuration()) // an error means that it is over
	}
}

// untrusted tells the addresses of our server that pion would refuse: it knows the system's
// authorities only, not those of Config.TLS. There are others without TLS, and what goes
// through them is encrypted all the same.
func (p *participant) untrusted(url string) bool {
	name, _, _ := strings.Cut(strings.TrimPrefix(url, "turns:"), "?")
	return p.cfg.TLS != nil && p.cfg.TLS.RootCAs != nil && strings.HasPrefix(url, "turns:") && name == p.address.Host
}

// configuration is that of every connection.
func (p *participant) configuration() webrtc.Configuration {
	policy := webrtc.ICETransportPolicyAll
	if p.relayOnly {
		policy = webrtc.ICETransportPolicyRelay
	}
	return webrtc.Configuration{ICEServers: p.servers, ICETransportPolicy: policy}
}

// A mailbox holds what is to be done on the goroutine of Run. Posting never waits: pion
// and Run wait for each other otherwise.
type mailbox struct {
	ready chan struct{} // has one element when there is something
	mu    sync.Mutex
	todo  []func()
}

func newMailbox() *mailbox { return &mailbox{ready: make(chan struct{}, 1)} }

func (m *mailbox) post(f func()) {
	m.mu.Lock()
	m.todo = append(m.todo, f)
	m.mu.Unlock()
	select {
	case m.ready <- struct{}{}:
	default:
	}
}

func (m *mailbox) take() []func() {
	m.mu.Lock()
	defer m.mu.Unlock()
	todo := m.todo
	m.todo = nil
	return todo
}
