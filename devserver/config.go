package devserver

import (
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
	"time"

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
	// RoomSize is how many peers a room may have; 0 is signaling's default.
	RoomSize int
	// Limits bound what one client, and all of them, can use up.
	Limits Limits
	// TLS must be able to give a certificate (RFC 8446 §4.4.2) for the names
	// and addresses the server is reached by.
	TLS *tls.Config
	// Root, if set, is offered to devices under /_rtcdev/ca.*.
	Root *x509.Certificate
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
	Connections           int           // with signaling, in all
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

// SettingError says that a value of [Config] makes no sense, and what would.
type SettingError struct{ Text string }

func (e *SettingError) Error() string { return e.Text }

func setting(format string, args ...any) error {
	return &SettingError{fmt.Sprintf(format, args...)}
}

// Validate finds what is wrong with the settings a person makes (Dir, Proxy, Host,
// Port, RoomSize, AllowOrigins) without opening anything. The error is a [*SettingError], or tells
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
	for _, origin := range c.AllowOrigins {
		u, err := url.Parse(origin)
		if origin != "*" && (err != nil || u.Scheme == "" || u.Host == "" || u.Scheme+"://"+u.Host != origin) {
			return setting("%q is no origin: give one like https://example.com, without a path, or * for all pages", origin)
		}
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
