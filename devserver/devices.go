package devserver

import (
	"net/http"
	"net/netip"
	"slices"
	"strings"
	"sync"
	"time"

	"rtcdev/devserver/portmux"
	"rtcdev/devserver/signaling"
	"rtcdev/devserver/web"
)

const (
	// devicePause is how long a device's steps are gathered: those of a page that loads
	// are one event.
	devicePause = time.Second
	// deviceRepeat is how long nothing is said twice about a device. A set-up page
	// tries every 2 s.
	deviceRepeat = 5 * time.Minute
	// deviceCount is how many devices are known at a time, deviceStates how many
	// different things are said about one in deviceRepeat.
	deviceCount  = 256
	deviceStates = 12
	// deviceBurst is how much is told at once, of all devices; then one a second. A
	// stranger can have any number of addresses.
	deviceBurst = 20
)

// devices follows how far other devices have come: from the set-up page, over refusing
// the certificate, to a room. A device is an address here. Of this machine only the
// refusals count: its pages need no help to get here.
type devices struct {
	cfg  *Config
	tell func(Event)

	mu    sync.Mutex
	known map[netip.Addr]*device
	timer *time.Timer // runs while something is to be told
	told  bucket
	over  bool
}

// bucket bounds what is told: see deviceBurst.
type bucket struct {
	left int
	at   time.Time
}

func (b *bucket) fill(now time.Time) {
	if seconds := int(now.Sub(b.at) / time.Second); seconds > 0 {
		b.left, b.at = min(deviceBurst, b.left+seconds), now
	}
}

// device is one of them.
type device struct {
	is   web.Device
	here bool      // it is this machine
	seen time.Time // the last time
	now  progress
	last progress               // told the last time
	told map[progress]time.Time // of late
}

// progress is what is told of a device, as in [Device].
type progress struct {
	name              string
	setUp, downloaded bool
	refused           TLSRefusal
	serverName        string
	https, webSocket  bool
	door, room        string
	uninvited         bool
}

func newDevices(cfg *Config, tell func(Event)) *devices {
	return &devices{cfg: cfg, tell: tell, known: make(map[netip.Addr]*device), told: bucket{deviceBurst, time.Now()}}
}

// close tells what is left to tell, and no more after it.
func (d *devices) close() {
	d.flush()
	d.mu.Lock()
	defer d.mu.Unlock()
	d.over = true
	if d.timer != nil {
		d.timer.Stop()
	}
}

// plain watches what comes without TLS: the set-up page, and the root's files.
func (d *devices) plain(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		next.ServeHTTP(w, r)
		if d.cfg.Root == nil {
			return
		}
		d.request(r, func(p *progress) {
			switch {
			case r.URL.Path == "/" || r.URL.Path == "/_rtcdev/trust":
				p.setUp = true
			case strings.HasPrefix(r.URL.Path, "/_rtcdev/ca."):
				p.downloaded = true
			}
		})
	})
}

// secured watches what comes over TLS, and so from a browser that took the certificate.
// That a warning was clicked away shows when its WebSocket is refused.
func (d *devices) secured(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		d.request(r, func(p *progress) {
			if !p.https {
				p.https, p.refused = true, ""
			}
			if strings.EqualFold(r.Header.Get("Upgrade"), "websocket") {
				p.webSocket, p.refused = true, ""
			}
			if strings.HasPrefix(r.URL.Path, "/_rtcdev/ca.") {
				p.downloaded = true
			}
		})
		next.ServeHTTP(w, r)
	})
}

func (d *devices) request(r *http.Request, change func(*progress)) {
	if fromHere(r) {
		return
	}
	d.change(r.RemoteAddr, func(v *device) {
		if is := web.Recognize(r.UserAgent()); is.Platform != web.Unknown {
			v.is, v.now.name = is, is.Name
		}
		if !v.here {
			change(&v.now)
		}
	})
}

