package main

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"io/fs"
	"net"
	"net/url"
	"os"
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
  rtcdev certs trust                    make this machine trust the authority`,
		RunE: func(cmd *cobra.Command, args []string) error {
			o.names = args
			if len(o.names) == 0 {
				o.names = []string{"localhost", "127.0.0.1", "::1"}
			}
			if len(args) == 1 && len(args[0]) > 3 && !strings.ContainsAny(args[0], ".:") {
				if guess := guessCommand(cmd, args[0]); guess != "" {
					return usage(guess, "%q is no command of rtcdev certs, and no name for a certificate", args[0])
				}
			}
			if o.selfSigned && (len(o.permit) > 0 || o.unconstrained) {
				return usage("leave one of them out", "--self-signed makes no authority that --permit or --unconstrained could be for")
			}
			return run(cmd.Context(), o)
		},
	}
	f := cmd.Flags()
	f.StringVarP(&o.out, "out", "o", ".", "`folder` for cert.pem and key.pem")
	f.BoolVar(&o.selfSigned, "self-signed", false, "make a certificate without an authority")
	f.BoolVar(&o.force, "force", false, "replace cert.pem and key.pem if they exist")
	f.StringSliceVar(&o.permit, "permit", nil, "when the authority is made: let it sign for this `name` (and below), address or range too")
	f.BoolVar(&o.unconstrained, "unconstrained", false, "when the authority is made: let it sign for every name (dangerous)")
	return cmd
}

// certsReport is what `rtcdev certs --json` prints. Times are RFC 3339.
type certsReport struct {
	Cert        string    `json:"cert"`
	Key         string    `json:"key"`
	Names       []string  `json:"names"`
	NotAfter    time.Time `json:"notAfter"`
	SelfSigned  bool      `json:"selfSigned,omitempty"`
	Fingerprint string    `json:"rootFingerprint,omitempty"` // SHA-256 of the root
	Created     bool      `json:"authorityCreated,omitempty"`
}

func (a *app) makeCerts(_ context.Context, o certsOptions) error {
	r := certsReport{Names: o.names, SelfSigned: o.selfSigned}
	pair, err := a.issue(o, &r)
	if err != nil {
		return certsFault(err)
	}
	r.NotAfter = pair.Leaf.NotAfter
	if r.Cert, r.Key, err = certs.WritePair(o.out, pair, o.force); err != nil {
		return certsFault(err)
	}
	if a.json {
		return a.event(r)
	}
	fmt.Fprintf(a.out, "Certificate  %s\nPrivate key  %s  (keep it to yourself)\nNames        %s\nExpires      %s\n",
		short(r.Cert), short(r.Key), strings.Join(r.Names, ", "), r.NotAfter.Local().Format("2006-01-02 15:04"))
	if o.selfSigned {
		fmt.Fprintf(a.out, "Signed by    itself: no browser trusts it until it is told to\n")
		return nil
	}
	fmt.Fprintf(a.out, "Signed by    your local authority, root SHA-256\n             %s\n", r.Fingerprint)
	return nil
}

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
	return ca.Issue(o.names)
}

// tooLate refuses options that only count when the authority is made.
func tooLate(ca *certs.Authority, o certsOptions) error {
	dir, err := authorityDir()
	if err != nil {
		return err
	}
	next := "rtcdev certs untrust, then move " + dir + " away, then this command again: a new authority is made, and every device has to trust it anew"
	for _, name := range o.permit {
		if err := ca.Permits(name); err != nil {
			return &fault{fmt.Errorf("--permit %s comes too late: it counts when the authority is made, and yours exists", name), next, exitFailed}
		}
	}
	if o.unconstrained && !ca.Unconstrained() {
		return &fault{errors.New("--unconstrained comes too late: it counts when the authority is made, and yours exists with its constraints"), next, exitFailed}
	}
	return nil
}

// certsFault adds the next step.
func certsFault(err error) error {
	var known *fault
	var name *certs.NameError
	var exists *certs.ExistsError
	switch {
	case errors.As(err, &known):
		return err
	case errors.As(err, &exists):
		return &fault{err, "write elsewhere with -o FOLDER, or replace them with --force", exitFailed}
	case errors.As(err, &name):
		if host := hostOf(name.Name); host != "" {
			return &fault{err, "rtcdev certs " + host, exitFailed}
		}
		next := "rtcdev certs --help"
		if name.Outside {
			next += ", where --permit and --self-signed are the ways to other names"
		}
		return &fault{err, next, exitFailed}
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

type exportOptions struct {
	format string
	file   string
}

func newExportCmd(run func(exportOptions) error) *cobra.Command {
	var o exportOptions
	cmd := &cobra.Command{
		Use:   "export",
		Short: "Write the authority's root certificate, for other devices",
		Long: `Write the root certificate of your local authority: the public part, which
other devices and programs need to trust it. No key is ever exported.`,
		Example: `  rtcdev certs export > rtcdev-root.pem
  rtcdev certs export --format der -o rtcdev-root.crt`,
		Args: atMost(0, "no arguments"),
		RunE: func(*cobra.Command, []string) error { return run(o) },
	}
	cmd.Flags().StringVar(&o.format, "format", "pem", "`pem` or der")
	cmd.Flags().StringVarP(&o.file, "file", "o", "", "new `file` to write; by default it goes to stdout")
	return cmd
}

func (a *app) export(o exportOptions) error {
	format := certs.Format(o.format)
	if format != certs.FormatPEM && format != certs.FormatDER {
		return usage("rtcdev certs export --format pem", "--format is pem or der, not %q", o.format)
	}
	if o.file == "" && format == certs.FormatDER && isTerminal(a.out.File) {
		return usage("rtcdev certs export --format der -o root.crt", "DER is not text: it would garble the terminal")
	}
	root, err := openRoot()
	if err != nil {
		return err
	}
	data, err := certs.EncodeRoot(root, format)
	if err != nil {
		return err
	}
	if o.file == "" {
		_, err := a.out.Write(data)
		return err
	}
	if err := writeNew(o.file, data); err != nil {
		return err
	}
	return a.result(struct {
		File        string `json:"file"`
		Fingerprint string `json:"rootFingerprint"`
	}{o.file, certs.FingerprintOf(root)}, "Root certificate  %s\nSHA-256           %s\n", o.file, certs.FingerprintOf(root))
}

// writeNew writes a file that does not exist yet, whole or not at all.
func writeNew(path string, data []byte) error {
	file, err := os.OpenFile(path, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o644)
	switch {
	case errors.Is(err, fs.ErrExist):
		return &fault{fmt.Errorf("%s exists already", path), "choose another name, or delete it first", exitFailed}
	case err != nil:
		return &fault{fmt.Errorf("writing the root certificate: %w", err), "choose a folder that exists and that you may write to", exitFailed}
	}
	_, err = file.Write(data)
	if err = errors.Join(err, file.Close()); err != nil {
		os.Remove(path)
		return fmt.Errorf("writing the root certificate: %w", err)
	}
	return nil
}

// openRoot opens the root alone, for commands that must not make an authority.
func openRoot() (*x509.Certificate, error) {
	dir, err := authorityDir()
	if err != nil {
		return nil, err
	}
	root, err := certs.OpenRoot(dir)
	if errors.Is(err, certs.ErrNoAuthority) {
		return nil, &fault{certs.ErrNoAuthority, "rtcdev serve or rtcdev certs trust makes one", exitFailed}
	}
	if err != nil {
		return nil, fmt.Errorf("opening the local authority: %w", err)
	}
	return root, nil
}
