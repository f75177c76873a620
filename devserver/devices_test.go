package devserver

import (
	"crypto/x509"
	"fmt"
	"net"
	"net/http"
	"net/http/httptest"
	"testing"
	"testing/synctest"
	"time"

	"rtcdev/devserver/portmux"
)

const (
	phoneAgent = "Mozilla/5.0 (iPhone; CPU iPhone OS 18_5 like Mac OS X) AppleWebKit/605.1.15 (KHTML, like Gecko) Version/18.5 Mobile/15E148 Safari/604.1"
	kakaoAgent = "Mozilla/5.0 (iPhone; CPU iPhone OS 18_5 like Mac OS X) AppleWebKit/605.1.15 (KHTML, like Gecko) Mobile/15E148 KAKAOTALK 25.4.0"
)

// tracked are devices whose events can be looked at.
type tracked struct {
	t *testing.T
	*devices
	events []Device
}

func track(t *testing.T) *tracked {
	d := &tracked{t: t}
	d.devices = newDevices(&Config{Root: &x509.Certificate{}}, func(e Event) { d.events = append(d.events, e.(Device)) })
	return d
}

// asks has a device with this address ask for a path.
func (d *tracked) asks(wrap func(http.Handler) http.Handler, from, agent, path string, header ...string) {
	r := httptest.NewRequest("GET", path, nil)
	r.RemoteAddr = net.JoinHostPort(from, "5555")
	r.Header.Set("User-Agent", agent)
	for i := 0; i < len(header); i += 2 {
		r.Header.Set(header[i], header[i+1])
	}
	wrap(http.HandlerFunc(func(http.ResponseWriter, *http.Request) {})).ServeHTTP(httptest.NewRecorder(), r)
}

func (d *tracked) refuses(from string, reason portmux.Reason, name string) {
	d.refused(portmux.Refusal{Remote: &net.TCPAddr{IP: net.ParseIP(from), Port: 5555}, Reason: reason, ServerName: name})
}

func (d *tracked) joins(from, door, room string) {
	d.joined(PeerChange{Event: "peer-joined", Addr: net.JoinHostPort(from, "5555"), Door: door, Room: room})
}

// next waits until what there is has been told, and returns it.
func (d *tracked) next() []Device {
	<-time.After(2 * devicePause) // in a bubble: no time passes
	synctest.Wait()
	d.mu.Lock()
	defer d.mu.Unlock()
	events := d.events
	d.events = nil
	for i := range events {
		events[i].Time = time.Time{}
	}
	return events
}

func (d *tracked) want(want ...Device) {
	d.t.Helper()
	got := d.next()
	for i := range want {
		want[i].Event = "device"
	}
	if len(got) != len(want) {
		d.t.Errorf("told: %+v\nwant: %+v", got, want)
		return
	}
	for i := range got {
		if got[i] != want[i] {
			d.t.Errorf("told: %+v\nwant: %+v", got[i], want[i])
		}
	}
}

const phone = "192.0.2.23" // TEST-NET-1 (RFC 5737): not this machine

// The way of a phone, from the code it scans to the room: one event a step.
func TestDeviceOnItsWay(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		d := track(t)
		d.asks(d.plain, phone, phoneAgent, "/?room=lobby")
		d.refuses(phone, portmux.CertificateRefused, "")
		d.want(Device{Addr: phone, Name: "iPhone", SetUp: true, Refused: CertificateRefused, Next: "do what the page on it shows"})
		for range 10 { // the page tries every 2 s
			d.refuses(phone, portmux.CertificateRefused, "")
			d.want()
		}
		d.asks(d.plain, phone, phoneAgent, "/_rtcdev/ca.mobileconfig")
		d.refuses(phone, portmux.CertificateRefused, "")
		d.want(Device{Addr: phone, Name: "iPhone", SetUp: true, Downloaded: true, Refused: CertificateRefused,
			Next: "Settings › General › About › Certificate Trust Settings"})
		d.asks(d.secured, phone, phoneAgent, "/_rtcdev/beacon")
		d.refuses(phone, portmux.CertificateRefused, "") // a try that was under way is no news
		d.want()
		d.asks(d.sockets, phone, phoneAgent, "/_rtcdev/signal?probe", "Upgrade", "websocket")
		d.joins(phone, "native", "lobby")
		d.want(Device{Addr: phone, Name: "iPhone", SetUp: true, Downloaded: true, HTTPS: true, WebSocket: true, Door: "native", Room: "lobby"})
		d.close()
	})
}

