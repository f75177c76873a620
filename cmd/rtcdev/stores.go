package main

import (
	"crypto/x509"
	"fmt"
	"net"
	"slices"
	"strings"
	"time"

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
	Node        string        `json:"node,omitempty"` // the command that makes Node.js trust it
	Stores      []storeReport `json:"stores"`

	Authority *certs.Description `json:"authority,omitempty"` // status and new-authority only
	ACME      []acmeReport       `json:"acme,omitempty"`      // status only
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
	if left := leftAlone(stores); left != "" {
		fmt.Fprintf(a.err, "\nLeft alone, because only root may change them: %s\n", left)
	}
	fmt.Fprintf(a.err, "\n%s\nIts root has the SHA-256 fingerprint\n  %s\nUndo it at any time with: rtcdev certs untrust\n\n", reach(root), certs.FingerprintOf(root))
	return a.ask("Trust it on this machine?")
}

// leftAlone lists the stores that lack the root and that only root may change.
func leftAlone(stores []trust.Result) string {
	var names []string
	for _, r := range stores {
		if r.NeedsRoot && (r.State == trust.StateAbsent || r.State == trust.StateStale) {
			names = append(names, r.Store)
		}
	}
	return strings.Join(names, ", ")
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
	_ = a.event(newTrustReport(root, stores, fault)) // a.out remembers what could not be written
}

func newTrustReport(root *x509.Certificate, stores []trust.Result, fault error) trustReport {
	trusted := trust.Trusted(stores)
	r := trustReport{
		Fingerprint: certs.FingerprintOf(root), Trusted: trusted,
		Next: trustNext(trusted, stores), Stores: storeReports(stores),
	}
	if fault != nil {
		r.Fault, r.Next = fault.Error(), nextStep(fault)
	}
	return r
}

// printStores prints a line a store, with the reason and the next step where
// there is one. changed is the word for a store that was changed.
func (a *app) printStores(stores []trust.Result, changed string) {
	width := 0
	for _, r := range stores {
		width = max(width, len(storeLabel(r)))
	}
	asRoot, kinds := "", []string(nil)
	for _, r := range stores {
		if r.State == trust.StateUnused && !a.verbose {
			continue // nobody reads it
		}
		fmt.Fprintf(a.out, "%-*s  %s\n", width, storeLabel(r), a.storeState(r, changed))
		fix := fixOf(r)
		if command, kind, ok := strings.Cut(fix, forStores); ok && r.Err == nil { // one line for all of them, below
			if asRoot = command; !slices.Contains(kinds, kind) {
				kinds = append(kinds, kind)
			}
		} else if fix != "" {
			fmt.Fprintf(a.out, "%-*s  next: %s\n", width, "", fix)
		}
		if r.Note != "" && r.Err == nil {
			fmt.Fprintf(a.out, "%-*s  %s\n", width, "", r.Note)
		}
	}
	if kinds != nil {
		fmt.Fprintf(a.out, "\nFor the stores that only root may change:\n  %s\n", asRoot+forStores+strings.Join(kinds, ","))
	}
}

// forStores is what package trust puts before the kind of store in the command
// that makes root trust it.
const forStores = " trust --stores "

// unseen reports whether a store was passed over that could not be read.
func unseen(r trust.Result) bool {
	return r.Skipped && (r.State == trust.StateUnavailable || r.State == trust.StateUnknown)
}

// printRemoved prints the stores that Remove has changed, could not change or could
// not read, and with -v the others.
func (a *app) printRemoved(stores []trust.Result) {
	if !a.verbose {
		stores = slices.DeleteFunc(slices.Clone(stores), func(r trust.Result) bool { return !r.Changed && r.Err == nil && !unseen(r) })
	}
	if len(stores) == 0 {
		fmt.Fprintf(a.out, "No store has it.\n")
	}
	a.printStores(stores, "root removed")
}

func (a *app) storeState(r trust.Result, changed string) string {
	switch {
	case r.Err != nil:
		return a.bad.Sprint("failed: " + r.Err.Error())
	case r.Changed:
		return a.good.Sprint(changed) + gone(r)
	case r.Skipped && r.NeedsRoot:
		return "left alone: " + r.Reason
	case r.State == trust.StateTrusted:
		return a.good.Sprint("trusted") + history(r)
	case r.Reason != "":
		return string(r.State) + ": " + r.Reason
	}
	return string(r.State)
}

// history is what is worth knowing of a store that trusts the root.
func history(r trust.Result) string {
	var text string
	if !r.Since.IsZero() {
		text = " since " + r.Since.Local().Format(time.DateOnly)
	}
	if r.Made {
		text += "; rtcdev made this store"
	}
	if r.Stale > 0 {
		text += "; a root of an earlier authority is in it too (rtcdev certs untrust removes all, then trust again)"
	}
	return text
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

// gone says what went with a root that was removed.
func gone(r trust.Result) string {
	if r.Unmade {
		return ", with the store that was made for it"
	}
	return ""
}
