package devserver

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"maps"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"sync"
	"time"

	"rtcdev/devserver/relay"
)

// badNetwork has calls meet a bad network on demand: for all of them, in a room, or for a
// peer. It is made inside the relay, so pages have to use that; see [badNetwork.forces].
type badNetwork struct {
	relay    *relay.Server // nil with Config.NoTURN
	tell     func(Event)
	prepared bool // pages use the relay from the beginning, with a good network too

	mu      sync.Mutex
	rules   rules
	applied bool // the relay has rules
}

// rules are who has which network, and who is who.
type rules struct {
	all     relay.Impairment
	rooms   map[string]relay.Impairment
	peers   map[string]relay.Impairment // by id
	members map[string]member           // by id
}

// member is a peer in a room.
type member struct {
	room    string
	host    string // its network address
	session string // its browser's; empty with doors that name no servers, where the host must do
}

// Impaired says that a network was made bad, or good again.
type Impaired struct {
	Event string    `json:"event"` // "impaired"
	Time  time.Time `json:"time"`
	Room  string    `json:"room,omitempty"` // that it is for; or
	Peer  string    `json:"peer,omitempty"` // the one that it is for; else all
	// Network is what it is now, "off" for a good one or, of a room or a peer, for none of
	// its own; Name is what it was called, such as "3g".
	Network string `json:"network"`
	Name    string `json:"name,omitempty"`
	// Reload is set when pages that are open go past it until they are loaded again.
	Reload bool `json:"reload"`
}

// errNoRelay says why there is nothing to make bad.
var errNoRelay = errors.New("a bad network is made in the server's own relay, which --no-turn leaves out")

func newBadNetwork(cfg *Config, server *relay.Server, tell func(Event)) (*badNetwork, error) {
	b := &badNetwork{relay: server, tell: tell, prepared: cfg.Impair != "", rules: rules{
		rooms: make(map[string]relay.Impairment), peers: make(map[string]relay.Impairment), members: make(map[string]member),
	}}
	if cfg.Impair == "" {
		return b, nil
	}
	return b, b.set("", "", cfg.Impair, false)
}

// forces tells whether pages that are loaded now are to use nothing but the relay.
func (b *badNetwork) forces() bool {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.prepared || b.rules.any()
}

// set makes the network of the room, of the peer or, without either, of all others
// what spec says. The error is for who asked.
func (b *badNetwork) set(room, peer, spec string, say bool) error {
	if b.relay == nil {
		return errNoRelay
	}
	spec = strings.ToLower(strings.TrimSpace(spec))
	i, err := relay.ParseImpairment(spec)
	if err != nil {
		return err
	}
	name := ""
	if slices.Contains(relay.Presets(), spec) {
		name = spec
	}
	b.mu.Lock()
	defer b.mu.Unlock()
	if peer != "" {
		if peer, err = b.rules.find(peer); err != nil {
			return err
		}
	}
	reload := !b.prepared && !b.rules.any()
	switch {
	case peer != "":
		put(b.rules.peers, peer, i)
	case room != "":
		put(b.rules.rooms, room, i)
	default:
		b.rules.all = i
	}
	if err := b.apply(); err != nil {
		return err
	}
	if say {
		b.tell(Impaired{Event: "impaired", Time: time.Now(), Room: room, Peer: peer, Network: i.String(), Name: name, Reload: reload && b.rules.any()})
	}
	return nil
}

func put(rules map[string]relay.Impairment, name string, i relay.Impairment) {
	if i == (relay.Impairment{}) {
		delete(rules, name)
	} else {
		rules[name] = i
	}
}

// apply needs b.mu.
func (b *badNetwork) apply() error {
	if b.applied = b.rules.any(); !b.applied {
		return b.relay.Impair(nil)
	}
	now := rules{ // the relay asks while it holds its own lock, so never under ours
		all: b.rules.all, rooms: maps.Clone(b.rules.rooms), peers: maps.Clone(b.rules.peers), members: maps.Clone(b.rules.members),
	}
	return b.relay.Impair(now.path)
}

// next turns to the network after the one that all have now: good, then each preset.
func (b *badNetwork) next() error {
	names := append([]string{"off"}, relay.Presets()...)
	b.mu.Lock()
	at := slices.IndexFunc(names, func(name string) bool {
		i, err := relay.ParseImpairment(name)
		return err == nil && i == b.rules.all
	})
	b.mu.Unlock()
	return b.set("", "", names[(at+1)%len(names)], true)
}

// met notes the browser session of a peer that is about to join.
func (b *badNetwork) met(peer, session string) {
	b.change(peer, func(m *member) { m.session = session })
}

// heard notes who comes and goes.
func (b *badNetwork) heard(e Event) {
	change, ok := e.(PeerChange)
	switch {
	case !ok:
	case change.Event == "peer-joined":
		b.change(change.Peer, func(m *member) { m.room, m.host = change.Room, hostOnly(change.Addr) })
	default:
		b.mu.Lock()
		defer b.mu.Unlock()
		delete(b.rules.members, change.Peer)
		if _, own := b.rules.peers[change.Peer]; own {
			delete(b.rules.peers, change.Peer)
			_ = b.apply() // fails only once the relay is closed
		}
	}
}

func (b *badNetwork) change(peer string, edit func(*member)) {
	if b.relay == nil {
		return
	}
	b.mu.Lock()
	defer b.mu.Unlock()
	m := b.rules.members[peer]
	edit(&m)
	b.rules.members[peer] = m
	if b.rules.any() {
		_ = b.apply() // fails only once the relay is closed
	}
}

func (r *rules) any() bool {
	return r.all != relay.Impairment{} || len(r.rooms) > 0 || len(r.peers) > 0
}

