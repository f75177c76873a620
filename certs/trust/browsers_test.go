//go:build linux

package trust

import (
	"path/filepath"
	"testing"
)

// TestTrustedByPolicyAlone: what root does without certutil is seen as done, by the
// results of Install and of Status.
func TestTrustedByPolicyAlone(t *testing.T) {
	m, root, ctx := policyMachine(t, "chromium"), newRoot(t).cert, t.Context()
	if Trusted(m.Status(ctx, root)) {
		t.Error("before")
	}
	results := m.Install(ctx, root)
	for what, results := range map[string][]Result{"Install": results, "Status": m.Status(ctx, root), "BrowserStatus": m.BrowserStatus(ctx, root)} {
		if !Trusted(results) {
			t.Errorf("%s: %+v", what, results)
		}
	}
	writeFile(t, filepath.Join(m.Home, ".mozilla/firefox/kim.default/cert9.db"), "SQLite format 3\x00") // Firefox has no policy
	if Trusted(m.Status(ctx, root)) {
		t.Errorf("Firefox does not trust it: %+v", m.Status(ctx, root))
	}
}
