package peerjs

import (
	"crypto/rand"
	"crypto/sha256"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"strings"
	"sync"
	"time"

	"rtcdev/devserver/signaling"
)

// Config says how a [Door] behaves. The zero value of every field means its default.
type Config struct {
	// Peers is how many clients one key may have; default 5000, as a PeerServer.
	Peers int
	// ExpireAfter is how long messages wait for a client that is not there;
	// default 5 s, as with a PeerServer.
	ExpireAfter time.Duration
	// WaitingMessages and WaitingBytes bound what waits so, in all; default 8192
	// and 8 MiB. One sender may use an eighth of it.
	WaitingMessages, WaitingBytes int
	// Discovery lets everyone list the ids of a key. Without it, the client's
	// listAllPeers fails as with a PeerServer, which ends its page's connection: the
	// client does so after any answer but a list.
	Discovery bool
}

// What may wait for one client goes all at once into the queue of its line when it comes.
// By default that takes 256 messages and 1 MiB. Somebody who calls with 30 candidates
// sends some 40 messages and 20 KiB.
const (
	waitingForOne      = 200
	waitingBytesForOne = 512 << 10
)

// Door is the http.Handler for /peerjs, everything below it, and whatever else it
// [Door.Wants]. Make one with [New].
// It needs no closing: its clients are lines of the hub, and end with it.
type Door struct {
	hub   *signaling.Hub
	cfg   Config
	board *board
	plain http.Handler

	// moves makes joins and leaves one, so that nobody sees half of one. It is never
	// taken in the room's turn (Notify and Stop).
	moves sync.Mutex
}

// New returns a door onto hub.
func New(hub *signaling.Hub, cfg Config) *Door {
	setDefault(&cfg.Peers, 5000)
	setDefault(&cfg.ExpireAfter, 5*time.Second)
	setDefault(&cfg.WaitingMessages, 8192)
	setDefault(&cfg.WaitingBytes, 8<<20)
	d := &Door{hub: hub, cfg: cfg, board: newBoard(cfg.ExpireAfter, limits{
		inAll:      load{cfg.WaitingMessages, cfg.WaitingBytes},
		bySender:   load{cfg.WaitingMessages / 8, cfg.WaitingBytes / 8},
		byReceiver: load{waitingForOne, waitingBytesForOne},
	})}
	d.plain = hub.CORS(http.HandlerFunc(d.answer))
	return d
}

func setDefault[T int | time.Duration](field *T, value T) {
	if *field <= 0 {
		*field = value
	}
}

// defaultKey is the client's.
const defaultKey = "peerjs"

// Wants reports whether a request is for the door without a doubt, wherever its page
// has put it: a WebSocket of a PeerJS client, or its question for an id or the peers.
// Others below /peerjs may be for files of somebody who has a folder of that name.
func (d *Door) Wants(r *http.Request) bool {
	if isUpgrade(r) {
		query := r.URL.Query()
		return isSocket(r.URL.Path) && query.Has("key") && query.Has("id") && query.Has("token")
	}
	_, what := question(r.URL.Path)
	return what != ""
}

// ServeHTTP answers the addresses of the package comment.
func (d *Door) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	if isUpgrade(r) && isSocket(r.URL.Path) {
		d.connect(w, r)
		return
	}
	d.plain.ServeHTTP(w, r)
}

func isUpgrade(r *http.Request) bool { return strings.EqualFold(r.Header.Get("Upgrade"), "websocket") }

// isSocket tells where a client opens its WebSocket: at "peerjs" below its path.
func isSocket(path string) bool { return strings.HasSuffix(strings.TrimSuffix(path, "/"), "/peerjs") }

// question takes the path of …/KEY/id or …/KEY/peers apart; what is empty for any
// other. Below another path than /peerjs only the default key is known for one.
func question(path string) (key, what string) {
	parts := strings.Split(strings.Trim(path, "/"), "/")
	n := len(parts)
	if n < 2 || parts[n-1] != "id" && parts[n-1] != "peers" {
		return "", ""
	}
	key = parts[n-2]
	if key != defaultKey && (n != 3 || parts[0] != "peerjs") {
		return "", ""
	}
	return key, parts[n-1]
}

