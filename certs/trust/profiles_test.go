//go:build unix

package trust

import (
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"
)

func TestParseProfiles(t *testing.T) {
	const base = "/home/kim/.mozilla/firefox"
	for name, test := range map[string]struct {
		text string
		want []string
	}{
		"as Firefox writes it": {"[Install4F96D1932A9F858E]\nDefault=b.default-release\nLocked=1\n\n[Profile1]\nName=default\nIsRelative=1\nPath=a.default\nDefault=1\n\n" +
			"[Profile0]\nName=default-release\nIsRelative=1\nPath=b.default-release\n\n[General]\nStartWithLastProfile=1\nVersion=2\n",
			[]string{base + "/a.default", base + "/b.default-release"}},
		"in a folder, as on macOS":   {"[Profile0]\nIsRelative=1\nPath=Profiles/a\n", []string{base + "/Profiles/a"}},
		"with spaces and other text": {"[Profile0]\nIsRelative=1\nPath=내 프로필 =1\n", []string{base + "/내 프로필 =1"}},
		"elsewhere":                  {"[Profile0]\nIsRelative=0\nPath=/srv/profiles/../a\n", []string{"/srv/a"}},
		"from Windows":               {"\ufeff[Profile0]\r\nIsRelative=1\r\nPath=a\r\n", []string{base + "/a"}},
		"comments":                   {"# [Profile0]\n[Profile0]\n;Path=x\n#Path=x\n\tIsRelative=1\n  Path=a", []string{base + "/a"}},
		"twice":                      {"[Profile0]\nIsRelative=1\nPath=a\n[Profile1]\nIsRelative=1\nPath=./a\n", []string{base + "/a"}},
		"the order of the keys":      {"[Profile0]\nPath=/a\nIsRelative=0\n", []string{"/a"}},
		"no IsRelative":              {"[Profile0]\nPath=a\n", nil},
		"no Path":                    {"[Profile0]\nIsRelative=1\n", nil},
		"empty":                      {"", nil},
		"out of the folder":          {"[Profile0]\nIsRelative=1\nPath=../../.ssh\n[Profile1]\nIsRelative=1\nPath=a/../../b\n", nil},
		"absolute and said relative": {"[Profile0]\nIsRelative=1\nPath=/etc\n", nil},
		"relative and said absolute": {"[Profile0]\nIsRelative=0\nPath=a\n", nil},
		"the folder itself":          {"[Profile0]\nIsRelative=1\nPath=.\n[Profile1]\nIsRelative=1\nPath=a/..\n", nil},
		"control characters":         {"[Profile0]\nIsRelative=1\nPath=a\x00b\n[Profile1]\nIsRelative=1\nPath=a\x1b[2J\n", nil},
		"another section":            {"[Profile0]\n[BackgroundTasksProfiles]\nIsRelative=1\nPath=a\n", nil},
		"no section":                 {"IsRelative=1\nPath=a\n", nil},
		"an open section":            {"[Profile0\nIsRelative=1\nPath=a\n", nil},
		"too long":                   {"[Profile0]\nIsRelative=1\nPath=a\n" + strings.Repeat("#", maxProfilesFile), nil},
	} {
		if got := parseProfiles(base, []byte(test.text)); !slices.Equal(got, test.want) {
			t.Errorf("%s: %q, want %q", name, got, test.want)
		}
	}
	var many strings.Builder
	for i := range 2 * maxProfiles {
		fmt.Fprintf(&many, "[Profile%d]\nIsRelative=1\nPath=p%d\n", i, i)
	}
	if got := parseProfiles(base, []byte(many.String())); len(got) != maxProfiles {
		t.Errorf("%d profiles", len(got))
	}
}

func FuzzParseProfiles(f *testing.F) {
	f.Add([]byte("[Profile0]\nName=default\nIsRelative=1\nPath=a.default\nDefault=1\n"))
	f.Add([]byte("[Profile0]\r\nIsRelative=0\r\nPath=/a/../b\r\n[General]\n"))
	f.Add([]byte("[Profile0]\nIsRelative=1\nPath=../..\n"))
	f.Add(profilesText())
	f.Fuzz(func(t *testing.T, data []byte) {
		const base = "/home/kim/.mozilla/firefox"
		for _, dir := range parseProfiles(base, data) {
			outside := !within(base, dir)
			if !filepath.IsAbs(dir) || filepath.Clean(dir) != dir || dir == base || strings.ContainsAny(dir, "\x00\n\r\x1b") ||
				outside && !strings.Contains(string(data), "IsRelative=0") {
				t.Errorf("%q", dir)
			}
		}
	})
}

func TestProfilesIn(t *testing.T) {
	base := t.TempDir()
	outside := filepath.Join(t.TempDir(), "outside")
	for _, dir := range []string{"named", "unnamed", "Profiles/unnamed", "Crash Reports"} {
		must(t, os.MkdirAll(filepath.Join(base, dir), 0o700))
	}
	must(t, os.Mkdir(outside, 0o700))
	for _, dir := range []string{"unnamed", "Profiles/unnamed"} {
		must(t, os.WriteFile(filepath.Join(base, dir, "cert9.db"), nil, 0o600))
	}
	text := "[Profile0]\nIsRelative=1\nPath=named\n[Profile1]\nIsRelative=1\nPath=gone\n[Profile2]\nIsRelative=0\nPath=" + outside + "\n"
	must(t, os.WriteFile(filepath.Join(base, profilesFile), []byte(text), 0o600))
	want := []string{filepath.Join(base, "named"), outside, filepath.Join(base, "unnamed"), filepath.Join(base, "Profiles", "unnamed")}
	if got := profilesIn(base); !slices.Equal(got, want) {
		t.Errorf("%q, want %q", got, want)
	}

	must(t, os.Remove(filepath.Join(base, profilesFile)))
	must(t, syscall.Mkfifo(filepath.Join(base, profilesFile), 0o600))
	done := make(chan int)
	go func() { done <- len(profilesIn(base)) }()
	select {
	case n := <-done:
		if n != 2 {
			t.Errorf("%d profiles beside a pipe", n)
		}
	case <-time.After(10 * time.Second):
		t.Fatal("it waits for somebody to write into a pipe")
	}
}
