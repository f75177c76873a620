package main

import (
	"context"
	"crypto/x509"
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/spf13/cobra"

	"rtcdev/certs"
	"rtcdev/certs/trust"
)

type authorityOptions struct {
	permit        []string
	unconstrained bool
	kinds         []string
}

// again is the same command, for an error to name.
func (o authorityOptions) again(more string) string {
	next := withStores("rtcdev certs new-authority", o.kinds)
	if len(o.permit) > 0 {
		next += " --permit " + quoted(strings.Join(o.permit, ","))
	}
	if o.unconstrained {
		next += " --unconstrained"
	}
	return next + more
}

func newAuthorityCmd(run func(context.Context, authorityOptions) error) *cobra.Command {
	var o authorityOptions
	cmd := storesCmd(func(ctx context.Context, kinds []string) error {
		o.kinds = kinds
		return run(ctx, o)
	}, &cobra.Command{
		Use:   "new-authority",
		Short: "Replace your local authority by a new one",
		Long: `Make a new local authority and retire the old one: its key is deleted, and its
root is removed from the certificate stores of this machine, with every other root
that an authority of rtcdev has left there. Do this when the old one ends, is
damaged, may sign for other names than you need, or when somebody else may have its
key. It asks first.

Afterwards every device has to trust the new root; this machine does with
rtcdev certs trust. Delete the old root on phones and other computers: they trust it
until you do. Certificates that the old authority signed are void, and a running
rtcdev serve has to be started again.`,
		Example: `  rtcdev certs new-authority
  rtcdev certs new-authority --permit example.org`,
		Args: atMost(0, "no arguments"),
	})
	cmd.Flags().StringSliceVar(&o.permit, "permit", nil, "let it sign for this `name` (and below), address or range too")
	cmd.Flags().BoolVar(&o.unconstrained, "unconstrained", false, "let it sign for every name (dangerous)")
	return cmd
}

// newAuthority replaces the authority first: if that fails, nothing has changed,
// and a root that is still in a store after it was interrupted is found there.
func (a *app) newAuthority(ctx context.Context, o authorityOptions) error {
	dir, err := authorityDir()
	if err != nil {
		return err
	}
	m, err := machine()
	if err != nil {
		return err
	}
	options := certs.Options{Hostname: hostname(), Permit: o.permit, Unconstrained: o.unconstrained}
	if err := options.Validate(); err != nil { // before the question
		return certsFault(err)
	}
	before, trouble := certs.Describe(dir)
	var old *x509.Certificate
	if root, err := certs.OpenRoot(dir); err == nil {
		old = root
	}
	roots := a.rootsBefore(ctx, m, old, o.kinds)
	if len(roots) > 0 || !errors.Is(trouble, certs.ErrNoAuthority) {
		if err := a.agreeToReplace(before, len(roots), o); err != nil {
			return err
		}
	}
	ca, err := certs.Replace(dir, old, options)
	if err != nil {
		return certsFault(fmt.Errorf("replacing the local authority: %w", err))
	}
	after, err := certs.Describe(dir)
	if err != nil {
		return fmt.Errorf("reading the new authority: %w", err)
	}
	if !a.json {
		a.describe(after)
		a.noteLost(before, after)
		fmt.Fprintln(a.out)
	}
	ctx, stop := interruptible(ctx)
	defer stop()
	return a.retire(ctx, m, ca, slices.DeleteFunc(roots, ca.Root().Equal), o, after)
}

// rootsBefore lists the old root, if it could be read, and those in the stores.
func (a *app) rootsBefore(ctx context.Context, m trust.Machine, old *x509.Certificate, kinds []string) []*x509.Certificate {
	roots, err := m.Roots(ctx, kinds...)
	if err != nil { // Remove meets the trouble again, if the old root is there
		a.note("Looking for old roots: %s\n", err)
	}
	if old != nil && !slices.ContainsFunc(roots, old.Equal) {
		roots = append(roots, old)
	}
	return roots
}

// agreeToReplace asks whether the authority may be replaced and roots be removed.
func (a *app) agreeToReplace(present certs.Description, roots int, o authorityOptions) error {
	if a.yes {
		return nil
	}
	if !a.interactive() {
		return &fault{errors.New("replacing the authority needs a yes, and there is no terminal to ask on"), o.again(" --yes"), exitUsage}
	}
	if present.Name != "" {
		fmt.Fprintf(a.err, "The present authority is\n  %s\n\n", present.Name)
	}
	fmt.Fprintf(a.err, "If you replace it\n"+
		"  - its key is deleted, and every certificate that it signed is void\n"+
		"  - its root is removed from this machine's stores, with any other of rtcdev (found: %d)\n"+
		"  - a running rtcdev serve has to be started again\n"+
		"  - other devices have to trust the new root; delete the old one there yourself\n\n", roots)
	if o.unconstrained {
		fmt.Fprintf(a.err, "The new one will have no name constraints: whoever gets its key can pretend to be\nANY site to you.\n\n")
	}
	if !a.ask("Replace it?") {
		return &fault{errors.New("nothing was changed: the answer was not y"), o.again(""), exitFailed}
	}
	return nil
}

// noteLost names what the old authority could sign for and the new one cannot.
func (a *app) noteLost(before, after certs.Description) {
	var lost []string
	for _, name := range slices.Concat(before.DNS, before.IP) {
		if !slices.Contains(after.DNS, name) && !slices.Contains(after.IP, name) && !after.Unconstrained {
			lost = append(lost, name)
		}
	}
	if lost != nil {
		a.note("\nUnlike the old one it may not sign for %s. If it should:\n  rtcdev certs new-authority --permit %s\n",
			strings.Join(lost, ", "), strings.Join(lost, ","))
	}
}

// retire removes the old roots from the stores.
func (a *app) retire(ctx context.Context, m trust.Machine, ca *certs.Authority, roots []*x509.Certificate, o authorityOptions, d certs.Description) error {
	removed, err := a.removeRoots(ctx, m, roots, o.kinds, "rtcdev certs untrust")
	if err != nil {
		return err
	}
	if a.json {
		r := trustReport{Fingerprint: ca.Fingerprint(), Next: "rtcdev certs trust", Stores: storeReports(removed), Authority: &d}
		if err := a.event(r); err != nil {
			return err
		}
	}
	if err := failures(removed, "the new authority is in place, but removing the old root from"); err != nil || a.json {
		return err
	}
	fmt.Fprintf(a.out, "\nNothing trusts the new authority yet.\n  next: rtcdev certs trust\n")
	return nil
}