// After a warning that was clicked away pages load, but an iPhone's WebSocket is refused.
func TestDeviceClickedThrough(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		d := track(t)
		d.refuses(phone, portmux.CertificateRefused, "")
		d.want(Device{Addr: phone, Refused: CertificateRefused})
		for range 3 {
			d.asks(d.secured, phone, phoneAgent, "/")
			d.refuses(phone, portmux.CertificateRefused, "")
		}
		d.want() // it may be chance
		<-time.After(deviceDoubt)
		d.want(Device{Addr: phone, Name: "iPhone", HTTPS: true, Refused: CertificateRefused})
		d.joins(phone, "events", "lobby")
		d.want(Device{Addr: phone, Name: "iPhone", HTTPS: true, Refused: CertificateRefused, Door: "events", Room: "lobby"})
		d.asks(d.sockets, phone, phoneAgent, "/_rtcdev/signal", "Upgrade", "websocket") // the switch is on now
		d.want(Device{Addr: phone, Name: "iPhone", HTTPS: true, WebSocket: true, Door: "events", Room: "lobby"})
		d.close()
	})
}

// Who lacks the room's secret is told of, until it is in.
func TestDeviceWithoutTheSecret(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		d := track(t)
		d.asks(func(http.Handler) http.Handler { return d.secured(d.uninvited(http.NotFound)) }, phone, phoneAgent, "/?room=lobby")
		d.want(Device{Addr: phone, Name: "iPhone", HTTPS: true, Uninvited: true})
		d.joins(phone, "events", "lobby")
		d.want(Device{Addr: phone, Name: "iPhone", HTTPS: true, Door: "events", Room: "lobby"})
		d.close()
	})
}

func TestDeviceRefusals(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		d := track(t)
		d.refuses(phone, portmux.WentAway, "") // may be anything
		d.refuses(phone, portmux.TimedOut, "")
		d.refuses(phone, portmux.NoCertificate, "evil\x1b[2J")
		d.want()
		d.refuses(phone, portmux.NoCertificate, "example.com")
		d.want(Device{Addr: phone, Refused: NoCertificate, ServerName: "example.com"})
		d.asks(d.plain, phone, kakaoAgent, "/_rtcdev/trust")
		d.asks(d.plain, phone, kakaoAgent, "/_rtcdev/ca.mobileconfig")
		d.refuses(phone, portmux.WentAway, "")
		d.want(Device{Addr: phone, Name: "iPhone (KakaoTalk)", SetUp: true, Downloaded: true, Refused: CertificateRefused,
			Next: "open the page in the device’s browser, not in an app"})
		d.asks(d.plain, "192.0.2.24", phoneAgent, "/_rtcdev/metrics") // only sent on
		d.want()
		d.close()
	})
}

// This machine's own pages are no news, but what refuses the certificate on it is.
func TestDeviceIsThisComputer(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		d := track(t)
		d.asks(d.secured, "127.0.0.1", "curl/8", "/")
		d.joins("127.0.0.1", "native", "lobby")
		d.joins("::1", "native", "lobby")
		d.want()
		d.refuses("127.0.0.1", portmux.CertificateRefused, "localhost")
		d.want(Device{Addr: "127.0.0.1", ThisComputer: true, Refused: CertificateRefused, Next: "rtcdev certs trust"})
		d.close()
	})
}

// Nobody fills the terminal, or the memory: many devices, rooms and turns of mind.
func TestDevicesAreBounded(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		d := track(t)
		for i := range 10 * deviceCount {
			d.refuses(fmt.Sprintf("192.0.2.%d", i%200), portmux.CertificateRefused, "")
			d.refuses(fmt.Sprintf("2001:db8::%x", i), portmux.CertificateRefused, "")
		}
		if n := len(d.next()); n < deviceBurst || n > deviceBurst+2 {
			t.Errorf("%d events at once", n)
		}
		<-time.After(2 * deviceCount * time.Second)
		if n := len(d.next()); n < deviceCount-deviceBurst-2 || n > deviceCount {
			t.Errorf("%d events after them", n)
		}
		told := 0
		for i := range 1000 {
			d.joins(phone, "native", fmt.Sprint("room", i))
			<-time.After(devicePause)
			told += len(d.next())
		}
		// 3000 s are ten times five minutes.
		if told > 11*deviceStates {
			t.Errorf("one device is told of %d times", told)
		}
		d.close()
		if len(d.known) > deviceCount {
			t.Errorf("%d are known", len(d.known))
		}
	})
}

// What may not be told again yet, of one device, holds up no news of another.
func TestDeviceNewsAreNotHeldUp(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		d := track(t)
		for _, room := range []string{"a", "b"} {
			d.joins(phone, "native", room)
			d.want(Device{Addr: phone, Door: "native", Room: room})
		}
		d.joins(phone, "native", "a") // once more
		d.want()
		d.joins("192.0.2.24", "native", "c")
		d.want(Device{Addr: "192.0.2.24", Door: "native", Room: "c"})
		<-time.After(deviceRepeat)
		d.want(Device{Addr: phone, Door: "native", Room: "a"}) // it is there still
		d.close()
	})
}

// What is not told yet when the server ends is told then, and nothing after.
func TestDevicesEnd(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		d := track(t)
		d.refuses(phone, portmux.CertificateRefused, "")
		d.close()
		d.refuses("192.0.2.24", portmux.CertificateRefused, "")
		d.want(Device{Addr: phone, Refused: CertificateRefused})
	})
}
