package trust

import (
	"crypto/x509"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

func TestTrustSettings(t *testing.T) {
	root, other := newOwnRoot(t, "desk"), newOwnRoot(t, "desk")
	files, err := filepath.Glob("testdata/security/settings/*.plist")
	must(t, err)
	if len(files) < 10 {
		t.Fatalf("found %d settings", len(files))
	}
	for _, file := range files {
		data, err := os.ReadFile(file)
		must(t, err)
		settings, err := parseTrustSettings(fill(data, root))
		must(t, err)
		want := verdictOther
		switch name := filepath.Base(file); {
		case strings.HasPrefix(name, "trusted"):
			want = verdictTrusts
		case strings.HasPrefix(name, "denied"):
			want = verdictDenies
		}
		if got := settings.verdict(root); got != want {
			t.Errorf("%s: %d, want %d", file, got, want)
		}
		if got := settings.verdict(other); got != verdictNone {
			t.Errorf("%s: of another root: %d", file, got)
		}
	}
}

func TestTrustSettingsInAnUnknownForm(t *testing.T) {
	for name, data := range map[string]string{
		"nothing":         "",
		"a binary one":    "bplist00\xd1\x01\x02",
		"an HTML page":    "<html><body></body></html>",
		"cut off":         `<plist version="1.0"><dict><key>trustList</key><dict>`,
		"a later version": `<plist><dict><key>trustList</key><dict/><key>trustVersion</key><integer>2</integer></dict></plist>`,
		"without a list":  `<plist><dict><key>trustVersion</key><integer>1</integer></dict></plist>`,
		"no dictionary":   `<plist><array/></plist>`,
		"empty":           `<plist/>`,
		"no value":        `<plist><dict><key>a</key></dict></plist>`,
		"no key":          `<plist><dict><string>a</string></dict></plist>`,
		"no base64":       `<plist><data>!</data></plist>`,
		"too deep": `<plist><dict><key>trustVersion</key><integer>1</integer><key>trustList</key><dict/><key>x</key>` +
			strings.Repeat("<array>", 1000) + strings.Repeat("</array>", 1000) + `</dict></plist>`,
	} {
		if settings, err := parseTrustSettings([]byte(data)); err == nil || settings != nil {
			t.Errorf("%s: %v, %v", name, settings, err)
		}
	}
}

func FuzzParseTrustSettings(f *testing.F) {
	files, err := filepath.Glob("testdata/security/settings/*.plist")
	if err != nil {
		f.Fatal(err)
	}
	for _, file := range files {
		data, err := os.ReadFile(file)
		if err != nil {
			f.Fatal(err)
		}
		f.Add(data)
	}
	f.Add([]byte(`<plist><dict><key>trustList</key><dict><key>{{SHA1}}</key><dict><key>trustSettings</key><true/></dict></dict><key>trustVersion</key><integer>1</integer></dict></plist>`))
	f.Fuzz(func(t *testing.T, data []byte) {
		root := &x509.Certificate{Raw: []byte("a root")}
		settings, err := parseTrustSettings(fill(data, root))
		if err != nil && settings != nil {
			t.Error("settings and an error")
		}
		if settings.verdict(root) != verdictNone && settings[thumbprint(root)] == nil {
			t.Error("a verdict about a root that is not in it")
		}
	})
}
