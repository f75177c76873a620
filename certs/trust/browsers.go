package trust

import (
	"errors"
	"maps"
	"slices"
)

// restartNote is true of a changed store that a browser reads. running says that
// it is known to run now.
func restartNote(browser string, running bool) string {
	if running {
		return browser + " is running: restart it, and it sees the change."
	}
	return "Restart " + browser + " if running: the change is seen at the next start."
}

// served passes over the databases that cannot be used, as for want of certutil, when
// the policy file of the browser makes up for them, unless they were asked for.
func served(kinds []string, results []Result) []Result {
	for i, r := range results {
		policy := func(p Result) bool {
			return p.Kind == KindPolicy && p.Browser == r.Browser && p.State == StateTrusted
		}
		if len(kinds) == 0 && r.Browser != "" && r.State == StateUnavailable && slices.ContainsFunc(results, policy) {
			why := r.Reason
			if errors.Is(r.because, ErrToolMissing) {
				why = "certutil is not installed"
			}
			results[i].State, results[i].Reason = StateUnused, why+", and the policy file of "+r.Browser+" makes up for it"
			results[i].Skipped, results[i].Err, results[i].Fix = true, nil, ""
		}
	}
	return results
}

// Trusted reports whether the browsers of this account trust the root: there is
// one that does, and each browser with a store either trusts it in every store it
// reads, or was told to by its policy file. A browser that has a policy file only
// is trusted by that.
func Trusted(results []Result) bool {
	stores, policies := make(map[string]bool), make(map[string]bool)
	for _, r := range results {
		all := stores
		if r.Kind == KindPolicy {
			all = policies
		}
		if others, seen := all[r.Browser]; r.Browser != "" && r.State != StateUnused {
			all[r.Browser] = r.State == StateTrusted && (others || !seen)
		}
	}
	for browser, trusts := range stores {
		if !trusts && !policies[browser] {
			return false
		}
	}
	return len(stores) > 0 || slices.Contains(slices.Collect(maps.Values(policies)), true)
}
