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
}

func newAuthorityCmd(run func(context.Context, authorityOptions) error) *cobra.Command {
	var o authorityOptions
	cmd := &cobra.Command{
		Use:   "new-authority",
		Short: "Replace your local authority by a new one",
		Long: `Make a new local authority and retire the old one: its key is deleted, and its
root is removed from the certificate stores of this machine. Do this when the old
one ends, is damaged, may sign for other names than you need, or when somebody else
may have its key. It asks first.

Every device has to trust the new root anew; this machine does after
rtcdev certs trust. Certificates that the old one signed are no longer accepted,
and a running rtcdev serve has to be started again.`,
		Example: `  rtcdev certs new-authority
  rtcdev certs new-authority --permit example.org`,
		Args: atMost(0, "no arguments"),
		RunE: func(cmd *cobra.Command, _ []string) error { return run(cmd.Context(), o) },
	}
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
	before, trouble := certs.Describe(dir)
	if err := a.agreeToReplace(before, trouble); err != nil {
		return err
	}
	var old *x509.Certificate
	if root, err := certs.OpenRoot(dir); err == nil {
		old = root
	}
	ca, err := certs.Replace(dir, old, certs.Options{Hostname: hostname(), Permit: o.permit, Unconstrained: o.unconstrained})
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
	return a.retire(ctx, m, ca, old, after)
}

// agreeToReplace asks whether the authority may be replaced. Where there is none,
// nothing is lost.
func (a *app) agreeToReplace(present certs.Description, trouble error) error {
	if errors.Is(trouble, certs.ErrNoAuthority) || a.yes {
		return nil
	}
	if !a.interactive() {
		return &fault{errors.New("replacing the authority needs a yes, and there is no terminal to ask on"), "rtcdev certs new-authority --yes", exitUsage}
	}
	fmt.Fprintf(a.err, "The present authority, %s,\nwill be gone for good: every device that trusts it has to trust the new one.\n\n", present.Name)
	if !a.ask("Replace it?") {
		return &fault{errors.New("nothing was changed: the answer was not y"), "rtcdev certs new-authority", exitFailed}
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

// retire removes every root of ours but the new one from the stores.
func (a *app) retire(ctx context.Context, m trust.Machine, ca *certs.Authority, old *x509.Certificate, d certs.Description) error {
	roots, err := m.Roots(ctx)
	if err != nil {
		a.note("Looking for old roots: %s\n", err)
	}
	if old != nil && !slices.ContainsFunc(roots, old.Equal) {
		roots = append(roots, old)
	}
	roots = slices.DeleteFunc(roots, ca.Root().Equal)
	removed, err := a.removeRoots(ctx, m, roots, nil)
	if err != nil {
		return err
	}
	if a.json {
		r := trustReport{Fingerprint: ca.Fingerprint(), Next: "rtcdev certs trust", Stores: storeReports(removed), Authority: &d}
		if err := a.event(r); err != nil {
			return err
		}
	} else {
		fmt.Fprintf(a.out, "\nNothing trusts the new authority yet.\n  next: rtcdev certs trust\n")
	}
	return failures(removed, "removing the old authority from")
}
