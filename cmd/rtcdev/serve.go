package main

import (
	"context"
	"crypto/rand"
	"crypto/tls"
	"errors"
	"fmt"
	"io/fs"
	"net"
	"os/signal"
	"slices"
	"strings"
	"syscall"
	"time"

	"github.com/spf13/cobra"

	"rtcdev/certs"
	"rtcdev/certs/trust"
	"rtcdev/devserver"
	"rtcdev/templates"
)

type serveOptions struct {
	dir        string
	host       string
	port       int
	strictPort bool
	open       bool
	trust      string   // "ask", "yes" or "no"
	stores     []string // that are to trust the root; empty for all
	roomSize   int
	roomToken  string
	allowHosts []string
	proxy      string
	certFile   string // with keyFile: a certificate of the person's own
	keyFile    string

	signalOnly   bool
	allowOrigins []string
	discovery    bool
	limits       []string // NAME=VALUE

	noTURN     bool
	turn       string   // "closed" or "lan"
	iceServers []string // further ones
	withPeer   bool
	noInject   bool
	impair     string

	acme acmeOptions
	unit *unit // to be printed, instead of serving
}

const serveHelp = `Serve a folder over HTTPS, with signaling for its WebRTC pages on the same port.
A folder without index.html gets the built-in video call app.

The server answers on this machine only; --host opens it to the local network.
Stop it with Ctrl-C.

With --acme it has a certificate that every browser trusts, for a public name that
leads to this machine, and renews it by itself. It then listens on all addresses,
unless --host says otherwise, and does not ask to be trusted here. The authority,
Let's Encrypt unless --acme-ca names another, checks the name at port 80 or 443; with
--dns-hook it looks at the DNS instead. The local authority signs until then.`

