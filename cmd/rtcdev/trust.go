package main

import (
	"context"
	"crypto/x509"
	"errors"
	"fmt"
	"os"
	"slices"
	"strings"

	"github.com/spf13/cobra"

	"rtcdev/certs"
	"rtcdev/certs/trust"
)

func newTrustCmd(run func(ctx context.Context, kinds []string) error) *cobra.Command {
	return storesCmd(run, &cobra.Command{
		Use:   "trust",
		Short: "Make this machine trust your local authority",
		Long: `Add the root of your local authority to the certificate stores of this machine:
the system's, those of Chromium, Chrome and Firefox, and Java's. It shows what it
will touch and asks first; then it reads every store back, and the exit code is 4
unless each one trusts the root. Stores that only root may change are left alone
unless you name them. Undo it all with: rtcdev certs untrust

The stores:
  system   the operating system's own (curl, Go, Python …); under WSL, Windows' too
  nss      the databases of Chromium and Chrome on Linux
  firefox  the profiles of Firefox
  java     the keystore of the Java on PATH and of JAVA_HOME
  policy   files for administrators of Linux that do the same for browsers; used
           by root when certutil is not installed`,
		Example: `  rtcdev certs trust
  rtcdev certs trust --yes --stores nss,firefox`,
		Args: atMost(0, "no arguments"),
	})
}

func newUntrustCmd(run func(ctx context.Context, kinds []string) error) *cobra.Command {
	return storesCmd(run, &cobra.Command{
		Use:   "untrust",
		Short: "Undo trust: remove the authority from this machine's stores",
		Long: `Remove the root of your local authority from the certificate stores of this
machine, and every other root that an authority of rtcdev has left in them. What
trust had to make, such as a database for Chromium, goes too, unless it is in use.`,
		Args: atMost(0, "no arguments"),
	})
}

func storesCmd(run func(ctx context.Context, kinds []string) error, cmd *cobra.Command) *cobra.Command {
	var kinds []string
	known := trust.Kinds()
	cmd.Flags().StringSliceVar(&kinds, "stores", nil, "only these `stores`: "+strings.Join(known, ", "))
	cmd.RunE = func(cmd *cobra.Command, _ []string) error {
		for _, k := range kinds {
			if !slices.Contains(known, k) {
				return usage(cmd.CommandPath()+" --stores "+strings.Join(known, ","), "there is no kind of store called %q", k)
			}
		}
		return run(cmd.Context(), kinds)
	}
	return cmd
}

// machine describes this machine to package trust.
func machine() (trust.Machine, error) {
	m, err := trust.ThisMachine()
	if err != nil {
		return m, err
	}
	dir, err := home()
	if err != nil {
		return m, err
	}
	program, err := os.Executable()
	if err != nil {
		program = "rtcdev"
	}
	m.Journal = dir
	m.RootCommand = "sudo RTCDEV_HOME=" + quoted(dir)
	if m.JavaHome != "" { // which sudo would drop
		m.RootCommand += " JAVA_HOME=" + quoted(m.JavaHome)
	}
	m.RootCommand += " " + quoted(program) + " certs"
	return m, nil
}

// trust asks, makes the stores trust the authority, and reads them back.
func (a *app) trust(ctx context.Context, kinds []string) error {
	root, err := a.rootToTrust()
	if err != nil {
		return err
	}
	description, broken := describe()
	if errors.Is(broken, certs.ErrExpired) {
		return broken // no browser would take it
	}
	a.warnOfEnd(description)
	m, err := machine()
	if err != nil {
		return err
	}
	before := m.Status(ctx, root, kinds...)
	if canInstall(before) && !a.yes {
		if !a.interactive() {
			return &fault{errors.New("changing what this machine trusts needs a yes, and there is no terminal to ask on"), "rtcdev certs trust --yes", exitTrust}
		}
		if !a.askForTrust(root, before) {
			return &fault{errors.New("nothing was changed: the answer was not y"), "rtcdev certs trust", exitTrust}
		}
	}
	if canInstall(before) {
		a.note("Adding the root, and reading each store back…\n")
	}
	ctx, stop := interruptible(ctx)
	defer stop()
	done := m.Install(ctx, root, kinds...)
	if ctx.Err() != nil {
		return fmt.Errorf("interrupted; run `rtcdev certs status` to see what was done: %w", ctx.Err())
	}
	a.report(root, done, "trusted now", broken)
	a.nodeLine(m)
	if err := trustOutcome(done); err != nil {
		return err
	}
	return broken
}

// rootToTrust is the present root; without one an authority is made. The root
// alone is enough: with sudo the rest belongs to the person, not to us.
func (a *app) rootToTrust() (*x509.Certificate, error) {
	root, err := openRoot()
	if !errors.Is(err, certs.ErrNoAuthority) {
		return root, err
	}
	ca, _, err := a.authority(nil, false)
	if err != nil {
		return nil, err
	}
	return ca.Root(), nil
}

// untrust removes the authority from every store, and the roots that earlier
// authorities of ours have left in them.
func (a *app) untrust(ctx context.Context, kinds []string) error {
	m, err := machine()
	if err != nil {
		return err
	}
	ctx, stop := interruptible(ctx)
	defer stop()
	roots, err := rootsToRemove(ctx, m, kinds)
	if err != nil {
		return err
	}
	if len(roots) == 0 {
		return a.result(trustReport{Stores: []storeReport{}}, "There is no local authority, and no store trusts one of ours: there is nothing to undo.\n")
	}
	all, err := a.removeRoots(ctx, m, roots, kinds)
	if err != nil {
		return err
	}
	if a.json {
		if err := a.event(trustReport{Stores: storeReports(all)}); err != nil {
			return err
		}
	}
	return failures(all, "removing the authority from")
}

// removeRoots removes roots from the stores and prints what became of each.
func (a *app) removeRoots(ctx context.Context, m trust.Machine, roots []*x509.Certificate, kinds []string) ([]trust.Result, error) {
	if len(roots) > 0 {
		a.note("Removing the root, and reading each store back…\n")
	}
	var all []trust.Result
	for _, root := range roots {
		done := m.Remove(ctx, root, kinds...)
		if ctx.Err() != nil {
			return nil, fmt.Errorf("interrupted; run `rtcdev certs untrust` again: %w", ctx.Err())
		}
		for i := range done { // how to trust it again is not the next step here
			if done[i].Err == nil {
				done[i].Fix = ""
			}
		}
		if !a.json {
			if len(roots) > 1 {
				fmt.Fprintf(a.out, "Root %s\n", certs.FingerprintOf(root))
			}
			a.printStores(done, "removed")
		}
		all = append(all, done...)
	}
	return all, nil
}

// rootsToRemove lists the present root, if there is one, and those found in the
// stores.
func rootsToRemove(ctx context.Context, m trust.Machine, kinds []string) ([]*x509.Certificate, error) {
	var roots []*x509.Certificate
	present, presentErr := openRoot()
	if presentErr == nil {
		roots = append(roots, present)
	}
	found, foundErr := m.Roots(ctx, kinds...)
	for _, root := range found {
		if !slices.ContainsFunc(roots, root.Equal) {
			roots = append(roots, root)
		}
	}
	switch {
	case len(roots) > 0:
		return roots, nil // Remove meets the stores' troubles again, one by one
	case !errors.Is(presentErr, certs.ErrNoAuthority):
		return nil, presentErr
	}
	return nil, foundErr // a store that could not be read may hold one
}
