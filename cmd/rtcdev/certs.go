package main

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"io"
	"net"
	"net/url"
	"os"
	"slices"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"rtcdev/certs"
)

type certsOptions struct {
	names         []string
	out           string
	selfSigned    bool
	force         bool
	permit        []string
	unconstrained bool
	client        bool
	request       string // the file of a certificate request
}

const certsHelp = `Make a certificate for names and addresses of this machine or network, for use
by any server: cert.pem (certificate and intermediate) and key.pem.

It is signed by your local authority, which is made on first use. rtcdev serve
needs no files: it makes its certificates by itself.

Without names the certificate is for localhost, 127.0.0.1 and ::1.`

func newCertsCmd(a *app) *cobra.Command {
	cmd := newMakeCertsCmd(a.makeCerts)
	cmd.AddCommand(
		newTrustCmd(a.trust),
		newUntrustCmd(a.untrust),
		newStatusCmd(a.status),
		newExportCmd(a.export),
		newAuthorityCmd(a.newAuthority),
		newACMECmd(a.obtain),
	)
	return cmd
}

func newMakeCertsCmd(run func(context.Context, certsOptions) error) *cobra.Command {
	var o certsOptions
	cmd := &cobra.Command{
		Use:   "certs [name…]",
		Short: "Make certificates, and make this machine trust them",
		Long:  certsHelp,
		Example: `  rtcdev certs                          cert.pem and key.pem for localhost
  rtcdev certs 192.168.0.10 my-laptop.local -o tls
  rtcdev certs --csr site.csr            cert.pem for a key made elsewhere
  rtcdev certs trust                    make this machine trust the authority`,
		RunE: func(cmd *cobra.Command, args []string) error {
			o.names = args
			if len(o.names) == 0 {
				o.names = defaultNames()
			}
			if len(args) == 1 && len(args[0]) > 3 && !strings.ContainsAny(args[0], ".:") {
				if guess := guessCommand(cmd, args[0]); guess != "" {
					return usage(guess, "%q is no command of rtcdev certs, and no name for a certificate", args[0])
				}
			}
			switch {
			case o.client && o.request == "" && len(args) == 0:
				return usage("rtcdev certs --help", "%s", clientNeedsName)
			case o.selfSigned && (len(o.permit) > 0 || o.unconstrained):
				return usage("leave one of them out", "--self-signed makes no authority that --permit or --unconstrained could be for")
			case o.selfSigned && (o.client || o.request != ""):
				return usage("leave one of them out", "--client and --csr need the authority that --self-signed does without")
			case o.request != "" && len(args) > 0:
				return usage("leave them out, or ask for other names in the request", "the names for --csr are those in the request, not %q", strings.Join(args, " "))
			}
			return run(cmd.Context(), o)
		},
	}
	f := cmd.Flags()
	f.StringVarP(&o.out, "out", "o", ".", "`folder` for cert.pem and key.pem")
	f.BoolVar(&o.selfSigned, "self-signed", false, "make a certificate without an authority")
	f.BoolVar(&o.force, "force", false, "replace cert.pem and key.pem if they exist")
	f.BoolVar(&o.client, "client", false, "make a client's certificate, for servers that ask who is there")
	f.StringVar(&o.request, "csr", "", "sign this certificate request (a `file`, PEM or DER; - is stdin) and write cert.pem only")
	f.StringSliceVar(&o.permit, "permit", nil, "when the authority is made: let it sign for this `name` (and below), address or range too")
	f.BoolVar(&o.unconstrained, "unconstrained", false, "when the authority is made: let it sign for every name (dangerous)")
	return cmd
}

// certsReport is what `rtcdev certs --json` prints. Times are RFC 3339.
type certsReport struct {
	Cert        string    `json:"cert"`
	Key         string    `json:"key,omitempty"` // not with --csr, whose key is elsewhere
	Names       []string  `json:"names"`
	NotAfter    time.Time `json:"notAfter"`
	SelfSigned  bool      `json:"selfSigned,omitempty"`
	Fingerprint string    `json:"rootFingerprint,omitempty"` // SHA-256 of the root
	Created     bool      `json:"authorityCreated,omitempty"`
}

// clientNeedsName is said where a client's certificate is asked for without one.
const clientNeedsName = "--client needs a name for the client, made like a host's: kim.internal"

func defaultNames() []string { return []string{"localhost", "127.0.0.1", "::1"} }

func (a *app) makeCerts(_ context.Context, o certsOptions) error {
	if o.request != "" {
		return a.signRequest(o)
	}
	r := certsReport{Names: o.names, SelfSigned: o.selfSigned}
	pair, err := a.issue(o, &r)
	if err != nil {
		return certsFault(err)
	}
	r.NotAfter = pair.Leaf.NotAfter
	if r.Cert, r.Key, err = certs.WritePair(o.out, pair, o.force); err != nil {
		return certsFault(err)
	}
	return a.printCerts(r)
}

func (a *app) printCerts(r certsReport) error {
	if a.json {
		return a.event(r)
	}
	fmt.Fprintf(a.out, "Certificate  %s\n", short(r.Cert))
	if r.Key != "" {
		fmt.Fprintf(a.out, "Private key  %s  (keep it to yourself)\n", short(r.Key))
	}
	fmt.Fprintf(a.out, "Names        %s\nExpires      %s\n", strings.Join(r.Names, ", "), moment(r.NotAfter))
	if r.SelfSigned {
		fmt.Fprintf(a.out, "Signed by    itself: no browser trusts it until it is told to\n")
		return nil
	}
	fmt.Fprintf(a.out, "Signed by    your local authority, root SHA-256\n             %s\n", r.Fingerprint)
	return nil
}

