package main

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"net"
	"net/url"
	"strings"
	"sync"
	"time"

	"github.com/spf13/cobra"

	"rtcdev/certs"
	"rtcdev/devserver/peer"
	"rtcdev/devserver/signaling"
)

type peerOptions struct {
	target    string // an address, or a room of the server on this machine
	port      int    // of that server
	mode      peer.Mode
	count     int
	perRoom   int
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
  rtcdev peer a --duration 10s --stats         how the call in room a is, every second
  rtcdev peer room%d --count 20 --per-room 2   ten calls, in room1 to room10`,
		Args: atMost(1, "one room"),
		RunE: func(cmd *cobra.Command, args []string) (err error) {
			o.target = "lobby"
			if len(args) == 1 {
				o.target = args[0]
			}
			if o.mode, err = peer.ParseMode(mode); err != nil {
				return usage("rtcdev peer --mode pattern|echo|sink", "%w", err)
			}
			switch {
			case !isAddress(o.target) && strings.Contains(o.target, "/?room="):
				return usage("rtcdev peer "+quoted("https://"+o.target), "%s is no room's name, and an address begins with https://", quoted(o.target))
			case o.count < 1 || o.perRoom < 1:
				return usage("rtcdev peer --help", "--count and --per-room start at 1")
			case !isAddress(o.target) && (o.port < 1 || o.port > 65535):
				return usage("rtcdev peer --port 8443", "--port is the server's, from 1 to 65535, not %d", o.port)
			case o.duration < 0:
				return usage("rtcdev peer --duration 10s", "--duration is a time to stay, not %v", o.duration)
			}
			return run(cmd.Context(), o)
		},
	}
	f := cmd.Flags()
	f.IntVarP(&o.port, "port", "p", 8443, "with a room's name, the `port` of the server on this machine")
	f.StringVar(&mode, "mode", mode, "what to send: `pattern`, echo or sink (nothing)")
	f.IntVar(&o.count, "count", 1, "how many `peers`; %d in the room's name becomes the number of the room")
	f.IntVar(&o.perRoom, "per-room", 1, "with %d in the room's name, how many of the `peers` go into each room")
	f.DurationVar(&o.duration, "duration", 0, "leave after this `time`, such as 10s; without it, at Ctrl-C")
	f.BoolVar(&o.stats, "stats", false, "print one JSON line a second")
	f.BoolVar(&o.relayOnly, "relay-only", false, "use nothing but the server's relay")
	return cmd
}

// peer joins and stays until its time is over or it is interrupted.
func (a *app) peer(ctx context.Context, o peerOptions) error {
	cfg := peer.Config{URL: o.target, Mode: o.mode, Count: o.count, PerRoom: o.perRoom, RelayOnly: o.relayOnly}
	if !isAddress(o.target) {
		cfg.URL, cfg.Room = fmt.Sprintf("https://localhost:%d/", o.port), o.target
	}
	var err error
	if cfg.TLS, err = trustingOurs(); err != nil {
		return err
	}
	if o.stats || a.json {
		var one sync.Mutex // at a time: there may be many peers
		cfg.OnStats = func(s peer.Stats) {
			one.Lock()
			defer one.Unlock()
			_ = a.event(peerEvent{"stats", s}) // a closed stdout must not stop the call
		}
	}
	ctx, stop := interruptible(ctx)
	defer stop()
	if o.duration > 0 {
		var over context.CancelFunc
		ctx, over = context.WithTimeout(ctx, o.duration)
		defer over()
	}
	a.note("Joining as a test peer at %s; Ctrl-C leaves.\n", serverOf(cfg.URL))
	all, err := peer.RunAll(ctx, cfg)
	if err != nil {
		return peerFault(err)
	}
	var sent, received uint64
	for _, s := range all {
		sent, received = sent+s.FramesSent, received+s.FramesReceived
		if o.stats || a.json {
			if err := a.event(peerEvent{"ended", s}); err != nil {
				return err
			}
		}
		if err == nil {
			err = flowFault(s)
		}
	}
	if err == nil {
		a.note("Media came through as it should: %d frames sent, %d received.\n", sent, received)
	}
	return err
}

// isAddress tells an address from a room's name.
func isAddress(target string) bool { return strings.Contains(target, "://") }

// serverOf is the host and port in an address, of which the rest may hold a secret.
func serverOf(address string) string {
	if u, err := url.Parse(address); err == nil && u.Host != "" {
		return u.Host
	}
	return address // peer says what is wrong with it
}

// peerEvent is a line of JSON.
type peerEvent struct {
	Event string `json:"event"` // "stats" every second, "ended" for each peer in the end
	peer.Stats
}

// peerFault adds the next step to what keeps a peer out of its room.
func peerFault(err error) error {
	const another = "use the address that rtcdev serve shows"
	var address *peer.AddressError
	var untrusted x509.UnknownAuthorityError
	var otherName x509.HostnameError
	var noName *net.DNSError
	var refused *signaling.Error
	switch {
	case errors.As(err, &address):
		return &fault{err, another, exitUsage}
	case errors.As(err, &untrusted):
		return &fault{err, "trust the server's authority on this machine: its set-up page, at the same address with http://, shows how", exitTrust}
	case errors.As(err, &otherName):
		return &fault{err, another, exitTrust}
	case errors.As(err, &noName), errors.Is(err, peer.ErrNoSignaling):
		return &fault{err, another, exitFailed}
	case errors.Is(err, peer.ErrNotInvited):
		return &fault{err, "use the whole link that rtcdev serve shows, with its room-token", exitFailed}
	case errors.As(err, &refused) && refused.Code == signaling.RoomFull:
		return &fault{err, "choose another room, or let more in: rtcdev serve --room-size 3", exitFailed}
	case errors.As(err, &refused):
		return &fault{err, "rtcdev serve --help tells the server's limits", exitFailed}
	}
	return &fault{err, "is the server running? rtcdev serve", exitFailed}
}

// flowFault tells what was missing in a peer's call.
func flowFault(s peer.Stats) error {
	switch {
	case s.Flowed:
		return nil
	case s.Met == 0:
		return &fault{fmt.Errorf("nobody else came into the room %q", s.Room), "open the room in a browser: rtcdev serve --open", exitFailed}
	case !s.MediaReceived && !s.MediaDelivered && s.Mode != peer.Sink.String():
		return &fault{fmt.Errorf("no media came through, either way (%d packets were sent)", s.PacketsSent),
			"try the way through the server: rtcdev peer --relay-only", exitFailed}
	case !s.MediaReceived:
		return &fault{fmt.Errorf("nothing came from the other side; %d packets went there", s.PacketsSent),
			"is its camera or its microphone on?", exitFailed}
	}
	return &fault{fmt.Errorf("the other side has not confirmed any of the %d packets that were sent; %d came from there", s.PacketsSent, s.PacketsReceived),
		"stay longer: it does so some seconds after the beginning", exitFailed}
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
