package trust

import (
	"context"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

// TestChromium is the proof that the stores named Browser are the ones the
// browser reads: a page of the root is refused, accepted, refused.
func TestChromium(t *testing.T) {
	need(t, "certutil", "libnss3-tools")
	chromium := need(t, "chromium", "chromium")
	root := newRoot(t)
	url := root.serve(t)
	for _, test := range []struct {
		name  string
		there []string
		store string // the one that has to be Browser
	}{
		{"a fresh account", nil, oldName},
		{"only ~/.pki", []string{".pki/nssdb"}, oldName},
		{"only the data home", []string{".local/share/pki/nssdb"}, currentName},
		{"both", []string{".pki/nssdb", ".local/share/pki/nssdb"}, oldName},
	} {
		t.Run(test.name, func(t *testing.T) {
			m, ctx := testMachine(t), t.Context()
			for _, dir := range test.there {
				makeDB(t, filepath.Join(m.Home, dir))
			}
			if test.there != nil { // on a fresh account Chromium itself would make a database
				expect(t, chromium, m.Home, url, false)
			}
			results := m.Install(ctx, root.cert, KindNSS)
			if !Trusted(results) || byName(t, results, test.store).Browser == "" {
				t.Fatalf("%+v", results)
			}
			expect(t, chromium, m.Home, url, true)
			m.Remove(ctx, root.cert, KindNSS)
			expect(t, chromium, m.Home, url, false)
		})
	}

	t.Run("an account whose Chromium ran before", func(t *testing.T) {
		m := testMachine(t)
		expect(t, chromium, m.Home, url, false)
		if results := m.Install(t.Context(), root.cert, KindNSS); !Trusted(results) {
			t.Fatalf("%+v", results)
		}
		expect(t, chromium, m.Home, url, true)
	})

	t.Run("only the database that it ignores", func(t *testing.T) {
		m := testMachine(t)
		makeDB(t, filepath.Join(m.Home, ".pki/nssdb"))
		db := makeDB(t, filepath.Join(m.DataHome, "pki/nssdb"))
		certutil(t, db, "-A", "-n", nickname(root.cert), "-t", "C,,", "-i", pemFile(t, root))
		if Trusted(m.Status(t.Context(), root.cert)) {
			t.Error("Trusted says yes for a database that Chromium ignores")
		}
		expect(t, chromium, m.Home, url, false)
	})
}

// expect loads url in a real Chromium of the account and checks that the page
// came, or was refused because of its certificate and nothing else.
func expect(t *testing.T, chromium, home, url string, trusted bool) {
	t.Helper()
	profile, err := os.MkdirTemp("", "rtcdev-chromium-*")
	must(t, err)
	defer os.RemoveAll(profile)
	ctx, cancel := context.WithTimeout(t.Context(), 2*time.Minute)
	defer cancel()
	cmd := exec.CommandContext(ctx, chromium, "--no-sandbox", "--headless", "--disable-gpu",
		"--disable-background-networking", "--disable-component-update", "--disable-sync", "--no-first-run",
		"--disable-breakpad", "--user-data-dir="+profile, "--dump-dom", url)
	cmd.Env = append(os.Environ(), "HOME="+home, "XDG_DATA_HOME=")
	cmd.WaitDelay = 5 * time.Second
	var said strings.Builder
	cmd.Stderr = &said
	out, err := cmd.Output()
	if err != nil {
		t.Fatalf("chromium: %v\n%s", err, said.String())
	}
	page := string(out)
	switch {
	case trusted && !strings.Contains(page, greeting):
		t.Errorf("Chromium refused a root it should trust: %.300s", page)
	case !trusted && strings.Contains(page, greeting):
		t.Error("Chromium accepted a root it should not trust")
	case !trusted && !strings.Contains(said.String(), "ERR_CERT_AUTHORITY_INVALID"):
		t.Errorf("Chromium refused for another reason: %s", said.String())
	}
}
