//go:build linux

package trust

import (
	"errors"
	"fmt"
	"io/fs"
	"maps"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"
)

// policyMachine is root's, with folders of its own and only these programs.
func policyMachine(t *testing.T, programs ...string) Machine {
	t.Helper()
	m := testMachine(t)
	m.OS, m.UID, m.Journal = "linux", 0, t.TempDir()
	m.RootCommand = "sudo RTCDEV_HOME=/home/kim/x rtcdev certs"
	must(t, os.Mkdir(filepath.Join(m.Root, "etc"), 0o755))
	m.LookPath = func(program string) (string, error) {
		if slices.Contains(programs, program) {
			return "/usr/bin/" + program, nil
		}
		return "", exec.ErrNotFound
	}
	return m
}

// folders is every file and folder below dirs, with its mode.
func folders(t *testing.T, dirs ...string) map[string]string {
	t.Helper()
	found := map[string]string{}
	for _, dir := range dirs {
		err := filepath.WalkDir(dir, func(path string, e fs.DirEntry, err error) error {
			if err != nil {
				return err
			}
			info, err := e.Info()
			if err != nil {
				return err
			}
			found[path] = info.Mode().String()
			if info.Mode().IsRegular() {
				raw, err := os.ReadFile(path)
				found[path] += " " + string(raw)
				return err
			}
			return nil
		})
		if !errors.Is(err, fs.ErrNotExist) {
			must(t, err)
		}
	}
	return found
}

func writeFile(t *testing.T, path, content string) {
	t.Helper()
	must(t, os.MkdirAll(filepath.Dir(path), 0o755))
	must(t, os.WriteFile(path, []byte(content), 0o644))
}

// TestPolicyOnlyWhenNeeded is who uses the policy files, and when.
func TestPolicyOnlyWhenNeeded(t *testing.T) {
	root := newRoot(t).cert
	for name, test := range map[string]struct {
		programs []string
		uid      int
		kinds    []string
		state    State // after Install
		err      error
		reason   string
	}{
		"certutil is there":               {[]string{"chromium", "certutil"}, 0, nil, StateUnused, nil, "certutil"},
		"certutil is there, but asked":    {[]string{"chromium", "certutil"}, 0, []string{KindPolicy}, StateTrusted, nil, ""},
		"root without certutil":           {[]string{"chromium"}, 0, nil, StateTrusted, nil, ""},
		"an ordinary user without":        {[]string{"chromium"}, 1000, nil, StateUnused, nil, "only root"},
		"an ordinary user who asks":       {[]string{"chromium", "certutil"}, 1000, []string{KindPolicy}, StateAbsent, ErrNeedsRoot, "only root"},
		"a folder but no browser":         {nil, 0, nil, StateUnused, nil, "not installed"},
		"a folder but no browser, asked":  {nil, 0, []string{KindPolicy}, StateTrusted, nil, ""},
		"a snap of Chromium is elsewhere": {[]string{"/snap/bin/chromium"}, 0, nil, StateUnused, nil, "not installed"},
	} {
		t.Run(name, func(t *testing.T) {
			m, ctx := policyMachine(t, test.programs...), t.Context()
			m.UID = test.uid
			etc := filepath.Join(m.Root, "etc/chromium")
			must(t, os.MkdirAll(filepath.Join(etc, "policies/managed"), 0o755))
			before := folders(t, etc)
			r := byName(t, m.Install(ctx, root, test.kinds...), "policy chromium")
			if r.State != test.state || !errors.Is(r.Err, test.err) || !strings.Contains(r.Reason, test.reason) || r.Skipped != (test.state == StateUnused) {
				t.Errorf("%+v", r)
			}
			if test.uid != 0 && r.Fix != m.RootCommand+" trust --stores policy" {
				t.Errorf("the next step: %q", r.Fix)
			}
			if r.Fix != "" {
				checkFix(t, r.Fix, root, "")
			}
			got := byName(t, m.Status(ctx, root, test.kinds...), "policy chromium").Status
			if r.Note = ""; got != r.Status {
				t.Errorf("Install says\n%+v\nand Status then says\n%+v", r.Status, got)
			}
			if now := folders(t, etc); test.state != StateTrusted && !maps.Equal(now, before) {
				t.Errorf("it was changed: %q", now)
			}
			r = byName(t, m.Remove(ctx, root), "policy chromium") // never asked: it has to be found
			if r.Err != nil || r.Changed != (test.state == StateTrusted) {
				t.Errorf("Remove: %+v", r)
			}
			same(t, before, folders(t, etc))
		})
	}
}

