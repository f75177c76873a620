package main

import (
	"context"
	"crypto/x509"
	"errors"
	"fmt"
	"net"
	"os"
	"slices"
	"strings"

	"github.com/spf13/cobra"

	"rtcdev/certs"
	"rtcdev/certs/trust"
)

// trustReport is what trust, untrust and status print with --json, and serve
// as its second event.
type trustReport struct {
	Event       string        `json:"event,omitempty"`
	Fingerprint string        `json:"rootFingerprint,omitempty"`
	Trusted     bool          `json:"trusted"`         // by the browsers of this account
	Fault       string        `json:"fault,omitempty"` // what is wrong with the authority itself
	Next        string        `json:"next,omitempty"`
	Stores      []storeReport `json:"stores"`
}

// storeReport adds a store's error as text, which JSON would leave out.
type storeReport struct {
	trust.Result
	Error string `json:"error,omitempty"`
}

func storeReports(stores []trust.Result) []storeReport {
	reports := make([]storeReport, len(stores))
	for i, r := range stores {
		reports[i].Result = r
		if r.Err != nil {
			reports[i].Error = r.Err.Error()
			reports[i].Fix = nextStep(r.Err)
		}
	}
	return reports
}

func newTrustCmd(run func(ctx context.Context, kinds []string) error) *cobra.Command {
	return storesCmd(run, &cobra.Command{
		Use:   "trust",
		Short: "Make this machine trust your local authority",
		Long: `Add the root of your local authority to the certificate stores of this machine.
It shows what it will touch and asks first. Undo it with: rtcdev certs untrust`,
		Args: atMost(0, "no arguments"),
	})
}

func newUntrustCmd(run func(ctx context.Context, kinds []string) error) *cobra.Command {
	return storesCmd(run, &cobra.Command{
		Use:   "untrust",
		Short: "Undo trust: remove the authority from this machine's stores",
		Long: `Remove the root of your local authority from the certificate stores of this
machine, and every other root that an authority of rtcdev has left in them.`,
		Args: atMost(0, "no arguments"),
	})
}

