package devserver

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"net/url"
	"os"
	"strings"
	"sync"
	"time"

	"rtcdev/devserver/signaling"
	"rtcdev/devserver/signaling/socketio"
)

// shutdownTime is how long [Run] takes at most to end after its context has.
// It leaves room below the 2 s after which people press Ctrl-C again.
const shutdownTime = 1200 * time.Millisecond

// Run serves until ctx ends and then stops within 2 s: peers are told, running
// requests may finish. It returns nil for such an end, a [*PortTakenError] or
// [*AddressError] when it cannot listen where it was told to, and other errors
// when the configuration is wrong or a listener fails.
func Run(ctx context.Context, cfg Config) error {
	if cfg.TLS == nil || cfg.BuiltIn == nil && !cfg.SignalOnly {
		return errors.New("devserver: Config.TLS and Config.BuiltIn must be set")
	}
	if err := cfg.Validate(); err != nil {
		return err
	}
	if cfg.Log == nil {
		cfg.Log = slog.New(slog.DiscardHandler)
	}
	var ev *events // before anything is served
	pages, builtIn, closePages, err := openPages(&cfg, func(e Event) { ev.send(e) })
	if err != nil {
		return err
	}
	defer closePages()
	listeners, taken, err := listen(cfg.Host, cfg.Port, cfg.StrictPort)
	if err != nil {
		return err
	}
	ev = newEvents(cfg.OnEvent)
	hub := signaling.New(cfg.signaling(func(e signaling.Event) { ev.send(signalingEvent(e)) }))
	hostname, _ := os.Hostname() // without one, requests for it are refused
	sockets := socketio.New(hub, socketio.Config{
		PingInterval: cfg.Limits.Idle * 5 / 9, PingTimeout: cfg.Limits.Idle * 4 / 9,
		RoomSize: cfg.RoomSize, MaxPayload: max(256<<10, cfg.Limits.MessageBytes),
	})
	srv := newServer(&cfg, routes(&cfg, pages, hub, sockets, newHostGuard(hostname, cfg.AllowHosts)))

	ready := readyEvent(&cfg, listeners[0].Addr(), taken)
	ready.BuiltIn = builtIn
	ev.send(ready) // the sockets listen: whoever connects from now on is answered
	failed := make(chan error, len(listeners))
	var serving sync.WaitGroup
	for _, l := range listeners {
		serving.Go(func() {
			if err := srv.ServeTLS(l, "", ""); !errors.Is(err, http.ErrServerClosed) {
				failed <- fmt.Errorf("serving on %s: %w", l.Addr(), err)
			}
		})
	}
	select {
	case <-ctx.Done():
		ev.send(Stopping{Event: "stopping"})
	case err = <-failed:
	}
	last, cancel := context.WithTimeout(context.Background(), shutdownTime)
	defer cancel()
	shutDown(last, hub, sockets, srv, cfg.Log)
	serving.Wait()
	ev.finish(last)
	return err
}

// openPages returns what answers for all addresses that are not rtcdev's own:
// the app server of Config.Proxy, or the folder; and whether that is the
// built-in app for now. Call done in the end.
func openPages(cfg *Config, tell func(Event)) (pages http.Handler, builtIn bool, done func(), err error) {
	if cfg.SignalOnly {
		return secure(http.HandlerFunc(noPages)), false, func() {}, nil
	}
	if cfg.Proxy != "" {
		target, err := proxyURL(cfg.Proxy)
		if err != nil {
			return nil, false, nil, err
		}
		return newProxy(target, slog.NewLogLogger(cfg.Log.Handler(), slog.LevelDebug)), false, func() {}, nil
	}
	files, err := openSite(cfg.Dir, cfg.BuiltIn, cfg.Private)
	if err != nil {
		return nil, false, nil, err
	}
	files.adapters = newAdapters(func(u Unreached) { tell(u) })
	return secure(files), files.usesBuiltIn(), files.close, nil
}

// shutDown ends the peers' connections, which net/http no longer knows after
// their upgrade, and the rest beside them.
func shutDown(ctx context.Context, hub *signaling.Hub, sockets *socketio.Door, srv *http.Server, log *slog.Logger) {
	var peers sync.WaitGroup
	for _, end := range []func(context.Context) error{hub.Shutdown, sockets.Shutdown} {
		peers.Go(func() {
			if err := end(ctx); err != nil {
				log.Debug("not every peer said goodbye", "error", err)
			}
		})
	}
	if err := srv.Shutdown(ctx); err != nil {
		srv.Close() // what is left has had its time
	}
	peers.Wait()
}

// newServer sets limits against clients that are slow on purpose. Files extend
// theirs as they go: see patientWriter.
func newServer(cfg *Config, handler http.Handler) *http.Server {
	srv := &http.Server{
		Handler:           handler,
		TLSConfig:         cfg.TLS.Clone(),
		ReadHeaderTimeout: cmp.Or(cfg.Limits.Handshake, 10*time.Second),
		ReadTimeout:       30 * time.Second,
		WriteTimeout:      patience,
		IdleTimeout:       2 * time.Minute,
		MaxHeaderBytes:    cmp.Or(cfg.Limits.HeaderBytes, 32<<10),
		ConnState:         newCrowd(cfg.Limits).change,
		ConnContext: func(ctx context.Context, _ net.Conn) context.Context {
			return signaling.Arrival(ctx, time.Now())
		},
	}
	// Messages are small: each is one record, and one write, from the first on.
	srv.TLSConfig.DynamicRecordSizingDisabled = true
	srv.ErrorLog = slog.NewLogLogger(cfg.Log.Handler(), slog.LevelDebug)
	return srv
}

func readyEvent(cfg *Config, addr net.Addr, taken *PortTakenError) Ready {
	port := addr.(*net.TCPAddr).Port
	first := "localhost"
	if cfg.Host != "" && cfg.Host != AllInterfaces {
		if ip := net.ParseIP(cfg.Host); !ip.IsUnspecified() {
			first = ip.String()
		}
	}
	base := urlFor(first, port)
	r := Ready{
		Event:   "ready",
		URL:     base,
		URLs:    []string{base},
		Room:    base + withToken("?room="+url.QueryEscape(signaling.DefaultRoom), cfg.RoomToken),
		Port:    port,
		Signal:  "wss://" + strings.TrimPrefix(base, "https://") + "_rtcdev/signal",
		Version: cfg.Version,
		Proxy:   cfg.Proxy,

		SignalOnly: cfg.SignalOnly,
		Taken:      taken,
	}
	if addr.(*net.TCPAddr).IP.IsUnspecified() {
		r.URLs = append(r.URLs, lanURLs(port)...)
	}
	return r
}
