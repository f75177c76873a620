package devserver

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"strings"
	"time"

	"rtcdev/devserver/peer"
)

// peerPause is how long a test peer that was refused, as in a full room, stays away.
const peerPause = 5 * time.Second

// keepPeer keeps a test peer in the room, until ctx ends: so a person alone sees another
// side of the call.
func keepPeer(ctx context.Context, cfg *Config, room string) {
	conf := trustingOwn(cfg)
	told := false
	for ctx.Err() == nil {
		if _, err := peer.Run(ctx, peer.Config{URL: room, TLS: conf}); err != nil && !told {
			told = true // in a room that is full it may try for long
			cfg.Log.Warn("the test peer is not in the room; it goes on trying", "error", err)
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
