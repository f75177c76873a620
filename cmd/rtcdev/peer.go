package main

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"rtcdev/certs"
	"rtcdev/devserver/peer"
)

type peerOptions struct {
	target    string // an address, or a room of the server on this machine
	mode      peer.Mode
	count     int
	duration  time.Duration
	stats     bool
	relayOnly bool
}

const peerHelp = `Take part in a room without a browser: send a test picture and a tone, or send back
what comes, and send back every message of a data channel.

The room is given by its link, or by its name at the server on this machine. The exit
code tells whether media flowed both ways.`

func newPeerCmd(run func(context.Context, peerOptions) error) *cobra.Command {
	var o peerOptions
	mode := "pattern"
	cmd := &cobra.Command{
		Use:   "peer [URL|ROOM]",
		Short: "Join a room as a test peer with a picture and a tone",
		Long:  peerHelp,
		Example: `  rtcdev peer                                  into the lobby of rtcdev serve, here
  rtcdev peer https://192.168.0.5:8443/?room=a --mode echo
  rtcdev peer a --duration 10s --stats`,
		Args: atMost(1, "one room"),
		RunE: func(cmd *cobra.Command, args []string) (err error) {
			o.target = "lobby"
			if len(args) == 1 {
				o.target = args[0]
			}
			if o.mode, err = peer.ParseMode(mode); err != nil {
				return usage("rtcdev peer --mode pattern|echo|sink", "%w", err)
			}
			if o.count < 1 {
				return usage("rtcdev peer --help", "--count starts at 1")
			}
			return run(cmd.Context(), o)
		},
	}
	f := cmd.Flags()
	f.StringVar(&mode, "mode", mode, "what to send: `pattern`, echo or sink (nothing)")
	f.IntVar(&o.count, "count", 1, "how many peers; %d in the room's name becomes their number")
	f.DurationVar(&o.duration, "duration", 0, "leave after this `time`, such as 10s; without it, at Ctrl-C")
	f.BoolVar(&o.stats, "stats", false, "print one JSON line a second")
	f.BoolVar(&o.relayOnly, "relay-only", false, "use nothing but the server's relay")
	return cmd
}

// peer joins and stays until its time is over or it is interrupted.
func (a *app) peer(ctx context.Context, o peerOptions) error {
	cfg := peer.Config{URL: o.target, Mode: o.mode, Count: o.count, RelayOnly: o.relayOnly}
	if !strings.Contains(o.target, "://") {
		cfg.URL, cfg.Room = "https://localhost:8443/", o.target
	}
	var err error
	if cfg.TLS, err = trustingOurs(); err != nil {
		return err
	}
	if o.stats || a.json {
		cfg.OnStats = func(s peer.Stats) { _ = a.event(s) } // a closed stdout must not stop the call
	}
	ctx, stop := interruptible(ctx)
	defer stop()
	if o.duration > 0 {
		var over context.CancelFunc
		ctx, over = context.WithTimeout(ctx, o.duration)
		defer over()
	}
	a.note("In the room as a test peer; Ctrl-C leaves.\n")
	all, err := peer.RunAll(ctx, cfg)
	if err != nil {
		var untrusted x509.UnknownAuthorityError
		if errors.As(err, &untrusted) {
			return &fault{err, "run it where the server's authority is, or rtcdev certs trust there and here", exitTrust}
		}
		return &fault{err, "is the server running? rtcdev serve", exitFailed}
	}
	for _, s := range all {
		if !s.Flowed {
			return &fault{fmt.Errorf("media did not flow both ways: %d packets sent, %d received", s.PacketsSent, s.PacketsReceived),
				"is somebody else in the room? rtcdev serve --open", exitFailed}
		}
		a.note("Media flowed both ways: %d frames sent, %d received.\n", s.FramesSent, s.FramesReceived)
	}
	return nil
}

// trustingOurs trusts what the system does, and the local authority where there is one.
func trustingOurs() (*tls.Config, error) {
	pool, err := x509.SystemCertPool()
	if err != nil {
		pool = x509.NewCertPool()
	}
	dir, err := authorityDir()
	if err != nil {
		return nil, err
	}
	root, err := certs.OpenRoot(dir)
	switch {
	case err == nil:
		pool.AddCert(root)
	case !errors.Is(err, certs.ErrNoAuthority):
		return nil, fmt.Errorf("looking at the local authority: %w", err)
	}
	return &tls.Config{RootCAs: pool, MinVersion: tls.VersionTLS12}, nil
}
