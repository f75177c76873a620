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
	"rtcdev/certs/trust"
)

func newStatusCmd(run func(ctx context.Context, kinds []string) error) *cobra.Command {
	return storesCmd(run, &cobra.Command{
		Use:   "status",
		Short: "Describe your local authority, and say which stores trust it",
		Long: `Describe your local authority, and say for every certificate store of this
machine whether it trusts the authority's root. Each store is read; none is
changed.`,
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
	root, err := openRoot()
	if err != nil {
		return a.statusWithoutRoot(ctx, m, kinds, err)
	}
	description, fault := describe()
	stores := m.Status(ctx, root, kinds...)
	if ctx.Err() != nil {
		return ctx.Err()
	}
	if a.json {
		r := newTrustReport(root, stores, fault)
		r.Authority, r.Node = &description, m.NodeSetting(rootFile(description))
		return errors.Join(a.event(r), fault)
	}
	a.describe(description)
	a.warnOfEnd(description)
	fmt.Fprintln(a.out)
	a.printStores(stores, "")
	a.nodeLine(m)
	if trusted := trust.Trusted(stores); !trusted && kinds == nil && fault == nil {
		fmt.Fprintf(a.out, "\nBrowsers on this machine do not trust it.\n  next: %s\n", trustNext(trusted, stores))
	}
	return fault
}

// statusWithoutRoot shows which stores hold roots of authorities that are gone, and
// returns what keeps the present one from being read.
func (a *app) statusWithoutRoot(ctx context.Context, m trust.Machine, kinds []string, missing error) error {
	stores := m.Orphans(ctx, kinds...)
	if ctx.Err() != nil {
		return ctx.Err()
	}
	held := slices.ContainsFunc(stores, func(r trust.Result) bool { return r.State == trust.StateStale })
	if held {
		missing = &fault{fmt.Errorf("%w, but some stores still trust an earlier one", missing), withStores("rtcdev certs untrust", kinds), exitFailed}
	}
	if a.json {
		r := trustReport{Fault: missing.Error(), Next: nextStep(missing), Stores: storeReports(stores)}
		return errors.Join(a.event(r), missing)
	}
	a.printStores(stores, "")
	return missing
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
