package main

import (
	"context"
	"errors"
	"fmt"
	"path/filepath"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"rtcdev/certs/acmecert"
)

func newACMECmd(run func(context.Context, acmeOptions) error) *cobra.Command {
	var o acmeOptions
	cmd := &cobra.Command{
		Use:   "acme name…",
		Short: "Get certificates that every browser trusts, for public names",
		Long: `Get a certificate for each public name from an ACME authority (RFC 8555): from
Let's Encrypt, or with --acme-ca from another one, such as step-ca in your network.
It says where the files are, for use by any server. By going on you agree to the
authority's terms of service.

The authority checks that you speak for a name by connecting to it: at port 80, or with
--challenge tls-alpn-01 at port 443. Where these ports belong to another program, or only root may open them, give
--http-challenge-port and forward port 80 to that one. For a machine that the authority
cannot reach, --dns-hook has it look at the DNS instead.

Run it again, from a timer perhaps: it renews what is due, and leaves alone what is not.
rtcdev serve --acme needs none of this: it gets and renews its certificates by itself.`,
		Example: `  rtcdev certs acme call.example.com --email you@your.domain
  rtcdev certs acme nas.example.com --dns-hook ./dns.sh --cert-file cert.pem --key-file key.pem
  rtcdev certs acme call.internal --acme-ca https://ca.internal/acme/acme/directory --acme-root root_ca.crt`,
		RunE: func(cmd *cobra.Command, args []string) error {
			if o.names = args; len(args) == 0 {
				return usage("rtcdev certs acme call.example.com", "rtcdev certs acme needs the name that people use")
			}
			if err := o.check(cmd.CommandPath()); err != nil {
				return err
			}
			if o.tlsPort < 1 || o.tlsPort > 65535 {
				return usage(cmd.CommandPath()+" --help", "%d is not a port for --tls-challenge-port: choose one from 1 to 65535", o.tlsPort)
			}
			return run(cmd.Context(), o)
		},
	}
	f := cmd.Flags()
	acmeFlags(f, &o)
	f.IntVar(&o.tlsPort, "tls-challenge-port", 443, "`port` at which arrives what the authority sends to port 443")
	f.StringVar(&o.certFile, "cert-file", "", "copy the certificate (PEM, with its chain) to this file, now and on every renewal; needs --key-file")
	f.StringVar(&o.keyFile, "key-file", "", "copy its private key to this `file`")
	return cmd
}

// obtain gets what is missing, renews what is due, and says what there is then.
func (a *app) obtain(ctx context.Context, o acmeOptions) error {
	dir, err := acmeDir()
	if err != nil {
		return err
	}
	m, err := a.manager(o, dir, "", func(e acmecert.Event) {
		if e.Kind == acmecert.Failed { // that is the result
			return
		}
		for _, line := range certificateLines(certificateEvent(e, o.authorityHost())) {
			a.note("%s\n", line)
		}
	})
	if err != nil {
		return err
	}
	ctx, stop := interruptible(ctx)
	defer stop()
	failure := m.Obtain(ctx)
	reports := acmeReports(m.States())
	for i := range reports {
		if reports[i].good() {
			reports[i].CertCopy, reports[i].KeyCopy = whole(o.certFile), whole(o.keyFile)
		}
	}
	if a.json {
		err = a.event(struct {
			Certificates []acmeReport `json:"certificates"`
		}{reports})
	} else {
		a.printObtained(reports, o)
	}
	if failure != nil && ctx.Err() != nil {
		return &fault{errors.New("interrupted; what was there before is still there"), "run the same command again", exitInterrupted}
	}
	return errors.Join(a.notObtained(reports, failure), err)
}

// printObtained prints the certificates that there are, for people.
func (a *app) printObtained(reports []acmeReport, o acmeOptions) {
	between := "\n" // what stderr shows is above
	if a.quiet {
		between = ""
	}
	for _, r := range reports {
		if !r.good() {
			continue
		}
		fmt.Fprintf(a.out, "%sCertificate  %s\nPrivate key  %s  (keep it to yourself)\n", between, r.Cert, r.Key)
		if r.CertCopy != "" {
			fmt.Fprintf(a.out, "Copies       %s, %s\n", r.CertCopy, r.KeyCopy)
		}
		fmt.Fprintf(a.out, "Names        %s\nExpires      %s\n", r.Name, moment(r.NotAfter))
		trusted := ""
		if o.staging {
			trusted = ", whom no browser trusts"
		}
		fmt.Fprintf(a.out, "Signed by    %s (%s)%s\n", r.Issuer, r.Authority, trusted)
		between = "\n"
	}
}

// notObtained says for which names there is none, and what to do about each. A certificate
// that could not be renewed and is good still is no failure.
func (a *app) notObtained(reports []acmeReport, failure error) error {
	var last *acmeReport
	tell := func(r *acmeReport) {
		fmt.Fprintf(a.err, "rtcdev: %s: %s\n  next: %s\n", r.Name, r.Problem, r.Next)
	}
	for i := range reports {
		r := &reports[i]
		switch {
		case r.Problem == "":
		case r.good():
			a.warn("%s keeps the certificate that it has, until %s: %s\n  next: %s", r.Name, ending(r.NotAfter), r.Problem, r.Next)
		default:
			if last != nil {
				tell(last)
			}
			last = r
		}
	}
	if failure == nil {
		return nil
	}
	err := acmeFault(failure)
	var f *fault
	if last == nil || !errors.As(err, &f) {
		return err
	}
	exit := exitFailed
	if last.Kind == string(acmecert.PortTaken) {
		exit = exitPortTaken
	}
	return &fault{errors.New(last.Name + ": " + last.Problem), last.Next, exit}
}

// printACME is the part of status about certificates of ACME authorities.
func (a *app) printACME(reports []acmeReport) {
	if len(reports) == 0 {
		return
	}
	fmt.Fprintf(a.out, "\nCertificates for public names\n")
	for _, r := range reports {
		fmt.Fprintf(a.out, "  %s\n", strings.Join([]string{r.Name, a.acmeState(r), "from " + r.Authority}, "  "))
		if r.Problem == "" {
			continue
		}
		fmt.Fprintf(a.out, "      %s\n", a.bad.Sprint(failedAt(r)+r.Problem))
		fmt.Fprintf(a.out, "      next: %s\n", r.Next)
		if r.RetryAt.After(time.Now()) {
			fmt.Fprintf(a.out, "      rtcdev serve tries again at %s\n", moment(r.RetryAt))
		}
	}
}

// acmeState says in words how long a certificate is good.
func (a *app) acmeState(r acmeReport) string {
	switch {
	case r.NotAfter.IsZero():
		return a.bad.Sprint("has no certificate")
	case !r.good():
		return a.bad.Sprint("ended " + moment(r.NotAfter))
	}
	return a.good.Sprint("until "+ending(r.NotAfter)) + ", signed by " + r.Issuer
}

func failedAt(r acmeReport) string {
	what := "not renewed"
	if !r.good() {
		what = "failed"
	}
	if r.FailedAt.IsZero() {
		return what + ": "
	}
	return what + " at " + moment(r.FailedAt) + ": "
}

// whole is a path that is right wherever it is pasted.
func whole(path string) string {
	if abs, err := filepath.Abs(path); err == nil && path != "" {
		return abs
	}
	return path
}
