package devserver

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"net/netip"
	"net/url"
	"os"
	"slices"
	"strings"
	"sync"
	"time"

	"rtcdev/devserver/lan"
	"rtcdev/devserver/portmux"
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
	setUp, err := newSetUp(&cfg)
	if err != nil {
		return err
	}
	listeners, taken, err := listen(cfg.Host, cfg.Port, cfg.StrictPort)
	if err != nil {
		return err
	}
	relaying, bad, err := openRelay(&cfg, listeners, func(e Event) { ev.send(e) })
	if err != nil {
		closeAll(listeners)
		return err
	}
	ev = newEvents(cfg.OnEvent)
	hostname, _ := os.Hostname() // without one, requests for it are refused
	guard := newHostGuard(hostname, slices.Concat(cfg.AllowHosts, cfg.guarded()))
	ice := newICEServers(&cfg, relaying.relay(), listeners[0].Addr().(*net.TCPAddr).Port, guard.laterName, bad)
	devices := newDevices(&cfg, ev.send)
	hubConfig := cfg.signaling(func(e signaling.Event) {
		told := signalingEvent(e)
		ev.send(told)
		devices.joined(told)
		bad.heard(told)
	})
	hubConfig.ICE = ice.welcome
	hub := signaling.New(hubConfig)
	sockets := socketio.New(hub, socketio.Config{
		PingInterval: cfg.Limits.Idle * 5 / 9, PingTimeout: cfg.Limits.Idle * 4 / 9,
		RoomSize: cfg.RoomSize, MaxPayload: max(256<<10, cfg.Limits.MessageBytes),
	})
	crowd := newCrowd(cfg.Limits)
	defer crowd.close()
	secured := newServer(&cfg, crowd, guard.guard(devices.secured(routes(&cfg, pages, hub, sockets, setUp, ice, devices))))
	plain := newServer(&cfg, crowd, guard.guard(devices.plain(http.HandlerFunc(setUp.plain))))
	mux := newMux(&cfg, crowd, devices, listeners)

	own := listensOn(listeners[0])
	ready := readyEvent(&cfg, own, listeners[0].Addr().(*net.TCPAddr).Port, taken)
	ready.BuiltIn = builtIn
	tcpOnly := relaying.look()
	ev.send(ready) // the sockets listen: whoever connects from now on is answered
	tellAll(ev, tcpOnly)
	failed := make(chan error, 8)
	var serving sync.WaitGroup
	around, alone := context.WithCancel(ctx)
	defer alone()
	names := &naming{cfg: &cfg, port: ready.Port, guard: guard, tell: ev.send, changed: make(chan struct{}, 1)}
	serving.Go(func() {
		follow(around, &cfg, own, ready.Port, ready.Networks, ev.send, hub.Strand, func() {
			names.look()
			tellAll(ev, relaying.look())
		})
	})
	serving.Go(func() { names.run(around, own) })
	withTLS, without := mux.HTTPS(), mux.Plain()
	serves := []func() error{
		func() error { return secured.Serve(withTLS) },
		func() error { return plain.Serve(without) },
	}
	if relaying != nil {
		streams := mux.Relay()
		serves = append(serves, func() error { return relaying.serve(streams, crowd) })
	}
	for _, serve := range append(serves, mux.Serve) { // last: the listeners are taken then
		serving.Go(func() {
			if err := serve(); !errors.Is(err, http.ErrServerClosed) && !errors.Is(err, net.ErrClosed) {
				failed <- fmt.Errorf("serving on %s: %w", listeners[0].Addr(), err)
			}
		})
	}
	if cfg.WithPeer {
		serving.Go(func() { keepPeer(around, &cfg, roomAt(&cfg, urlFor(cfg.localHost(), ready.Port)), ev.send) })
	}
	kept := keepCertificates(around, &cfg, ready.Port, ev.send)
	select {
	case <-ctx.Done():
		ev.send(Stopping{Event: "stopping"})
	case err = <-failed:
	}
	alone()
	last, cancel := context.WithTimeout(context.Background(), shutdownTime)
	defer cancel()
	shutDown(last, hub, sockets, []*http.Server{secured, plain}, cfg.Log)
	if err := relaying.close(); err != nil {
		cfg.Log.Debug("closing the relay", "error", err)
	}
	mux.Close()
	serving.Wait()
	select {
	case <-kept:
	case <-last.Done():
		cfg.Log.Debug("keeping the certificates does not end")
	}
	devices.close()
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
		return newProxy(target, newInjector(cfg, tell), slog.NewLogLogger(cfg.Log.Handler(), slog.LevelDebug)), false, func() {}, nil
	}
	files, err := openSite(cfg.Dir, cfg.BuiltIn, cfg.Private)
	if err != nil {
		return nil, false, nil, err
	}
	files.injector = newInjector(cfg, tell)
	files.adapters = newAdapters(func(u Unreached) { tell(u) })
	return secure(files), files.usesBuiltIn(), files.close, nil
}