func TestPolicyOfNoBrowser(t *testing.T) {
	root := newRoot(t).cert
	for goos, want := range map[string]error{"linux": ErrToolMissing, "darwin": ErrUnsupported, "windows": ErrUnsupported} {
		m := policyMachine(t)
		m.OS = goos
		for _, r := range m.Install(t.Context(), root) {
			if r.Kind == KindPolicy {
				t.Errorf("%s: nobody asked: %+v", goos, r)
			}
		}
		r := m.Install(t.Context(), root, KindPolicy)
		if len(r) != 1 || !errors.Is(r[0].Err, want) || r[0].State != StateUnavailable {
			t.Errorf("%s: %+v", goos, r)
		}
		if r := m.Remove(t.Context(), root, KindPolicy)[0]; r.Err != nil {
			t.Errorf("%s: %+v", goos, r)
		}
	}
}

// TestPolicyFilesAreRestored: what was there stays, and what was made goes.
func TestPolicyFilesAreRestored(t *testing.T) {
	const firefox, chromium = "etc/firefox/policies/policies.json", "etc/chromium/policies/managed/"
	for name, before := range map[string]map[string]string{
		"nothing":       {},
		"other folders": {"etc/firefox/other": "x", "etc/chromium/master_preferences": "{}"},
		"others' policies": {
			firefox:                             "{\n  \"policies\": {\n    \"BlockAboutConfig\": true, \"Certificates\": {\"ImportEnterpriseRoots\": true, \"Install\": [\"/a.pem\"]}\n  }\n}\n",
			chromium + "their.json":             `{"HomepageLocation": "https://example.com"}`,
			"etc/firefox/policies/their.pem":    "x",
			"etc/opt/chrome/policies/their.txt": "x",
		},
		"an empty list":         {firefox: `{"policies": {"Certificates": {"Install": [ ]}}}`},
		"no certificates":       {firefox: `{"policies": {"Certificates": {}, "A": {}}}`},
		"no policies":           {firefox: `{"policies": {}}`},
		"not even that":         {firefox: "{}\n"},
		"what a new file holds": {firefox: "{\"policies\":{}}\n"},
	} {
		t.Run(name, func(t *testing.T) {
			m, one, two, ctx := policyMachine(t, "chromium", "google-chrome", "firefox"), newRoot(t).cert, newRoot(t).cert, t.Context()
			for path, content := range before {
				writeFile(t, filepath.Join(m.Root, path), content)
			}
			was := folders(t, m.Root)
			mask := syscall.Umask(0o077) // a strict account's: the browsers run as others
			results := m.Install(ctx, one, KindPolicy)
			syscall.Umask(mask)
			if len(results) != 3 || slices.ContainsFunc(results, func(r Result) bool { return r.Err != nil || r.State != StateTrusted || !r.Changed || r.Note == "" }) {
				t.Fatalf("%+v", results)
			}
			checkReadBack(t, results, m.Status(ctx, one, KindPolicy))
			for path := range folders(t, m.Root) {
				info, err := os.Stat(path)
				if must(t, err); path != m.Root && info.Mode().Perm()&0o444 != 0o444 || info.IsDir() && path != m.Root && info.Mode().Perm() != 0o755 {
					t.Errorf("%s cannot be read by all: %v", path, info.Mode())
				}
			}
			for _, r := range m.Install(ctx, one, KindPolicy) {
				if r.Err != nil || r.Changed {
					t.Errorf("Install again: %+v", r)
				}
			}
			for _, r := range m.Status(ctx, two, KindPolicy) {
				if r.State != StateStale || r.Stale != 1 {
					t.Errorf("a root of an earlier authority: %+v", r)
				}
			}
			onlyOne := folders(t, m.Root)
			checkAll(t, m.Install(ctx, two, KindPolicy), StateTrusted)
			roots, err := m.Roots(ctx, KindPolicy)
			must(t, err)
			checkRoots(t, roots, one, two)
			checkAll(t, m.Remove(ctx, two, KindPolicy), StateAbsent)
			same(t, onlyOne, folders(t, m.Root))
			checkAll(t, m.Remove(ctx, one, KindPolicy), StateAbsent)
			same(t, was, folders(t, m.Root))
			if left := tree(t, m.Journal); left != nil {
				t.Errorf("left in the journal's folder: %q", left)
			}
			for _, r := range m.Remove(ctx, one, KindPolicy) {
				if r.Err != nil || r.Changed {
					t.Errorf("Remove again: %+v", r)
				}
			}
		})
	}
}

