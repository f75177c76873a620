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
will touch and asks first; then it reads each store back, and the exit code is 4
if one of them does not trust the root. Stores that only root may change are left
alone, unless you name them. Undo it all with: rtcdev certs untrust

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
	check := storesFlag(cmd, &kinds, "only these `stores`")
	cmd.RunE = func(cmd *cobra.Command, _ []string) error {
		if err := check(); err != nil {
			return err
		}
		return run(cmd.Context(), kinds)
	}
	return cmd
}

// storesFlag gives cmd the flag --stores; check is for what it was set to.
func storesFlag(cmd *cobra.Command, kinds *[]string, about string) (check func() error) {
	known := trust.Kinds()
	cmd.Flags().StringSliceVar(kinds, "stores", nil, about+": "+strings.Join(known, ", "))
	return func() error {
		next := cmd.CommandPath() + " --stores " + strings.Join(known, ",")
		if cmd.Flags().Changed("stores") && len(*kinds) == 0 { // an unset variable, perhaps: it must not mean all
			return usage(next, "--stores names no store")
		}
		for _, k := range *kinds {
			if !slices.Contains(known, k) {
				return usage(next, "there is no kind of store called %q", k)
			}
		}
		return nil
	}
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

// withStores is a command with the person's own choice of stores.
func withStores(command string, kinds []string) string {
	if len(kinds) == 0 {
		return command
	}
	return command + " --stores " + strings.Join(kinds, ",")
}

// interrupted is the error of a command that ended at Ctrl-C. A part of its work
// may be done.
func interrupted(next string) error {
	return &fault{errors.New("interrupted; some stores may have been changed"), next, exitInterrupted}
}

// trust asks, makes the stores trust the authority, and reads them back.
func (a *app) trust(ctx context.Context, kinds []string) error {
	next := withStores("rtcdev certs trust", kinds)
	noYes := &fault{errors.New("changing what this machine trusts needs a yes, and there is no terminal to ask on"), next + " --yes", exitTrust}
	root, err := a.rootToTrust(noYes)
	if err != nil {
		return err
	}
	description, broken := describe()
	if broken != nil { // nothing comes to trust what may be somebody else's, or works no more
		return fmt.Errorf("looking at the local authority: %w", broken)
	}
	a.warnOfEnd(description)
	m, err := machine()
	if err != nil {
		return err
	}
	before := m.Status(ctx, root, kinds...)
	if canInstall(before) && !a.yes {
		if !a.interactive() {
			return noYes
		}
		if !a.askForTrust(root, before) {
			return &fault{errors.New("nothing was changed: the answer was not y"), next, exitTrust}
		}
	}
	ctx, stop := interruptible(ctx)
	defer stop()
	if canInstall(before) {
		a.note("Adding the root, and reading each store back…\n")
	}
	done := m.Install(ctx, root, kinds...)
	if ctx.Err() != nil {
		return interrupted("rtcdev certs status")
	}
	a.report(root, done, "trusted now", nil)
	a.nodeLine(m)
	return trustOutcome(done)
}

// rootToTrust is the present root; without one an authority is made, unless nobody
// can say yes to it. The root alone is read: with sudo the rest belongs to the
// person, not to us.
func (a *app) rootToTrust(noYes error) (*x509.Certificate, error) {
	root, err := openRoot()
	if !errors.Is(err, certs.ErrNoAuthority) {
		return root, err
	}
	if !a.yes && !a.interactive() {
		return nil, noYes
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
	all, err := a.removeRoots(ctx, m, roots, kinds, "rtcdev certs untrust")
	if err != nil {
		return err
	}
	if a.json {
		if err := a.event(trustReport{Stores: storeReports(all)}); err != nil {
			return err
		}
	}
	if err := failures(all, "removing the authority from"); err != nil || a.json {
		return err
	}
	if kinds == nil && !slices.ContainsFunc(all, unseen) {
		fmt.Fprintf(a.out, "Nothing on this machine trusts an authority of rtcdev now.\n")
		a.note("The authority itself stays in %s; other devices trust it\nuntil you delete its root there.\n", m.Journal)
	}
	return nil
}

// removeRoots removes roots from the stores and prints what became of each. again
// is the command that goes on after an interruption.
func (a *app) removeRoots(ctx context.Context, m trust.Machine, roots []*x509.Certificate, kinds []string, again string) ([]trust.Result, error) {
	var all []trust.Result
	for _, root := range roots {
		a.note("Removing the root of %q…\n", root.Subject.CommonName) // quoted: it was read from a store
		done := m.Remove(ctx, root, kinds...)
		if ctx.Err() != nil {
			return nil, interrupted(withStores(again, kinds))
		}
		for i := range done { // how to trust it again is not the next step here
			if done[i].Err == nil {
				done[i].Fix = ""
			}
		}
		if !a.json {
			a.printRemoved(done)
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