// shutDown ends the peers' connections, which net/http no longer knows after
// their upgrade, and the rest beside them.
func shutDown(ctx context.Context, hub *signaling.Hub, sockets *socketio.Door, servers []*http.Server, log *slog.Logger) {
	var peers sync.WaitGroup
	for _, end := range []func(context.Context) error{hub.Shutdown, sockets.Shutdown} {
		peers.Go(func() {
			if err := end(ctx); err != nil {
				log.Debug("not every peer said goodbye", "error", err)
			}
		})
	}
	for _, srv := range servers {
		peers.Go(func() {
			if err := srv.Shutdown(ctx); err != nil {
				srv.Close() // what is left has had its time
			}
		})
	}
	peers.Wait()
}

// newServer sets limits against clients that are slow on purpose. Files extend
// theirs as they go: see patientWriter.
func newServer(cfg *Config, crowd *crowd, handler http.Handler) *http.Server {
	return &http.Server{
		Handler:           crowd.requests(handler),
		ReadHeaderTimeout: cmp.Or(cfg.Limits.Handshake, 10*time.Second),
		ReadTimeout:       30 * time.Second,
		WriteTimeout:      patience,
		IdleTimeout:       2 * time.Minute,
		MaxHeaderBytes:    cmp.Or(cfg.Limits.HeaderBytes, 32<<10),
		ConnState:         crowd.change,
		ErrorLog:          slog.NewLogLogger(cfg.Log.Handler(), slog.LevelDebug),
		ConnContext:       crowd.arrival,
	}
}

// newMux has TLS and plain HTTP share the port.
func newMux(cfg *Config, crowd *crowd, devices *devices, listeners []net.Listener) *portmux.Mux {
	conf := cfg.TLS.Clone()
	// Messages are small: each is one record, and one write, from the first on.
	conf.DynamicRecordSizingDisabled = true
	return portmux.New(listeners, portmux.Config{
		TLS: conf, Patience: cfg.Limits.Handshake, Admit: crowd.admit, Gone: crowd.gone,
		OnRefused: func(r portmux.Refusal) {
			cfg.Log.Debug("a TLS handshake failed", "from", r.Remote, "name", r.ServerName, "error", r.Err)
			devices.refused(r)
		},
	})
}

func readyEvent(cfg *Config, own netip.Addr, port int, taken *PortTakenError) Ready {
	var all []string
	for _, host := range append(cfg.publicHosts(), cfg.localHost()) {
		if at := urlFor(host, port); !slices.Contains(all, at) {
			all = append(all, at)
		}
	}
	base := all[0]
	r := Ready{
		Event:   "ready",
		URL:     base,
		URLs:    all,
		Room:    roomAt(cfg, base),
		Port:    port,
		Signal:  signalURL(cfg, base),
		Version: cfg.Version,
		Proxy:   cfg.Proxy,

		SignalOnly: cfg.SignalOnly,
		Taken:      taken,
		Impair:     cfg.Impair,
	}
	known, err := lan.Addresses()
	if err != nil {
		cfg.Log.Debug("looking for this machine's addresses", "error", err)
	}
	r.Networks = networks(cfg, own, known, port)
	for _, n := range r.Networks {
		if !slices.Contains(r.URLs, n.URL) {
			r.URLs = append(r.URLs, n.URL)
		}
	}
	return r
}

// roomAt is the default room at one of the server's URLs.
func roomAt(cfg *Config, base string) string {
	return base + withToken("?room="+url.QueryEscape(signaling.DefaultRoom), cfg.RoomToken)
}

// keepCertificates runs Config.KeepCertificates, and returns what is closed when it has ended.
func keepCertificates(ctx context.Context, cfg *Config, port int, tell func(Event)) <-chan struct{} {
	kept := make(chan struct{})
	if cfg.KeepCertificates == nil {
		close(kept)
		return kept
	}
	go func() {
		defer close(kept)
		cfg.KeepCertificates(ctx, port, func(c Certificate) {
			c.Event, c.Time = "certificate", time.Now()
			tell(c)
		})
	}()
	return kept
}

// signalURL is the WebSocket address at one of the server's. A page that was not opened
// by the link has no cookie: with its address it gets the secret.
func signalURL(cfg *Config, base string) string {
	query := strings.Replace(withToken("", cfg.RoomToken), "&", "?", 1)
	return "wss" + strings.TrimPrefix(base, "https") + "_rtcdev/signal" + query
}
