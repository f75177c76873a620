package trust

import (
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

// TestNSSSnapAndFlatpaks is about which databases are looked for and made; that
// Chromium keeps to the same rule there as natively is what its packages say.
func TestNSSSnapAndFlatpaks(t *testing.T) {
	const app = ".var/app/"
	for name, test := range map[string]struct {
		there []string // folders; those that end in nssdb are databases
		want  []string // what has the root after Install
	}{
		"nothing":                             {nil, []string{".pki/nssdb"}},
		"a snap that was started":             {[]string{"snap/chromium/current"}, []string{".pki/nssdb", "snap/chromium/current/.pki/nssdb"}},
		"a snap of another program":           {[]string{"snap/firefox/current"}, []string{".pki/nssdb"}},
		"a snap with a database":              {[]string{"snap/chromium/current/.local/share/pki/nssdb"}, []string{".pki/nssdb", "snap/chromium/current/.local/share/pki/nssdb"}},
		"a snap with both":                    {[]string{"snap/chromium/current/.local/share/pki/nssdb", "snap/chromium/current/.pki/nssdb"}, []string{".pki/nssdb", "snap/chromium/current/.local/share/pki/nssdb", "snap/chromium/current/.pki/nssdb"}},
		"Chrome as a flatpak":                 {[]string{app + "com.google.Chrome"}, []string{".pki/nssdb", app + "com.google.Chrome/data/pki/nssdb"}},
		"Brave as a flatpak":                  {[]string{app + "com.brave.Browser/.pki"}, []string{".pki/nssdb", app + "com.brave.Browser/.pki/nssdb"}},
		"Brave with the other one":            {[]string{app + "com.brave.Browser/.pki", app + "com.brave.Browser/data/pki/nssdb"}, []string{".pki/nssdb", app + "com.brave.Browser/data/pki/nssdb"}},
		"Chromium, which reads the account's": {[]string{app + "org.chromium.Chromium"}, []string{".pki/nssdb"}},
		"Chromium, and no ~/.pki": {[]string{app + "org.chromium.Chromium", ".local/share/pki/nssdb"},
			[]string{".local/share/pki/nssdb", app + "org.chromium.Chromium/data/pki/nssdb"}},
		"a flatpak of another program": {[]string{app + "org.gnome.Maps/data"}, []string{".pki/nssdb"}},
	} {
		t.Run(name, func(t *testing.T) {
			m, root, ctx := journalled(t), newRoot(t).cert, t.Context()
			for _, dir := range test.there {
				if must(t, os.MkdirAll(filepath.Join(m.Home, dir), 0o700)); filepath.Base(dir) == "nssdb" {
					makeDB(t, filepath.Join(m.Home, dir))
				}
			}
			was := tree(t, m.Home)
			results := m.Install(ctx, root, KindNSS)
			checkAll(t, results, StateTrusted)
			checkReadBack(t, results, m.Status(ctx, root, KindNSS))
			var got []string
			for _, r := range results {
				if r.State == StateTrusted {
					got = append(got, strings.TrimPrefix(r.Path, m.Home+"/"))
				}
			}
			slices.Sort(got)
			slices.Sort(test.want)
			if !slices.Equal(got, test.want) || !Trusted(results) {
				t.Errorf("trusted in %q, want %q", got, test.want)
			}
			checkAll(t, m.Remove(ctx, root, KindNSS), StateAbsent)
			if now := tree(t, m.Home); !slices.Equal(now, was) {
				t.Errorf("was %q, is %q", was, now)
			}
		})
	}
}

// TestNSSSnapIsReached through the link that snapd keeps to the present revision.
func TestNSSSnapLink(t *testing.T) {
	m, root, ctx := journalled(t), newRoot(t).cert, t.Context()
	revision := filepath.Join(m.Home, "snap/chromium/3000")
	must(t, os.MkdirAll(revision, 0o700))
	must(t, os.Symlink("3000", filepath.Join(m.Home, "snap/chromium/current")))
	checkAll(t, m.Install(ctx, root, KindNSS), StateTrusted)
	if !strings.Contains(certutil(t, filepath.Join(revision, ".pki/nssdb"), "-L"), nickname(root)) {
		t.Error("the database is elsewhere")
	}
	checkAll(t, m.Remove(ctx, root, KindNSS), StateAbsent)
	if left := tree(t, revision); left != nil {
		t.Errorf("left: %q", left)
	}
}