func newServeCmd(a *app, run func(context.Context, serveOptions) error) *cobra.Command {
	o := serveOptions{dir: "."}
	var checkStores func() error
	var printUnit bool
	cmd := &cobra.Command{
		Use:   "serve [dir]",
		Short: "Serve a folder over HTTPS, with signaling",
		Long:  serveHelp + "\n\n" + limitsHelp(),
		Example: `  rtcdev serve --open           open the call in a browser
  rtcdev serve my-call          serve that folder
  rtcdev serve --host           let phones and other computers in
  rtcdev serve --proxy http://localhost:5173    HTTPS and signaling for another server's pages
  rtcdev serve --signal-only --allow-origin https://example.com    signaling for pages served elsewhere
  rtcdev serve --acme call.example.com --email you@your.domain --port 443    a public name`,
		Args: atMost(1, "one folder"),
		RunE: func(cmd *cobra.Command, args []string) error {
			if len(args) == 1 {
				o.dir = args[0]
			}
			if err := o.checkACME(cmd.Flags()); err != nil {
				return err
			}
			switch {
			case o.proxy != "" && len(args) == 1:
				return usage("leave one of them out", "--proxy serves another server's pages, so there is no folder to serve")
			case o.signalOnly && (len(args) == 1 || o.proxy != "" || o.open):
				return usage("leave one of them out", "--signal-only serves no pages: there is no folder, no --proxy and nothing to --open")
			case (o.certFile == "") != (o.keyFile == ""):
				return usage("rtcdev serve --cert-file cert.pem --key-file key.pem", "--cert-file and --key-file belong together")
			case o.trust != "ask" && o.trust != "yes" && o.trust != "no":
				return usage("rtcdev serve --help", "--trust is ask, yes or no, not %q", o.trust)
			case o.turn != "closed" && o.turn != "lan":
				return usage("rtcdev serve --help", "--turn is closed or lan, not %q", o.turn)
			case o.turn == "lan" && o.noTURN:
				return usage("leave one of them out", "--turn=lan is about the server's own relay, which --no-turn leaves out")
			case o.impair != "" && o.noTURN:
				return usage("leave one of them out", "--impair is done in the server's own relay, which --no-turn leaves out")
			case o.withPeer && o.signalOnly:
				return usage("leave one of them out", "--signal-only serves no pages, so there is no room link to meet the peer of --with-peer by")
			case o.roomSize < 2:
				return usage("rtcdev serve --help", "a room for %d makes no call: --room-size starts at 2", o.roomSize)
			case o.host == devserver.AllInterfaces && net.ParseIP(o.dir) != nil:
				return usage("rtcdev serve --host="+o.dir, "%s looks like the address for --host, which needs a = before it", o.dir)
			case a.yes && o.trust == "ask":
				o.trust = "yes"
			}
			if err := checkStores(); err != nil {
				return err
			}
			if printUnit {
				var err error
				if o.unit, err = newUnit(cmd.Flags(), o); err != nil {
					return err
				}
			}
			return run(cmd.Context(), o)
		},
	}
	f := cmd.Flags()
	checkStores = storesFlag(cmd, &o.stores, "with --trust, only these `stores`")
	f.StringVar(&o.host, "host", "", "let other devices in: on all addresses, or with --host=`ADDR` on that one")
	f.Lookup("host").NoOptDefVal = devserver.AllInterfaces
	f.IntVarP(&o.port, "port", "p", 8443, "`port` to listen on; 0 for any free one")
	f.BoolVar(&o.strictPort, "strict-port", false, "fail when the port is taken, instead of using the next free one")
	f.BoolVar(&o.open, "open", false, "open the room in a browser")
	f.StringVar(&o.trust, "trust", "ask", "make this machine trust the local authority: `ask`, yes or no")
	f.IntVar(&o.roomSize, "room-size", 2, "how many `peers` a room may have (the call app connects two)")
	f.StringVar(&o.roomToken, "room-token", "", "let in only who has this `secret` in the link; without a value one is made")
	f.Lookup("room-token").NoOptDefVal = madeToken
	f.StringVar(&o.proxy, "proxy", "", "pass requests on to the app server at this `URL`, instead of serving a folder")
	f.StringVar(&o.certFile, "cert-file", "", "show this certificate (PEM, with its chain) instead of the local authority's; needs --key-file")
	f.StringVar(&o.keyFile, "key-file", "", "private `file` that belongs to --cert-file")
	f.BoolVar(&o.signalOnly, "signal-only", false, "serve no pages, for those who have a web server of their own")
	f.StringSliceVar(&o.allowOrigins, "allow-origin", nil, "let pages of this `origin`, such as https://example.com, use the signaling; * for all")
	f.BoolVar(&o.discovery, "discovery", false, "let PeerJS pages list who is there (listAllPeers)")
	f.BoolVar(&o.noTURN, "no-turn", false, "leave out the server's own STUN and TURN")
	f.StringVar(&o.turn, "turn", "closed", "what the relay reaches: its own allocations only (`closed`), or private addresses too (lan)")
	f.StringArrayVar(&o.iceServers, "ice-server", nil, "tell pages of this STUN or TURN `URL`, too")
	f.BoolVar(&o.noInject, "no-inject", false, "do not add the server's STUN and TURN to pages (a small script does so)")
	f.StringVar(&o.impair, "impair", "", "make calls meet a bad `network`, such as 3g or loss=5%,delay=100ms,jitter=20ms,rate=500kbps,reorder=1%; off: from later on")
	f.BoolVar(&o.withPeer, "with-peer", false, "put a test peer into the room, for a call by yourself")
	f.StringSliceVar(&o.limits, "limit", nil, "change a limit, as `NAME=VALUE`, such as messages=500")
	f.StringSliceVar(&o.allowHosts, "allow-host", nil, "also answer to this `name` (.name: and all names below it)")
	f.StringSliceVar(&o.acme.names, "acme", nil, "get a certificate that every browser trusts for this public `name`; listens on all addresses, without --host")
	acmeFlags(f, &o.acme)
	f.BoolVar(&printUnit, unitFlag, false, "print a unit of systemd that runs this, and end")
	return cmd
}