func newStatusCmd(run func(ctx context.Context, kinds []string) error) *cobra.Command {
	return storesCmd(run, &cobra.Command{
		Use:   "status",
		Short: "Say which of this machine's stores trust your local authority",
		Args:  atMost(0, "no arguments"),
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
	m.RootCommand = "sudo RTCDEV_HOME=" + quoted(dir) + " " + quoted(program) + " certs"
	return m, nil
}

// trust asks, makes the stores trust the authority, and reads them back.
func (a *app) trust(ctx context.Context, kinds []string) error {
	root, err := a.rootToTrust()
	if err != nil {
		return err
	}
	broken := authorityFault()
	if errors.Is(broken, certs.ErrExpired) {
		return broken // no browser would take it
	}
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
	ctx, stop := interruptible(ctx)
	defer stop()
	done := m.Install(ctx, root, kinds...)
	if ctx.Err() != nil {
		return fmt.Errorf("interrupted; run `rtcdev certs status` to see what was done: %w", ctx.Err())
	}
	a.report(root, done, "trusted now", broken)
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

// authorityFault is what is wrong with the present authority as a whole. With
// sudo it is another user's, and not for us to judge.
func authorityFault() error {
	dir, err := authorityDir()
	if err != nil {
		return err
	}
	_, err = certs.Open(dir)
	if os.Geteuid() == 0 && errors.Is(err, certs.ErrNotOwner) {
		return nil
	}
	return err
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
	var all []trust.Result
	for _, root := range roots {
		done := m.Remove(ctx, root, kinds...)
		if ctx.Err() != nil {
			return fmt.Errorf("interrupted; run `rtcdev certs untrust` again: %w", ctx.Err())
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
	if a.json {
		if err := a.event(trustReport{Stores: storeReports(all)}); err != nil {
			return err
		}
	}
	return failures(all, "removing the authority from")
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

// status reads every store and changes none. A fault of the authority itself is
// its error, after the stores.
func (a *app) status(ctx context.Context, kinds []string) error {
	root, err := openRoot()
	if err != nil {
		return err
	}
	fault := authorityFault()
	m, err := machine()
	if err != nil {
		return err
	}
	ctx, stop := interruptible(ctx)
	defer stop()
	stores := m.Status(ctx, root, kinds...)
	if ctx.Err() != nil {
		return ctx.Err()
	}
	a.report(root, stores, "", fault)
	if trusted := trust.Trusted(stores); !a.json && !trusted && kinds == nil && fault == nil {
		fmt.Fprintf(a.out, "\nBrowsers on this machine do not trust it.\n  next: %s\n", trustNext(trusted, stores))
	}
	return fault
}

// canInstall reports whether there is a store that we could change.
func canInstall(stores []trust.Result) bool {
	return slices.ContainsFunc(stores, changeable)
}

func changeable(r trust.Result) bool {
	return (r.State == trust.StateAbsent || r.State == trust.StateStale) && !r.NeedsRoot
}

// askForTrust shows what would be touched and asks.
func (a *app) askForTrust(root *x509.Certificate, stores []trust.Result) bool {
	fmt.Fprint(a.err, "Browsers warn about certificates of an authority they do not know. rtcdev can make\nthese trust yours:\n\n")
	for _, r := range stores {
		if changeable(r) {
			fmt.Fprintf(a.err, "  %s\n", storeLabel(r))
		}
	}
	fmt.Fprintf(a.err, "\n%s\nIts root has the SHA-256 fingerprint\n  %s\nUndo it at any time with: rtcdev certs untrust\n\n", reach(root), certs.FingerprintOf(root))
	return a.ask("Trust it on this machine?")
}

// reach says for which names the authority can speak, from the root itself.
func reach(root *x509.Certificate) string {
	if len(root.PermittedDNSDomains)+len(root.PermittedIPRanges) == 0 {
		return "It has no name constraints: whoever gets its key can pretend to be ANY site to you."
	}
	names := strings.Join(root.PermittedDNSDomains, ", ")
	addresses := "private addresses"
	for _, r := range root.PermittedIPRanges {
		if ip := r.IP; !ip.IsPrivate() && !ip.IsLoopback() && !ip.IsLinkLocalUnicast() && !sharedAddresses().Contains(ip) {
			addresses += ", " + r.String()
		}
	}
	return "It can only speak for " + names + ",\nnames below these, and " + addresses + "."
}

// sharedAddresses is the range between a provider and its customers (RFC 6598),
// which net.IP.IsPrivate leaves out.
func sharedAddresses() *net.IPNet {
	return &net.IPNet{IP: net.IPv4(100, 64, 0, 0).To4(), Mask: net.CIDRMask(10, 32)}
}

// storeLabel says whose store it is.
func storeLabel(r trust.Result) string {
	switch {
	case r.Browser != "":
		return r.Store + "  (" + r.Browser + ")"
	case r.Kind == trust.KindSystem:
		return r.Store + "  (curl and other programs)"
	}
	return r.Store
}

// report prints the stores that are to trust root: lines, or one JSON object.
func (a *app) report(root *x509.Certificate, stores []trust.Result, changed string, fault error) {
	if !a.json {
		a.printStores(stores, changed)
		return
	}
	trusted := trust.Trusted(stores)
	r := trustReport{
		Fingerprint: certs.FingerprintOf(root), Trusted: trusted,
		Next: trustNext(trusted, stores), Stores: storeReports(stores),
	}
	if fault != nil {
		r.Fault, r.Next = fault.Error(), nextStep(fault)
	}
	_ = a.event(r) // a.out remembers what could not be written
}

// printStores prints a line a store, with the reason and the next step where
// there is one. changed is the word for a store that was changed.
func (a *app) printStores(stores []trust.Result, changed string) {
	width := 0
	for _, r := range stores {
		width = max(width, len(storeLabel(r)))
	}
	for _, r := range stores {
		if r.State == trust.StateUnused && !a.verbose {
			continue // nobody reads it
		}
		fmt.Fprintf(a.out, "%-*s  %s\n", width, storeLabel(r), a.storeState(r, changed))
		if fix := fixOf(r); fix != "" {
			fmt.Fprintf(a.out, "%-*s  next: %s\n", width, "", fix)
		}
		if r.Note != "" && r.Err == nil {
			fmt.Fprintf(a.out, "%-*s  %s\n", width, "", r.Note)
		}
	}
}

func (a *app) storeState(r trust.Result, changed string) string {
	switch {
	case r.Err != nil:
		return a.bad.Sprint("failed: " + r.Err.Error())
	case r.Changed:
		return a.good.Sprint(changed)
	case r.State == trust.StateTrusted:
		return a.good.Sprint("trusted")
	case r.Reason != "":
		return string(r.State) + ": " + r.Reason
	}
	return string(r.State)
}

func fixOf(r trust.Result) string {
	if r.Err != nil {
		return nextStep(r.Err)
	}
	return r.Fix
}

// trustNext is the command that makes this account's browsers trust the
// authority; empty when they do.
func trustNext(trusted bool, stores []trust.Result) string {
	if trusted {
		return ""
	}
	const trustIt = "rtcdev certs trust"
	for _, r := range stores {
		if r.Browser != "" && r.State == trust.StateUnavailable && r.Fix != "" {
			return r.Fix + ", then " + trustIt
		}
	}
	return trustIt
}

// trustOutcome is the error of a command that was to make stores trust the
// authority.
func trustOutcome(done []trust.Result) error {
	return failures(done, "adding the authority to")
}

// failures turns the stores that are not as asked into one error.
func failures(done []trust.Result, doing string) error {
	var names []string
	next := ""
	for _, r := range done {
		if r.Err != nil {
			names = append(names, r.Store)
			if next == "" {
				next = nextStep(r.Err)
			}
		}
	}
	if names == nil {
		return nil
	}
	return &fault{fmt.Errorf("%s these stores failed: %s", doing, strings.Join(names, ", ")), next, exitTrust}
}