// TestPolicyOfOthersSince: the file was made for us, and has come to be used.
func TestPolicyOfOthersSince(t *testing.T) {
	m, root, ctx := policyMachine(t, "firefox"), newRoot(t).cert, t.Context()
	checkAll(t, m.Install(ctx, root, KindPolicy), StateTrusted)
	path := filepath.Join(m.Root, "etc/firefox/policies/policies.json")
	raw, err := os.ReadFile(path)
	must(t, err)
	writeFile(t, path, strings.Replace(string(raw), `{"Certificates"`, `{"BlockAboutConfig": true, "Certificates"`, 1))
	checkAll(t, m.Remove(ctx, root, KindPolicy), StateAbsent)
	if raw, err := os.ReadFile(path); err != nil || string(raw) != "{\"policies\":{\"BlockAboutConfig\": true}}\n" {
		t.Errorf("%q, %v", raw, err)
	}
	if left := tree(t, filepath.Dir(path)); len(left) != 1 {
		t.Errorf("left: %q", left)
	}
}

// TestPolicyFilesThatAreRefused: nothing is changed, and the fault says what to do.
func TestPolicyFilesThatAreRefused(t *testing.T) {
	const firefox = "etc/firefox/policies/policies.json"
	for name, test := range map[string]struct {
		path, content string
		want          error
	}{
		"no JSON":                   {firefox, `{"policies": {`, ErrDatabase},
		"a comment":                 {firefox, "{\"policies\": {}} // ours", ErrDatabase},
		"empty":                     {firefox, "", ErrDatabase},
		"a list":                    {firefox, "[]", ErrDatabase},
		"policies are a number":     {firefox, `{"policies": 7}`, ErrDatabase},
		"certificates are a string": {firefox, `{"policies": {"Certificates": {"Install": "/x"}}}`, ErrDatabase},
		"deep":                      {firefox, strings.Repeat(`{"policies":`, 100000), ErrDatabase},
		"huge":                      {firefox, `{"policies": {}}` + strings.Repeat(" ", maxPolicy), nil},
		"a folder":                  {firefox + "/x", "", nil},
		"beside Firefox":            {"usr/lib/firefox/distribution/policies.json", `{"policies": {}}`, ErrUnsupported},
		"our file was edited":       {"etc/chromium/policies/managed/rtcdev-local-authority.json", `{"CACertificates": {}}`, ErrDatabase},
		"another list":              {"etc/chromium/policies/managed/a.json", `{"CACertificates": []}`, ErrUnsupported},
		"another list, later":       {"etc/chromium/policies/managed/z.json", `{"CACertificates": [/* none */],}`, ErrUnsupported},
	} {
		t.Run(name, func(t *testing.T) {
			browser := "firefox"
			if strings.Contains(test.path, "chromium") {
				browser = "chromium"
			}
			m, root, ctx := policyMachine(t, browser), newRoot(t).cert, t.Context()
			writeFile(t, filepath.Join(m.Root, test.path), test.content)
			before := folders(t, m.Root)
			r := m.Install(ctx, root, KindPolicy)[0]
			if r.Err == nil || test.want != nil && !errors.Is(r.Err, test.want) || r.State == StateTrusted || r.State == StateAbsent || r.Fix == "" {
				t.Errorf("%+v", r)
			}
			t.Logf("%.300s\n  next: %s", r.Err, r.Fix)
			same(t, before, folders(t, m.Root))
			if left := tree(t, m.Journal); left != nil {
				t.Errorf("left in the journal's folder: %q", left)
			}
			if r := m.Remove(ctx, root); slices.ContainsFunc(r, func(r Result) bool { return r.Kind == KindPolicy && r.Changed }) {
				t.Errorf("%+v", r)
			}
			same(t, before, folders(t, m.Root))
			checkFix(t, r.Fix, root, "")
		})
	}
}