// madeToken is what --room-token has without a value; no secret looks like it.
const madeToken = "*"

// newToken is 80 bits that nobody guesses, short enough to read out.
func newToken() string { return strings.ToLower(rand.Text()[:16]) }

// serve wires the authority, the built-in app and the server together.
func (a *app) serve(ctx context.Context, o serveOptions) error {
	builtIn, err := templates.FS("call")
	if err != nil {
		return err
	}
	cfg := devserver.Config{
		Dir:        o.dir,
		BuiltIn:    builtIn,
		Proxy:      o.proxy,
		Host:       o.host,
		Port:       o.port,
		StrictPort: o.strictPort,
		AllowHosts: o.allowHosts,
		RoomSize:   o.roomSize,
		Version:    version(),
		Log:        a.logger(),

		SignalOnly:   o.signalOnly,
		AllowOrigins: o.allowOrigins,
		Discovery:    o.discovery,
		RoomToken:    o.roomToken,

		NoTURN:     o.noTURN,
		TURNLAN:    o.turn == "lan",
		ICEServers: o.iceServers,
		WithPeer:   o.withPeer,
		NoInject:   o.noInject,
		Impair:     o.impair,
		Control:    &devserver.Control{},
	}
	if o.roomToken == madeToken {
		cfg.RoomToken = newToken()
	}
	if cfg.Limits, err = readLimits(o.limits); err != nil {
		return err
	}
	if err := cfg.Validate(); err != nil { // before anything is made or asked
		return serveFault(err, o)
	}
	if o.unit != nil {
		if err := a.checkManager(o); err != nil {
			return err
		}
		return a.printUnit(o)
	}
	s := &servePrinter{app: a, options: o, faults: make(map[string]toldFault), certified: make(map[string]bool)}
	if err := s.useCertificates(ctx, &cfg); err != nil {
		return err
	}
	ctx, stop := interruptible(ctx)
	defer stop()
	// Whoever reads the events may stop doing so: the call goes on.
	signal.Ignore(syscall.SIGPIPE)
	a.out.forgiving = true
	s.ctx, s.stop, s.control = ctx, stop, cfg.Control
	cfg.OnEvent = s.event
	return serveFault(devserver.Run(ctx, cfg), o)
}

// useCertificates settles what the server shows.
func (s *servePrinter) useCertificates(ctx context.Context, cfg *devserver.Config) error {
	dir, err := acmeDir()
	if err != nil {
		return err
	}
	cfg.Private = append(cfg.Private, dir) // it may have keys of certs acme
	if s.options.certFile != "" {
		return s.useOwnCertificate(cfg)
	}
	if len(s.options.acme.names) == 0 {
		return s.useAuthority(ctx, cfg)
	}
	manager, err := s.useACME(cfg)
	if err != nil {
		return err
	}
	if err := s.useAuthority(ctx, cfg); err != nil {
		return err
	}
	cfg.TLS = manager.TLS(cfg.TLS)
	return nil
}

func (s *servePrinter) useOwnCertificate(cfg *devserver.Config) error {
	pair, err := tls.LoadX509KeyPair(s.options.certFile, s.options.keyFile)
	if err != nil {
		return &fault{fmt.Errorf("reading the certificate: %w", err), "rtcdev certs makes a cert.pem and key.pem that fit together", exitFailed}
	}
	cfg.TLS = &tls.Config{Certificates: []tls.Certificate{pair}, MinVersion: tls.VersionTLS12}
	cfg.Private = append(cfg.Private, s.options.keyFile)
	return nil
}

