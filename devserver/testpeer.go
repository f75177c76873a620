package devserver

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"net"
	"strings"
	"time"

	"rtcdev/devserver/peer"
)

// peerPause is how long a test peer that was refused, as in a full room, stays away.
const peerPause = 5 * time.Second

// TestPeer says that the test peer of [Config.WithPeer] is not in its room and goes on
// trying: once until it has been there.
type TestPeer struct {
	Event string    `json:"event"` // "test-peer"
	Time  time.Time `json:"time"`
	Error string    `json:"error"` // why
}

// keepPeer keeps a test peer in the room, until ctx ends: so a person alone sees another
// side of the call. It tells when that cannot be.
func keepPeer(ctx context.Context, cfg *Config, room string, tell func(Event)) {
	conf := trustingOwn(cfg)
	told := false
	for ctx.Err() == nil {
		stats, err := peer.Run(ctx, peer.Config{URL: room, TLS: conf})
		told = told && stats.Peer == "" // in a room that is full it may try for long
		if err != nil && !told {
			told = true
			tell(TestPeer{Event: "test-peer", Time: time.Now(), Error: err.Error()})
		}
		select {
		case <-ctx.Done():
		case <-time.After(peerPause):
		}
	}
}

// trustingOwn has the peer trust this server: its root, or else the certificate that
// it shows, under the first name that this is good for.
func trustingOwn(cfg *Config) *tls.Config {
	conf := &tls.Config{MinVersion: tls.VersionTLS12, RootCAs: x509.NewCertPool()}
	if cfg.Root != nil {
		conf.RootCAs.AddCert(cfg.Root)
		// Where the certificate for the address it goes to is not the root's, it asks by
		// another name, which is that machine's all the same (RFC 6761 §6.3).
		host := cfg.localHost()
		if ip := net.ParseIP(host); cfg.isPublic(host) || len(cfg.Names) > 0 && ip != nil && !ip.IsLoopback() {
			conf.ServerName = "test-peer.localhost"
		}
		return conf
	}
	for _, pair := range cfg.TLS.Certificates {
		leaf, err := x509.ParseCertificate(pair.Certificate[0])
		if err != nil {
			continue
		}
		conf.RootCAs.AddCert(leaf)
		switch {
		case conf.ServerName != "":
		case len(leaf.DNSNames) > 0:
			conf.ServerName = strings.Replace(leaf.DNSNames[0], "*", "rtcdev", 1)
		case len(leaf.IPAddresses) > 0:
			conf.ServerName = leaf.IPAddresses[0].String()
		}
	}
	return conf
}
