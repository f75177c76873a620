package devserver

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"fmt"
	"io/fs"
	"log/slog"
	"net"
	"net/url"
	"os"
	"runtime"
	"runtime/debug"
	"strings"
	"time"

	"rtcdev/devserver/relay"
	"rtcdev/devserver/signaling"
)

// AllInterfaces as Config.Host listens on every address of the machine.
const AllInterfaces = "*"

// Config is what [Run] serves, where and how.
type Config struct {
	// Dir is the folder to serve. While it has no index.html, BuiltIn is
	// served in its place.
	Dir string
	// BuiltIn is the app for a folder without index.html.
	BuiltIn fs.FS
	// Proxy, if set, is the http or https address of an app server that gets
	// all requests but rtcdev's own; then Dir is not looked at.
	Proxy string
	// Host is the address to listen on: empty for loopback, [AllInterfaces], or
	// one IP address of this machine.
	Host string
	// Port is the TCP port; 0 lets the system choose. When it is taken the next
	// free one of a few is used, unless StrictPort is set.
	Port       int
	StrictPort bool
	// AllowHosts are further names that requests may be addressed to, beside
	// this machine's own. A leading dot allows every name below it.
	AllowHosts []string
	// SignalOnly leaves out the pages: Dir, BuiltIn and Proxy are not looked at.
	SignalOnly bool
	// AllowOrigins are the origins, such as "https://example.com", whose pages may
	// use the signaling beside the server's own; "*" lets every page in.
	AllowOrigins []string
	// Discovery lets every PeerJS page list the ids of those that are connected.
	Discovery bool
	// NoTURN leaves out STUN and TURN. With TURNLAN relayed sockets are real ones, on this
	// machine's first private address, for private peers; else they reach only each other.
	// ICEServers are addresses of further servers, such as "stun:stun.example.com" or
	// "turns:user:password@turn.example.com:5349?transport=tcp".
	NoTURN, TURNLAN bool
	ICEServers      []string
	// Impair, if set, is the bad network that all calls meet, as relay.ParseImpairment
	// understands it; "off" only prepares the pages for a [Control]. It needs TURN.
	Impair string
	// NoInject leaves the pages alone: without it they get a script that has every
	// RTCPeerConnection use the server's STUN and TURN, too.
	NoInject bool
	// Control, if set, changes the server while it runs.
	Control *Control
	// WithPeer puts a test peer into the default room, so that a person alone sees one.
	WithPeer bool
	// RoomSize is how many peers a room may have; 0 is signaling's default.
	RoomSize int
	// RoomToken, if set, is a secret that only those who have it in their link get past:
	// letters, digits, - and _, eight or more.
	RoomToken string
	// Limits bound what one client, and all of them, can use up.
	Limits Limits
	// TLS must be able to give a certificate (RFC 8446 §4.4.2) for the names
	// and addresses the server is reached by.
	TLS *tls.Config
	// Names are public ones, as host names, addresses or *.host, for which TLS has a
	// certificate that Root did not sign, or will have one. Requests may be addressed to
	// them, and the first is what people are shown. With Root, TLS must also be able to
	// give a certificate of its for names below localhost.
	Names []string
	// KeepCertificates, if set, runs while the server does, from [Ready] on, and is told its
	// port. It is to return when ctx ends. tell makes an event of what has become of a
	// certificate; it does not wait.
	KeepCertificates func(ctx context.Context, port int, tell func(Certificate))
	// CertificateHealth, if set, is what /_rtcdev/health shows as "certificates": something
	// for package encoding/json, that strangers may see. It is called on many goroutines.
	CertificateHealth func() any
	// Root, if set, is offered to devices under /_rtcdev/ca.*, RootProfile as its form
	// for Apple's. Fingerprint is what people compare it by.
	Root        *x509.Certificate
	RootProfile []byte
	Fingerprint string
	// Private are files and folders that are never served, such as the
	// authority's. They need not exist yet.
	Private []string
	// Version is shown by /_rtcdev/health.
	Version string
	// OnEvent, if set, hears what happens, [Ready] first. Calls come one at a
	// time and may take theirs: the server does not wait for them.
	OnEvent func(Event)
	// Log, if set, gets what only someone looking for a fault wants to see.
	Log *slog.Logger
}

// Limits bound what one client, and all of them, can use up. The zero value of every
// field is its default, of package signaling where nothing else is said.
type Limits struct {
	MessageBytes          int           // of one message
	Messages, Bytes       int           // from one client, per second in the long run
	Rooms                 int           // in all
	Connections           int           // with signaling, in all, and as many without
	ConnectionsPerAddress int           // of them, from one address
	QueueBytes            int           // waiting for one client
	HeaderBytes           int           // of a request's header; default 32 KiB
	Handshake             time.Duration // for TLS, and for a request's header; default 10 s
	Idle                  time.Duration // until a client without a sign of life is cut off; default 35 s
}

