package relay

import (
	"cmp"
	"crypto/rand"
	"errors"
	"fmt"
	"net/netip"
	"time"
)

// Realm is the realm of all credentials (RFC 8489 §9.2).
const Realm = "rtcdev"

// The defaults of Config.
const (
	// defaultCredentialLifetime is how long a page can go on making allocations
	// without asking for new credentials.
	defaultCredentialLifetime = time.Hour
	// defaultLifetime is much shorter than the 10 minutes of RFC 8656 §3.2: browsers
	// take the server's value and refresh in time, so it only bounds how long the
	// allocation of a page that was reloaded stays.
	defaultLifetime   = 2 * time.Minute
	defaultPerSession = 128
	// defaultPerAddress is room for the tests that one machine runs at one time.
	defaultPerAddress = 512
	defaultTotal      = 10_000
)

// ErrConfig is wrapped by the errors of [New] about its Config.
var ErrConfig = errors.New("relay configuration")

// Config is how a [Server] behaves. The zero value is the closed world.
type Config struct {
	// Secret signs the credentials; 16 bytes or more. Nil means 32 random bytes, so
	// that credentials end with the server.
	Secret []byte
	// CredentialLifetime is how long credentials can make allocations; default 1 h.
	CredentialLifetime time.Duration
	// Lifetime is how long an allocation lives without a Refresh (RFC 8656 §3.2), if
	// the client asks for nothing else; default 2 min.
	Lifetime time.Duration
	// PerSession, PerAddress and Total bound the allocations at one time: those of the
	// sessions with the same beginning of their name (see [Server.Credentials]), those
	// of one client IP address, loopback too, because whoever asks can have any number
	// of sessions, and all; default 128, 512 and 10,000.
	PerSession, PerAddress, Total int
	// BytesPerSecond bounds what one session's allocations send, in payload bytes;
	// 0 is no bound. What is above it is dropped.
	BytesPerSecond int
	// LAN, if valid, is this machine's private address on which relayed sockets are
	// opened for private peers. Unset, the relay is a closed world.
	LAN netip.Addr
	// OnRefused, if set, hears of what was refused: on the relay's goroutines,
	// several at a time, at most 1,000 a second ([Stats].Refused counts all). It must
	// return soon and must not call Close.
	OnRefused func(Refusal)
}

// withDefaults returns the configuration that holds, or an error that wraps ErrConfig.
func (c Config) withDefaults() (Config, error) {
	c.CredentialLifetime = cmp.Or(c.CredentialLifetime, defaultCredentialLifetime)
	c.Lifetime = cmp.Or(c.Lifetime, defaultLifetime)
	c.PerSession = cmp.Or(c.PerSession, defaultPerSession)
	c.PerAddress = cmp.Or(c.PerAddress, defaultPerAddress)
	c.Total = cmp.Or(c.Total, defaultTotal)
	if c.CredentialLifetime < time.Second || c.Lifetime < time.Second {
		return c, fmt.Errorf("%w: a lifetime is below a second", ErrConfig)
	}
	if c.PerSession < 0 || c.PerAddress < 0 || c.Total < 0 || c.Total > closedWorldSize || c.BytesPerSecond < 0 {
		return c, fmt.Errorf("%w: a limit is negative, or Total is above %d", ErrConfig, closedWorldSize)
	}
	if c.LAN.IsValid() && !lanPeer(c.LAN) {
		return c, fmt.Errorf("%w: %s is not a private address: give one of this machine's addresses on the local network", ErrConfig, c.LAN)
	}
	if c.Secret == nil {
		c.Secret = make([]byte, 32)
		_, _ = rand.Read(c.Secret) // never fails (crypto/rand, Go 1.24)
	}
	if len(c.Secret) < 16 {
		return c, fmt.Errorf("%w: the secret has %d bytes; give it 16 or more", ErrConfig, len(c.Secret))
	}
	return c, nil
}