// TestPolicyListOfOthersSince: somebody's later list hides ours, or ours hides
// theirs, and a root that may not be in effect is not called trusted.
func TestPolicyListOfOthersSince(t *testing.T) {
	m, root, ctx := policyMachine(t, "chromium"), newRoot(t).cert, t.Context()
	checkAll(t, m.Install(ctx, root, KindPolicy), StateTrusted)
	their := filepath.Join(m.Root, "etc/chromium/policies/managed/their.json")
	writeFile(t, their, `{"CACertificates": []}`)
	if r := m.Status(ctx, root)[0]; r.Kind == KindPolicy && r.State == StateTrusted {
		t.Errorf("%+v", r)
	}
	if r := m.Install(ctx, root, KindPolicy)[0]; !errors.Is(r.Err, ErrUnsupported) {
		t.Errorf("%+v", r)
	}
	if r := m.Remove(ctx, root, KindPolicy)[0]; r.Err != nil || !r.Changed {
		t.Errorf("%+v", r)
	}
	if left := tree(t, filepath.Dir(their)); !slices.Equal(left, []string{"their.json"}) {
		t.Errorf("left: %q", left)
	}
}

func TestPolicyRootThatSomebodyElseListed(t *testing.T) {
	m, root, ctx := policyMachine(t, "firefox"), newRoot(t).cert, t.Context()
	by := filepath.Join(m.Root, "root.pem")
	writeFile(t, by, string(pemBytes(root)))
	path := filepath.Join(m.Root, "etc/firefox/policies/policies.json")
	writeFile(t, path, fmt.Sprintf(`{"policies": {"Certificates": {"Install": ["gone.pem", %q]}}}`, by))
	before := folders(t, m.Root)
	if r := m.Install(ctx, root, KindPolicy)[0]; r.Err != nil || r.Changed || r.State != StateTrusted {
		t.Errorf("%+v", r)
	}
	r := m.Remove(ctx, root, KindPolicy)[0]
	if !errors.Is(r.Err, ErrNotVerified) || !strings.Contains(r.Fix, by) || r.State != StateTrusted {
		t.Errorf("it is still trusted, and that must be said: %+v", r)
	}
	checkFix(t, r.Fix, root, "")
	same(t, before, folders(t, m.Root))
}

// TestPolicyFileWithoutItsCertificate: the list says it, the file does not.
func TestPolicyFileWithoutItsCertificate(t *testing.T) {
	for name, spoil := range map[string]func(path string) error{
		"gone":    os.Remove,
		"empty":   func(path string) error { return os.Truncate(path, 0) },
		"garbage": func(path string) error { return os.WriteFile(path, []byte("-----BEGIN CERTIFICATE-----"), 0o644) },
		"another": func(path string) error { return os.WriteFile(path, pemBytes(newRoot(t).cert), 0o644) },
	} {
		t.Run(name, func(t *testing.T) {
			m, root, ctx := policyMachine(t, "firefox"), newRoot(t).cert, t.Context()
			checkAll(t, m.Install(ctx, root, KindPolicy), StateTrusted)
			must(t, spoil(m.policyStores()[0].(policyStore).member(root)))
			if r := m.Status(ctx, root, KindPolicy)[0]; r.State != StateAbsent || !strings.Contains(r.Reason, ".pem") || Trusted([]Result{r}) {
				t.Errorf("%+v", r)
			}
			checkAll(t, m.Install(ctx, root, KindPolicy), StateTrusted)
			must(t, spoil(m.policyStores()[0].(policyStore).member(root)))
			checkAll(t, m.Remove(ctx, root, KindPolicy), StateAbsent)
			if left := tree(t, filepath.Join(m.Root, "etc")); left != nil {
				t.Errorf("left: %q", left)
			}
		})
	}
}