// signaling is the configuration of the hub.
func (c *Config) signaling(onEvent func(signaling.Event)) signaling.Config {
	l := c.Limits
	return signaling.Config{
		RoomSize: c.RoomSize, AllowOrigins: c.AllowOrigins, OnEvent: onEvent,
		OnQuiet:    giveBack,
		MaxMessage: l.MessageBytes, MessageRate: l.Messages, ByteRate: l.Bytes, MaxRooms: l.Rooms,
		MaxConnections: l.Connections, MaxPerAddress: l.ConnectionsPerAddress, QueueBytes: l.QueueBytes,
		PingInterval: l.Idle * 5 / 7, PongTimeout: l.Idle * 2 / 7,
	}
}

// giveBack returns to the system what handshakes and bursts leave behind, which is more
// than the connections need. What lies in a sync.Pool is free after two collections.
func giveBack() {
	runtime.GC()
	debug.FreeOSMemory()
}

// minIdle leaves pages that use event streams time for their sign of life.
const minIdle = 30 * time.Second

// checkOrigin tells whether a browser can ever send this as a page's origin (RFC 6454
// §7): in lower case and ASCII, without a slash at the end or the scheme's own port.
func checkOrigin(origin string) error {
	if origin == "*" {
		return nil
	}
	const form = "give it as browsers do, like https://example.com or http://localhost:3000, or * for all pages"
	u, err := url.Parse(origin)
	ascii := strings.IndexFunc(origin, func(r rune) bool { return r > '~' }) < 0
	switch {
	case err != nil || u.Scheme != "http" && u.Scheme != "https" || u.Host == "":
		return setting("%q is no origin: %s", origin, form)
	case u.Scheme+"://"+u.Host != origin:
		return setting("%q is no origin, %s://%s is: nothing comes after the host and port", origin, u.Scheme, u.Host)
	case strings.Contains(u.Host, "*"):
		return setting("%q matches no page: name each origin, or give * for all pages", origin)
	case !ascii || strings.ToLower(origin) != origin:
		return setting("browsers write %q in another way (small letters, xn-- for other scripts): %s", origin, form)
	case u.Scheme == "https" && u.Port() == "443", u.Scheme == "http" && u.Port() == "80":
		return setting("browsers leave the port out of %q: give %s://%s", origin, u.Scheme, u.Hostname())
	}
	return nil
}

// checkNetwork tells whether TURNLAN and Impair can be done, and reads ICEServers.
func (c *Config) checkNetwork() error {
	if c.Impair != "" && c.NoTURN {
		return setting("%s", errNoRelay)
	}
	if _, err := relay.ParseImpairment(c.Impair); err != nil {
		return setting("%s", err)
	}
	if ip := net.ParseIP(c.Host); c.TURNLAN && (c.Host == "" || ip != nil && ip.IsLoopback()) {
		return noPrivateAddress()
	}
	for _, text := range c.ICEServers {
		if _, err := parseICEServer(text); err != nil {
			return err
		}
	}
	return nil
}

// noPrivateAddress says why TURNLAN cannot be.
func noPrivateAddress() error {
	return setting("with --turn=lan the relay needs a private IPv4 address of this machine: serve on it, with --host, or leave out --turn=lan")
}

// SettingError says that a value of [Config] makes no sense, and what would.
type SettingError struct{ Text string }

func (e *SettingError) Error() string { return e.Text }

func setting(format string, args ...any) error {
	return &SettingError{fmt.Sprintf(format, args...)}
}

// Validate finds what is wrong with the settings a person makes (Dir, Proxy, Host,
// Port, RoomSize, RoomToken, AllowOrigins, TURNLAN, ICEServers, Impair) without opening anything. The error is a [*SettingError], or tells
// why Dir cannot be served. [Run] calls it too.
func (c *Config) Validate() error {
	if c.Port < 0 || c.Port > 65535 {
		return setting("%d is not a port: choose one from 1 to 65535, or 0 for any free one", c.Port)
	}
	if c.RoomSize < 0 || c.RoomSize == 1 {
		return setting("a room for %d makes no call: the room size starts at 2", c.RoomSize)
	}
	if c.Host != "" && c.Host != AllInterfaces && net.ParseIP(c.Host) == nil {
		return setting("%q is not an IP address: give one of this machine's addresses, or none for all of them", c.Host)
	}
	if err := checkToken(c.RoomToken); err != nil {
		return err
	}
	for _, origin := range c.AllowOrigins {
		if err := checkOrigin(origin); err != nil {
			return err
		}
	}
	if err := c.checkNetwork(); err != nil {
		return err
	}
	if idle := c.Limits.Idle; idle != 0 && idle < minIdle {
		return setting("clients show every 20 seconds that they are there: idle can not be less than %v", minIdle)
	}
	if c.SignalOnly {
		return nil
	}
	if c.Proxy != "" {
		_, err := proxyURL(c.Proxy)
		return err
	}
	info, err := os.Stat(c.Dir)
	if err != nil {
		return fmt.Errorf("opening the folder to serve: %w", err)
	}
	if !info.IsDir() {
		return setting("%s is a file: give the folder it is in", c.Dir)
	}
	return nil
}