// refused is the port's hook for handshakes that failed.
func (d *devices) refused(r portmux.Refusal) {
	d.change(r.Remote.String(), func(v *device) {
		switch {
		case r.Reason == portmux.CertificateRefused,
			// Some leave without a word.
			r.Reason == portmux.WentAway && v.now.setUp && !v.now.https:
			v.now.refused, v.now.webSocket = CertificateRefused, false
		case r.Reason == portmux.NoCertificate && plainName(r.ServerName):
			v.now.refused, v.now.serverName = NoCertificate, r.ServerName
		}
	})
}

// uninvited answers by means of answer who lacks the room's secret, and notes it.
func (d *devices) uninvited(answer http.HandlerFunc) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		d.request(r, func(p *progress) { p.uninvited = true })
		answer(w, r)
	}
}

// joined hears what the hub tells.
func (d *devices) joined(e Event) {
	peer, ok := e.(PeerChange)
	if !ok || peer.Event != string(signaling.Joined) || addressOf(peer.Addr).IsLoopback() {
		return
	}
	d.change(peer.Addr, func(v *device) {
		if !v.here {
			v.now.door, v.now.room, v.now.uninvited = peer.Door, peer.Room, false
		}
	})
}

// change makes a change to what is known of the device with this address.
func (d *devices) change(addr string, change func(*device)) {
	ip := addressOf(addr)
	if !ip.IsValid() {
		return
	}
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.over {
		return
	}
	v := d.known[ip]
	if v == nil {
		v = &device{here: ip.IsLoopback() || slices.Contains(addressesOf(nil), ip), told: make(map[progress]time.Time)}
		d.makeRoom()
		d.known[ip] = v
	}
	v.seen = time.Now()
	before := v.now
	change(v)
	if v.now != before && d.timer == nil {
		d.timer = time.AfterFunc(devicePause, d.flush)
	}
}

// makeRoom forgets the device that was not seen for longest, if there are too many.
func (d *devices) makeRoom() {
	if len(d.known) < deviceCount {
		return
	}
	var oldest netip.Addr
	for ip, v := range d.known {
		if !oldest.IsValid() || v.seen.Before(d.known[oldest].seen) {
			oldest = ip
		}
	}
	delete(d.known, oldest)
}

// flush tells how far the devices are of which it is news.
func (d *devices) flush() {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.timer = nil
	if d.over {
		return
	}
	d.told.fill(time.Now())
	for ip, v := range d.known {
		if d.told.left == 0 {
			d.timer = time.AfterFunc(devicePause, d.flush) // for the rest
			return
		}
		if v.news() {
			d.told.left--
			d.tell(v.event(ip, d.cfg))
		}
	}
}

// news tells whether there is something to tell that was not told lately, and notes it
// as told.
func (v *device) news() bool {
	if v.now == v.last || v.now == (progress{name: v.now.name}) {
		return false
	}
	now := time.Now()
	for state, at := range v.told {
		if now.Sub(at) >= deviceRepeat {
			delete(v.told, state)
		}
	}
	if _, lately := v.told[v.now]; lately || len(v.told) >= deviceStates {
		return false
	}
	v.told[v.now], v.last = now, v.now
	return true
}

func (v *device) event(ip netip.Addr, cfg *Config) Device {
	e := Device{
		Event: "device", Time: time.Now(), Addr: ip.String(), Name: v.now.name, ThisComputer: v.here,
		SetUp: v.now.setUp, Downloaded: v.now.downloaded, Refused: v.now.refused,
		HTTPS: v.now.https, WebSocket: v.now.webSocket, Door: v.now.door, Room: v.now.room, Uninvited: v.now.uninvited,
	}
	if e.Refused == NoCertificate {
		e.ServerName = v.now.serverName
	}
	if e.Refused == CertificateRefused && cfg.Root != nil {
		e.Next = v.next()
	}
	return e
}

// next is what to do so that the device takes the certificate.
func (v *device) next() string {
	switch {
	case v.here:
		return "rtcdev certs trust"
	case v.now.downloaded && v.is.TrustIn() != "":
		return v.is.TrustIn()
	case v.now.setUp:
		return "do what the page on it shows"
	}
	return ""
}
