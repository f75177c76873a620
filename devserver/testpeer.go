package devserver

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"time"

	"rtcdev/devserver/peer"
)

// peerPause is how long a test peer that was refused, as in a full room, stays away.
const peerPause = 5 * time.Second

// keepPeer keeps a test peer in the room, until ctx ends: so a person alone sees another
// side of the call.
func keepPeer(ctx context.Context, cfg *Config, room string) {
	conf := &tls.Config{MinVersion: tls.VersionTLS12}
	if cfg.Root != nil {
		conf.RootCAs = x509.NewCertPool()
		conf.RootCAs.AddCert(cfg.Root)
	}
	for ctx.Err() == nil {
		if _, err := peer.Run(ctx, peer.Config{URL: room, TLS: conf}); err != nil {
			cfg.Log.Debug("the test peer was refused", "error", err)
		}
		select {
		case <-ctx.Done():
		case <-time.After(peerPause):
		}
	}
}