// answer is for what is not a WebSocket.
func (d *Door) answer(w http.ResponseWriter, r *http.Request) {
	if r.Method != http.MethodGet && r.Method != http.MethodHead {
		w.Header().Set("Allow", "GET, HEAD")
		http.Error(w, "PeerJS asks with GET.", http.StatusMethodNotAllowed)
		return
	}
	w.Header().Set("Cache-Control", "no-store")
	w.Header().Set("X-Content-Type-Options", "nosniff")
	switch key, what := question(r.URL.Path); what {
	case "id":
		w.Header().Set("Content-Type", "text/plain; charset=utf-8")
		fmt.Fprint(w, strings.ToLower(rand.Text())) // 130 random bits: nobody has it
	case "peers":
		if !d.cfg.Discovery {
			// A PeerServer's status, from which the client makes its helpful error.
			http.Error(w, "This server does not list its peers. It does with: rtcdev serve --discovery", http.StatusUnauthorized)
			return
		}
		writeJSON(w, d.board.ids(key))
	default:
		if strings.Trim(r.URL.Path, "/") == "peerjs" {
			writeJSON(w, map[string]string{"name": "rtcdev", "description": "A server for pages that use PeerJS."})
			return
		}
		http.Error(w, "Nothing here: PeerJS asks for …/id, …/peers, or a WebSocket.", http.StatusNotFound)
	}
}

func writeJSON(w http.ResponseWriter, v any) {
	w.Header().Set("Content-Type", "application/json")
	_ = json.NewEncoder(w).Encode(v) // the client may have gone
}

// connect makes a client of the request.
func (d *Door) connect(w http.ResponseWriter, r *http.Request) {
	line := d.hub.Accept(w, r, "peerjs")
	if line == nil {
		return
	}
	query := r.URL.Query()
	c := &client{
		door: d, line: line,
		place: place{query.Get("key"), query.Get("id")},
		token: sha256.Sum256([]byte(query.Get("token"))),
		ready: make(chan struct{}),
	}
	defer close(c.ready)
	line.Serve(c)
	refusal := check(c.place, query.Get("token"))
	if refusal == nil {
		refusal = d.join(c, line.Addr())
	}
	if refusal != nil {
		line.Close(refusal)
	}
}

// check tells what is wrong with a client's parameters.
func check(p place, token string) *signaling.Error {
	bad := func(text string) *signaling.Error { return &signaling.Error{Code: signaling.BadMessage, Text: text} }
	if p.key == "" || p.id == "" || token == "" {
		return bad("the address needs a key, an id and a token: ?key=…&id=…&token=…")
	}
	if _, err := signaling.RoomName(p.key); err != nil {
		return bad("the key is not valid: 1 to 64 characters, no control characters")
	}
	if err := checkID(p.id); err != nil {
		return bad(err.Error())
	}
	return nil
}

// join gives c its place, which it may take over from itself.
func (d *Door) join(c *client, addr string) *signaling.Error {
	d.moves.Lock()
	defer d.moves.Unlock()
	if c.gone {
		return nil
	}
	if old := d.board.holder(c.place); old != nil {
		if old.token != c.token {
			return &signaling.Error{Code: signaling.IDTaken, Text: "the id is taken"}
		}
		d.remove(old)
		old.line.Close(&signaling.Error{Code: signaling.Replaced, Text: "this peer has come back on another line"})
	}
	m, err := d.hub.Join(signaling.Join{
		Door: "peerjs", Room: "peerjs\x00" + c.place.key, ID: c.place.id, Addr: addr,
		Size: d.cfg.Peers, Quiet: true, Receiver: c,
	})
	if err != nil {
		var refusal *signaling.Error
		if !errors.As(err, &refusal) {
			refusal = &signaling.Error{Code: signaling.Overloaded, Text: err.Error()}
		}
		return refusal
	}
	c.member = m
	return nil
}

// leave takes c out, if it is in.
func (d *Door) leave(c *client) {
	d.moves.Lock()
	defer d.moves.Unlock()
	c.gone = true
	d.remove(c)
}

// remove needs d.moves.
func (d *Door) remove(c *client) {
	if c.member == nil {
		return // it never got in
	}
	d.board.exit(c) // first: so what is on the board is in the room
	c.member.Leave()
}
