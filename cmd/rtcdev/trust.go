package main

import (
	"context"
	"errors"
	"fmt"
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
	Trusted     bool          `json:"trusted"` // by the browsers of this account
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
		Args: cobra.NoArgs,
	})
}

func newUntrustCmd(run func(ctx context.Context, kinds []string) error) *cobra.Command {
	return storesCmd(run, &cobra.Command{
		Use:   "untrust",
		Short: "Undo trust: remove the authority from this machine's stores",
		Args:  cobra.NoArgs,
	})
}

func newStatusCmd(run func(ctx context.Context, kinds []string) error) *cobra.Command {
	return storesCmd(run, &cobra.Command{
		Use:   "status",
		Short: "Say which of this machine's stores trust your local authority",
		Args:  cobra.NoArgs,
	})
}

func storesCmd(run func(ctx context.Context, kinds []string) error, cmd *cobra.Command) *cobra.Command {
	var kinds []string
	known := []string{trust.KindSystem, trust.KindNSS}
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
	m.RootCommand = "sudo RTCDEV_HOME=" + quoted(dir) + " " + quoted(program) + " certs"
	return m, nil
}

// trust asks, makes the stores trust the authority, and reads them back.
func (a *app) trust(ctx context.Context, kinds []string) error {
	ca, _, err := a.authority(nil, false)
	if err != nil {
		return err
	}
	m, err := machine()
	if err != nil {
		return err
	}
	before := m.Status(ctx, ca.Root(), kinds...)
	if canInstall(before) && !a.yes {
		if !a.interactive() {
			return &fault{errors.New("changing what this machine trusts needs a yes, and there is no terminal to ask on"), "rtcdev certs trust --yes", exitTrust}
		}
		if !a.askForTrust(ca, before) {
			return &fault{errors.New("nothing was changed: the answer was not y"), "rtcdev certs trust", exitTrust}
		}
	}
	ctx, stop := interruptible(ctx)
	defer stop()
	done := m.Install(ctx, ca.Root(), kinds...)
	if ctx.Err() != nil {
		return fmt.Errorf("interrupted; run `rtcdev certs status` to see what was done: %w", ctx.Err())
	}
	if err := a.printStores(ca, done, true); err != nil {
		return err
	}
	return trustOutcome(done)
}

// untrust removes the authority from every store.
func (a *app) untrust(ctx context.Context, kinds []string) error {
	ca, err := existingAuthority()
	if errors.Is(err, certs.ErrNoAuthority) {
		return a.result(trustReport{Stores: []storeReport{}}, "There is no local authority, so there is nothing to undo.\n")
	}
	if err != nil {
		return err
	}
	m, err := machine()
	if err != nil {
		return err
	}
	ctx, stop := interruptible(ctx)
	defer stop()
	done := m.Remove(ctx, ca.Root(), kinds...)
	if ctx.Err() != nil {
		return fmt.Errorf("interrupted; run `rtcdev certs untrust` again: %w", ctx.Err())
	}
	if err := a.printStores(ca, done, false); err != nil {
		return err
	}
	return failures(done, "removing the authority from")
}

// status reads every store and changes none.
func (a *app) status(ctx context.Context, kinds []string) error {
	ca, err := existingAuthority()
	if err != nil {
		return err
	}
	m, err := machine()
	if err != nil {
		return err
	}
	ctx, stop := interruptible(ctx)
	defer stop()
	if err := a.printStores(ca, m.Status(ctx, ca.Root(), kinds...), true); err != nil {
		return err
	}
	return ctx.Err()
}

// canInstall reports whether there is a store that we could change.
func canInstall(stores []trust.Result) bool {
	return slices.ContainsFunc(stores, changeable)
}

func changeable(r trust.Result) bool {
	return r.State == trust.StateAbsent && !r.NeedsRoot
}

// askForTrust shows what would be touched and asks.
func (a *app) askForTrust(ca *certs.Authority, stores []trust.Result) bool {
	fmt.Fprintf(a.err, "Browsers warn about certificates of an authority they do not know. rtcdev can add\nyours to:\n\n")
	for _, r := range stores {
		if changeable(r) {
			fmt.Fprintf(a.err, "  %s\n", r.Store)
		}
	}
	fmt.Fprintf(a.err, "\nIts root has the SHA-256 fingerprint\n  %s\n", ca.Fingerprint())
	if !ca.Unconstrained() {
		fmt.Fprintf(a.err, "and it can only speak for names and addresses of your own network (localhost,\n.local, .test, 192.168.x.x …), never for other sites.\n")
	}
	fmt.Fprintf(a.err, "Undo it at any time with: rtcdev certs untrust\n\n")
	return a.ask("Trust it on this machine?")
}

// printStores prints a line a store, with the reason and the next step where
// there is one.
func (a *app) printStores(ca *certs.Authority, stores []trust.Result, wanted bool) error {
	trusted := trust.Trusted(stores)
	if a.json {
		r := trustReport{Fingerprint: ca.Fingerprint(), Trusted: trusted, Stores: storeReports(stores)}
		if wanted {
			r.Next = trustNext(trusted, stores)
		}
		return a.event(r)
	}
	width := 0
	for _, r := range stores {
		width = max(width, len(r.Store))
	}
	for _, r := range stores {
		state := string(r.State)
		switch {
		case r.Err != nil:
			state = a.bad.Sprint("failed: " + r.Err.Error())
		case r.State == trust.StateTrusted:
			state = a.good.Sprint(state)
		}
		if r.Err == nil && r.Reason != "" {
			state += ": " + r.Reason
		}
		fmt.Fprintf(a.out, "%-*s  %s\n", width, r.Store, state)
		if fix := fixOf(r); fix != "" {
			fmt.Fprintf(a.out, "%-*s  next: %s\n", width, "", fix)
		}
		if r.Note != "" && r.Err == nil {
			fmt.Fprintf(a.out, "%-*s  %s\n", width, "", r.Note)
		}
	}
	return nil
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
	for _, r := range stores {
		if r.Browser && r.State == trust.StateUnavailable && r.Fix != "" {
			return r.Fix
		}
	}
	return "rtcdev certs trust"
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
