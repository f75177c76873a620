package templates

import (
	"encoding/json"
	"os/exec"
	"regexp"
	"slices"
	"strings"
	"testing"
)

func TestValidPackageName(t *testing.T) {
	for text, want := range map[string]string{
		"my-call":                            "my-call",
		"My Call.v2":                         "my-call.v2",
		"":                                   "my-call",
		".":                                  "my-call",
		"/":                                  "my-call",
		"통화":                                 "my-call",
		"통화 앱 2":                             "2",
		"_private":                           "private",
		".hidden":                            "hidden",
		"a/b\\c":                             "a-b-c",
		"it's (new)~!*":                      "it-s-new",
		"node_modules":                       "my-node_modules",
		"favicon.ico":                        "my-favicon.ico",
		"HTTP":                               "my-http",
		"webrtc-adapter":                     "my-webrtc-adapter",
		strings.Repeat("x", 300):             strings.Repeat("x", 214),
		strings.Repeat("x", 213) + "-" + "y": strings.Repeat("x", 213),
		"\u212a":                             "k", // the Kelvin sign is a letter whose lower case is ASCII
	} {
		if got := validPackageName(text, "call"); got != want {
			t.Errorf("%q becomes %q, want %q", text, got, want)
		}
	}
}

var npmName = regexp.MustCompile(`^[a-z0-9]([a-z0-9._-]{0,212}[a-z0-9])?$`)

func FuzzValidPackageName(f *testing.F) {
	for _, s := range []string{"", "My Call.v2", "내 통화", "node_modules", "._-", "\xff\x00", strings.Repeat("-a", 300)} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		name := validPackageName(s, "call")
		if !npmName.MatchString(name) || isReserved(name) {
			t.Errorf("%q becomes %q, which npm refuses", s, name)
		}
		if again := validPackageName(name, "call"); again != name {
			t.Errorf("%q becomes %q and that becomes %q", s, name, again)
		}
	})
}

// Node itself says which of its modules a package must not be named after.
func TestReservedNamesHoldNodesModules(t *testing.T) {
	requireTool(t, "node", "nodejs")
	out, err := exec.Command("node", "-p", "JSON.stringify(require('module').builtinModules)").Output()
	if err != nil {
		t.Fatal(err)
	}
	var modules []string
	if err := json.Unmarshal(out, &modules); err != nil {
		t.Fatal(err)
	}
	modules = slices.DeleteFunc(modules, func(m string) bool { return strings.ContainsAny(m, "/_:") })
	if len(modules) < 30 {
		t.Fatalf("node names only %q", modules)
	}
	for _, m := range modules {
		if got := validPackageName(m, "call"); got == m {
			t.Errorf("%q is a module of Node, but taken as a name", m)
		}
	}
}