// minPrefix is how much of a peer's id names it: the terminal shows as much.
const minPrefix = 6

// find returns the whole id of the peer whose id begins like that.
func (r *rules) find(peer string) (string, error) {
	peer = strings.TrimSuffix(peer, "…") // as the terminal shows it
	var found []string
	for id := range r.members {
		if id == peer {
			return id, nil
		}
		if len(peer) >= minPrefix && strings.HasPrefix(id, peer) {
			found = append(found, id)
		}
	}
	switch len(found) {
	case 0:
		return "", fmt.Errorf("nobody here is called %.80q: give the id that was printed when the peer joined, or %d or more of its first letters", peer, minPrefix)
	case 1:
		return found[0], nil
	}
	return "", fmt.Errorf("%d peers have ids that begin with %q: give more of it", len(found), peer)
}

// path is the network of a session of the relay, as [iceServers.list] names them. What all or
// those in one room have is met once on the way between two of them; what one peer has,
// on the way to it and from it.
func (r *rules) path(session string) relay.Path {
	browser, suffix, _ := strings.Cut(session, ".")
	host, isPage := strings.CutPrefix(suffix, "@")
	if !isPage {
		return r.pathOf(suffix)
	}
	// The page's own signaling is known by its browser, or by where that is.
	var known []string
	for id, m := range r.members {
		if m.session == browser || m.session == "" && m.host == host {
			known = append(known, id)
		}
	}
	slices.Sort(known)
	for _, id := range known {
		if _, own := r.peers[id]; own {
			return r.pathOf(id)
		}
	}
	if len(known) == 0 {
		return relay.Path{Up: r.all}
	}
	return r.pathOf(known[0])
}

func (r *rules) pathOf(peer string) relay.Path {
	if own, ok := r.peers[peer]; ok {
		return relay.Path{Up: own, Down: own}
	}
	if room, ok := r.rooms[r.members[peer].room]; ok {
		return relay.Path{Up: room}
	}
	return relay.Path{Up: r.all}
}

// maxSpec bounds, in bytes, what a request may say.
const maxSpec = 1024

// serve tells what the networks are or, with POST, changes one: of ?room=NAME, of
// ?peer=ID, or of all others. What they are to be is the body. Only this machine may
// ask, and no page of another site.
func (b *badNetwork) serve(w http.ResponseWriter, r *http.Request) {
	// Behind a proxy on this machine everybody comes from here.
	passedOn := r.Header.Get("X-Forwarded-For") != "" || r.Header.Get("Forwarded") != ""
	if !fromHere(r) || passedOn || r.Header.Get("Origin") != "" && r.Header.Get("Origin") != "https://"+r.Host {
		http.Error(w, "Only the machine that rtcdev runs on can make the network bad.", http.StatusForbidden)
		return
	}
	if r.Method == http.MethodPost {
		spec, err := io.ReadAll(http.MaxBytesReader(w, r.Body, maxSpec))
		query := r.URL.Query()
		room, peer := query.Get("room"), query.Get("peer")
		switch {
		case unknownQuery(query):
			err = errors.New("there are ?room=NAME and ?peer=ID only")
		case err == nil && len(bytes.TrimSpace(spec)) == 0:
			err = errors.New("the request says no network: send for example 3g or loss=5%, or off for a good one")
		case err != nil:
			err = errors.New("that is too long for a network: write for example loss=5%,delay=100ms")
		case query.Has("room") && room == "", query.Has("peer") && peer == "":
			err = errors.New("?room= or ?peer= is empty: give a name, or leave it out to change the network of all")
		case room != "" && peer != "":
			err = errors.New("give ?room= or ?peer=, not both")
		default:
			err = b.set(room, peer, string(spec), true)
		}
		if err != nil {
			http.Error(w, capital(err.Error())+".", http.StatusBadRequest)
			return
		}
	}
	w.Header().Set("Content-Type", "application/json")
	w.Header().Set("Cache-Control", "no-store")
	json.NewEncoder(w).Encode(b.now())
}

// unknownQuery finds a misspelt name, which would change the network of all.
func unknownQuery(query url.Values) bool {
	for name := range query {
		if name != "room" && name != "peer" && name != tokenName {
			return true
		}
	}
	return false
}

// now is what [badNetwork.serve] answers.
func (b *badNetwork) now() any {
	b.mu.Lock()
	defer b.mu.Unlock()
	texts := func(rules map[string]relay.Impairment) map[string]string {
		all := make(map[string]string, len(rules))
		for name, i := range rules {
			all[name] = i.String()
		}
		return all
	}
	return struct {
		All   string            `json:"all"`
		Rooms map[string]string `json:"rooms"`
		Peers map[string]string `json:"peers"`
	}{b.rules.all.String(), texts(b.rules.rooms), texts(b.rules.peers)}
}

func capital(text string) string { return strings.ToUpper(text[:1]) + text[1:] }

// Control changes a server while it runs. The zero value is for one [Run], which has it
// as Config.Control; its methods are for any goroutine.
type Control struct {
	mu  sync.Mutex
	bad *badNetwork
}

func (c *Control) set(b *badNetwork) {
	if c != nil {
		c.mu.Lock()
		defer c.mu.Unlock()
		c.bad = b
	}
}

// NextNetwork has all calls meet the next network of: a good one, then each of the bad
// ones that have a name. [Impaired] tells of it. An error says why not.
func (c *Control) NextNetwork() error {
	c.mu.Lock()
	b := c.bad
	c.mu.Unlock()
	if b == nil {
		return errors.New("the server is not ready yet")
	}
	return b.next()
}