// moment writes a time for people.
func moment(t time.Time) string { return t.Local().Format("2006-01-02 15:04 MST") }

func (a *app) issue(o certsOptions, r *certsReport) (*tls.Certificate, error) {
	if o.selfSigned {
		return certs.SelfSigned(o.names)
	}
	// A slip of the pen must not be what an authority is made for.
	if err := certs.CheckNames(o.names, certs.Options{Hostname: hostname(), Permit: o.permit, Unconstrained: o.unconstrained}); err != nil {
		if _, missing := openRoot(); missing != nil {
			return nil, err
		}
	}
	ca, created, err := a.authority(o.permit, o.unconstrained)
	if err != nil {
		return nil, err
	}
	if created {
		a.note("Made a new local authority. Browsers trust it after: rtcdev certs trust\n\n")
		if o.unconstrained {
			a.warn("it has no name constraints. Whoever gets its key can pretend to be any site to you.\n")
		}
	} else if err := tooLate(ca, o); err != nil {
		return nil, err
	}
	r.Fingerprint, r.Created = ca.Fingerprint(), created
	if o.client {
		return ca.IssueClient(o.names)
	}
	return ca.Issue(o.names)
}

// maxRequest is more than certs.SignRequest takes, which says so, in bytes.
const maxRequest = 1 << 20

// signRequest signs a request that somebody made with a key of their own.
func (a *app) signRequest(o certsOptions) error {
	source := io.Reader(a.in)
	if o.request != "-" {
		file, err := os.Open(o.request)
		if err != nil {
			return &fault{fmt.Errorf("reading the request: %w", err), "name the file of the request, as openssl req -new wrote it", exitFailed}
		}
		defer file.Close()
		source = file
	}
	data, err := io.ReadAll(io.LimitReader(source, maxRequest))
	if err != nil {
		return fmt.Errorf("reading the request: %w", err)
	}
	ca, created, err := a.authority(o.permit, o.unconstrained)
	if err != nil {
		return certsFault(err)
	}
	if err := tooLate(ca, o); !created && err != nil {
		return err
	}
	r := certsReport{Fingerprint: ca.Fingerprint(), Created: created}
	cert, err := ca.SignRequest(data, o.client)
	if err != nil {
		return certsFault(err)
	}
	r.Names, r.NotAfter = namesOf(cert.Leaf), cert.Leaf.NotAfter
	if r.Cert, err = certs.WriteCertificate(o.out, cert, o.force); err != nil {
		return certsFault(err)
	}
	return a.printCerts(r)
}

// namesOf lists what a certificate is for.
func namesOf(cert *x509.Certificate) []string {
	names := slices.Clone(cert.DNSNames)
	for _, ip := range cert.IPAddresses {
		names = append(names, ip.String())
	}
	return names
}

// tooLate refuses options that only count when the authority is made.
func tooLate(ca *certs.Authority, o certsOptions) error {
	next := "rtcdev certs new-authority"
	if len(o.permit) > 0 {
		next += " --permit " + quoted(strings.Join(o.permit, ","))
	}
	for _, name := range o.permit {
		if err := ca.Permits(name); err != nil {
			return &fault{fmt.Errorf("--permit %s comes too late: it counts when the authority is made, and yours exists", name), next, exitFailed}
		}
	}
	if o.unconstrained && !ca.Unconstrained() {
		return &fault{errors.New("--unconstrained comes too late: it counts when the authority is made, and yours exists with its constraints"), next + " --unconstrained", exitFailed}
	}
	return nil
}

// certsFault adds the next step.
func certsFault(err error) error {
	var known *fault
	var name *certs.NameError
	var exists *certs.ExistsError
	var request *certs.RequestError
	var unwritten *certs.WriteError
	switch {
	case errors.As(err, &unwritten):
		return &fault{err, "make room and give write access there, or choose another folder with -o", exitFailed}
	case errors.As(err, &request):
		return &fault{err, request.Fix, exitFailed}
	case errors.As(err, &known):
		return err
	case errors.As(err, &exists):
		return &fault{err, "write elsewhere with -o FOLDER, or replace them with --force", exitFailed}
	case errors.As(err, &name):
		if host := hostOf(name.Name); host != "" {
			return &fault{err, "rtcdev certs " + host, exitFailed}
		}
		if name.Outside {
			return &fault{err, "for a public name: rtcdev certs acme " + quoted(name.Name) + "; for one of your own network: rtcdev certs new-authority --permit " + quoted(name.Name), exitFailed}
		}
		return &fault{err, "rtcdev certs --help", exitFailed}
	}
	return err
}

// hostOf finds the host in what is rather an address of a page, such as
// https://localhost:8443/ or localhost:8443.
func hostOf(text string) string {
	if u, err := url.Parse(text); err == nil && u.Scheme != "" && u.Host != "" {
		return u.Hostname()
	}
	host, _, err := net.SplitHostPort(text)
	if err != nil {
		return ""
	}
	return host
}

// openRoot opens the root alone, for commands that must not make an authority.
func openRoot() (*x509.Certificate, error) {
	dir, err := authorityDir()
	if err != nil {
		return nil, err
	}
	root, err := certs.OpenRoot(dir)
	if errors.Is(err, certs.ErrNoAuthority) {
		return nil, &fault{certs.ErrNoAuthority, "rtcdev certs trust", exitFailed}
	}
	if err != nil {
		return nil, fmt.Errorf("opening the local authority: %w", err)
	}
	return root, nil
}