// useAuthority has the authority make certificates as they are asked for.
func (s *servePrinter) useAuthority(ctx context.Context, cfg *devserver.Config) error {
	dir, err := authorityDir()
	if err != nil {
		return err
	}
	if s.ca, s.created, err = s.authority(nil, false); err != nil {
		return err
	}
	for _, name := range s.options.allowHosts {
		if err := s.ca.Permits(strings.TrimPrefix(name, ".")); err != nil {
			return usage("give a certificate for that name, with --cert-file and --key-file", "--allow-host: %w", err)
		}
	}
	cfg.TLS = &tls.Config{GetCertificate: s.ca.GetCertificate, MinVersion: tls.VersionTLS12}
	cfg.Root, cfg.Fingerprint = s.ca.Root(), s.ca.Fingerprint()
	if cfg.RootProfile, err = certs.EncodeRoot(cfg.Root, certs.FormatMobileConfig); err != nil {
		return err
	}
	cfg.Private = append(cfg.Private, dir)
	return s.settleTrust(ctx)
}

// serveFault adds the next step to what can keep the server from listening.
func serveFault(err error, o serveOptions) error {
	var taken *devserver.PortTakenError
	var address *devserver.AddressError
	var setting *devserver.SettingError
	switch {
	case errors.As(err, &taken) && o.strictPort:
		return &fault{err, fmt.Sprintf("stop it, or choose another: rtcdev serve --port %d", nextPort(o.port)), exitPortTaken}
	case errors.As(err, &taken):
		return &fault{err, "rtcdev serve --port 0", exitPortTaken}
	case errors.As(err, &address):
		return &fault{err, "rtcdev serve --host, which listens on all addresses", exitPortTaken}
	case errors.As(err, &setting):
		return &fault{err, "rtcdev serve --help", exitUsage}
	case errors.Is(err, fs.ErrNotExist):
		next := "rtcdev init " + quoted(o.dir) + " makes an app there"
		if o.roomToken == madeToken {
			next = "rtcdev serve --room-token=" + quoted(o.dir) + ", with a =, if that is to be the secret; else " + next
		}
		return &fault{fmt.Errorf("there is no folder %s", quoted(o.dir)), next, exitFailed}
	case errors.Is(err, fs.ErrPermission) && o.port > 0 && o.port < 1024 && len(o.acme.names) > 0:
		return &fault{fmt.Errorf("this system keeps port %d for root", o.port),
			`allow it once: sudo setcap cap_net_bind_service=+ep "$(command -v rtcdev)"; or run rtcdev with sudo; or as a service: rtcdev serve --help`, exitPortTaken}
	case errors.Is(err, fs.ErrPermission) && o.port > 0 && o.port < 1024:
		return &fault{fmt.Errorf("this system keeps port %d for root", o.port), "rtcdev serve --port 8443", exitFailed}
	}
	return err
}

func nextPort(port int) int {
	if port < 65535 {
		return port + 1
	}
	return port - 1
}

// settleTrust does what --trust says before the server starts, so that a
// browser that it opens meets a certificate it trusts.
func (s *servePrinter) settleTrust(ctx context.Context) error {
	begin := time.Now()
	defer func() { s.asked = time.Since(begin) }()
	ask := s.options.trust == "ask" && s.interactive()
	if s.options.trust != "yes" && !ask {
		return nil
	}
	m, err := machine()
	if err != nil {
		return err
	}
	s.stores = m.BrowserStatus(ctx, s.ca.Root())
	if trust.Trusted(s.stores) {
		return nil
	}
	s.stores = m.Status(ctx, s.ca.Root(), s.options.stores...) // the question names them all
	if ask && (!canInstall(s.stores) || !s.askForTrust(s.ca.Root(), s.stores)) {
		return nil // the first screen says how to do it later
	}
	s.note("Adding the local authority to what this machine trusts…\n")
	s.stores = m.Install(ctx, s.ca.Root(), s.options.stores...)
	if slices.ContainsFunc(s.stores, func(r trust.Result) bool { return r.Changed && r.Note != "" }) {
		s.note("A browser that is running now has to be restarted to see it.\n")
	}
	err = trustOutcome(s.stores)
	if ask && err != nil { // somebody is there to read it, and wants the server all the same
		s.reportError(err)
		return nil
	}
	return err
}
