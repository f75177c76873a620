package devserver

import (
	"cmp"
	"net"
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
	// deviceDoubt is how long a refusal must last on a device that gets pages until it is
	// told: the tries of a set-up page overlap, and Chromium has a WebSocket wait up to 5 s
	// after others that failed.
	deviceDoubt = 15 * time.Second
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
	idle  bool        // the timer waits for longer than devicePause
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
	is    web.Device
	here  bool           // it is this machine
	seen  time.Time      // the last time
	asked netip.AddrPort // the address of ours that it refused last
	since time.Time      // the refusal came about
	now   progress
	last  progress               // told the last time
	told  map[progress]time.Time // of late
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
			case r.URL.Path == "/" && !d.cfg.isPublic(hostOnly(r.Host)) || r.URL.Path == "/_rtcdev/trust":
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
		if local, ok := r.Local.(*net.TCPAddr); ok {
			v.asked = netip.AddrPortFrom(local.AddrPort().Addr().Unmap().WithZone(""), local.AddrPort().Port())
		}
		switch {
		case r.Reason == portmux.CertificateRefused,
			// Some leave without a word.
			r.Reason == portmux.WentAway && v.now.setUp && !v.now.https:
			if v.now.refused == "" {
				v.since = time.Now()
			}
			v.now.refused, v.now.webSocket, v.now.serverName = CertificateRefused, false, ""
			if d.cfg.isPublic(r.ServerName) {
				v.now.serverName = normalName(r.ServerName)
			}
		case r.Reason == portmux.NoCertificate && plainName(cmp.Or(r.ServerName, v.asked.Addr().String())):
			v.now.refused, v.now.serverName = NoCertificate, cmp.Or(r.ServerName, v.asked.Addr().String())
		}
	})
}

// sockets watches the WebSockets of those who are let in.
func (d *devices) sockets(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if strings.EqualFold(r.Header.Get("Upgrade"), "websocket") {
			d.request(r, func(p *progress) { p.webSocket, p.refused = true, "" })
		}
		next.ServeHTTP(w, r)
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
	if v.now == before {
		return
	}
	if d.idle && d.timer != nil { // for what may be told again some time: this is news
		d.timer.Stop()
		d.timer = nil
	}
	if d.timer == nil {
		d.timer, d.idle = time.AfterFunc(devicePause, d.flush), false
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
	now := time.Now()
	d.told.fill(now)
	again := time.Duration(0)
	for ip, v := range d.known {
		switch {
		case v.now == v.last:
			continue
		case d.told.left == 0, v.now.https && v.now.refused != "" && v.now.door == "" && now.Sub(v.since) < deviceDoubt:
			again = devicePause
			continue
		case !v.news(now):
			again = cmp.Or(again, deviceRepeat/10)
			continue
		}
		d.told.left--
		d.tell(v.event(ip, d.cfg))
	}
	if again > 0 {
		d.timer, d.idle = time.AfterFunc(again, d.flush), again > devicePause
	}
}

// news tells whether there is something to tell that was not told lately, and notes it
// as told.
func (v *device) news(now time.Time) bool {
	if v.now == (progress{name: v.now.name}) {
		return false
	}
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
	if e.Refused != "" {
		e.ServerName = v.now.serverName
	}
	if e.Refused == CertificateRefused && cfg.Root != nil && e.Door == "" && e.ServerName == "" {
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
	case v.asked.IsValid():
		return "open http" + strings.TrimPrefix(urlFor(v.asked.Addr().String(), int(v.asked.Port())), "https") + " on it: that shows how it comes to trust this machine"
	}
	return ""
}
