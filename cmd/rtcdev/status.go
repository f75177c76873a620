package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"rtcdev/certs"
	"rtcdev/certs/acmecert"
	"rtcdev/certs/trust"
)

func newStatusCmd(run func(ctx context.Context, kinds []string) error) *cobra.Command {
	return storesCmd(run, &cobra.Command{
		Use:   "status",
		Short: "Describe your local authority, and say which stores trust it",
		Long: `Describe your local authority, and say for every certificate store of this
machine whether it trusts the authority's root. Each store is read; none is
changed. Certificates for public names, of serve --acme and certs acme, come last.`,
		Args: atMost(0, "no arguments"),
	})
}

// status reads every store and changes none. A fault of the authority itself is
// its error, after the stores.
func (a *app) status(ctx context.Context, kinds []string) error {
	m, err := machine()
	if err != nil {
		return err
	}
	ctx, stop := interruptible(ctx)
	defer stop()
	acme, unread := readACME()
	root, err := openRoot()
	if err != nil {
		return a.statusWithoutRoot(ctx, m, kinds, err, acme, unread)
	}
	description, fault := describe()
	stores := m.Status(ctx, root, kinds...)
	if ctx.Err() != nil {
		return ctx.Err()
	}
	if a.json {
		r := newTrustReport(root, stores, fault)
		r.Authority, r.Node, r.ACME = &description, m.NodeSetting(rootFile(description)), acme
		return errors.Join(a.event(r), fault, unread)
	}
	a.describe(description)
	a.warnOfEnd(description)
	fmt.Fprintln(a.out)
	a.printStores(stores, "")
	a.nodeLine(m)
	if trusted := trust.Trusted(stores); !trusted && kinds == nil && fault == nil {
		fmt.Fprintf(a.out, "\nBrowsers on this machine do not trust it.\n  next: %s\n", trustNext(trusted, stores))
	}
	a.printACME(acme)
	return errors.Join(fault, unread)
}

// readACME reads what there is of certificates for public names.
func readACME() ([]acmeReport, error) {
	dir, err := acmeDir()
	if err != nil {
		return nil, err
	}
	states, err := acmecert.ReadStates(dir)
	if err != nil {
		err = fmt.Errorf("reading the certificates for public names: %w", err)
	}
	return acmeReports(states), err
}

// statusWithoutRoot shows which stores hold roots of authorities that are gone, and
// returns what keeps the present one from being read. Who has certificates for public names
// alone, and needs none, has done nothing wrong.
func (a *app) statusWithoutRoot(ctx context.Context, m trust.Machine, kinds []string, missing error, acme []acmeReport, unread error) error {
	stores := m.Orphans(ctx, kinds...)
	if ctx.Err() != nil {
		return ctx.Err()
	}
	held := slices.ContainsFunc(stores, func(r trust.Result) bool { return r.State == trust.StateStale })
	if held {
		missing = &fault{fmt.Errorf("%w, but some stores still trust an earlier one", missing), withStores("rtcdev certs untrust", kinds), exitFailed}
	}
	if !held && len(acme) > 0 && errors.Is(missing, certs.ErrNoAuthority) {
		missing = nil
	}
	if a.json {
		r := trustReport{Stores: storeReports(stores), ACME: acme}
		if missing != nil {
			r.Fault, r.Next = missing.Error(), nextStep(missing)
		}
		return errors.Join(a.event(r), missing, unread)
	}
	if missing == nil {
		fmt.Fprintf(a.out, "There is no local authority, and no store trusts an earlier one.\n")
	} else {
		a.printStores(stores, "")
	}
	a.printACME(acme)
	return errors.Join(missing, unread)
}

// describe describes the present authority and says what is wrong with it. With
// sudo it is another user's, and not for us to judge.
func describe() (certs.Description, error) {
	dir, err := authorityDir()
	if err != nil {
		return certs.Description{}, err
	}
	description, err := certs.Describe(dir)
	if os.Geteuid() == 0 && errors.Is(err, certs.ErrNotOwner) {
		err = nil
	}
	return description, err
}

// describe prints an authority, for people.
func (a *app) describe(d certs.Description) {
	fmt.Fprintf(a.out, "Authority    %s\nRoot         SHA-256 %s\n", d.Name, d.Fingerprint)
	if d.Unconstrained {
		fmt.Fprintf(a.out, "Speaks for   %s\n", a.bad.Sprint("every name there is: it has no name constraints"))
	} else {
		fmt.Fprintf(a.out, "Speaks for   %s, and names below these\n             %s\n", strings.Join(d.DNS, ", "), strings.Join(d.IP, ", "))
	}
	fmt.Fprintf(a.out, "Ends         %s\nKey          %s\nFolder       %s\n", d.NotAfter.Local().Format(time.DateOnly), a.keyState(d.Key), d.Folder)
}

// keyState says in words what the state of the intermediate's key means.
func (a *app) keyState(state certs.KeyState) string {
	switch state {
	case certs.KeyOK:
		return "in order: only you can read it"
	case certs.KeyForeign:
		return "another user's, as it should be with sudo, and otherwise not"
	case certs.KeyExposed:
		return a.bad.Sprint("exposed: other users can read or change it")
	case certs.KeyMismatched:
		return a.bad.Sprint("does not belong to this authority")
	}
	return a.bad.Sprint(string(state))
}

// warnOfEnd says that an authority ends soon, while there is time to replace it.
func (a *app) warnOfEnd(d certs.Description) {
	if d.EndsSoon && d.NotAfter.After(time.Now()) {
		a.warn("your local authority ends on %s, and no device trusts it after that.\n  next: rtcdev certs new-authority\n",
			d.NotAfter.Local().Format(time.DateOnly))
	}
}

// rootFile is the file with the root, for programs that are told its name.
func rootFile(d certs.Description) string { return filepath.Join(d.Folder, "root.pem") }

// nodeLine says how Node.js comes to trust the root, where there is one.
func (a *app) nodeLine(m trust.Machine) {
	dir, err := authorityDir()
	if err != nil || a.json {
		return
	}
	if setting := m.NodeSetting(rootFile(certs.Description{Folder: dir})); setting != "" {
		a.note("\nNode.js reads none of these. Before you start it:\n  %s\n", setting)
	}
}
