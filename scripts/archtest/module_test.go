package archtest

import (
	"encoding/json"
	"fmt"
	"io/fs"
	"os"
	"path"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"testing"
	"testing/fstest"
)

// module is what `go mod edit -json` says of a go.mod file.
type module struct {
	Go            string
	Toolchain     string
	Require       []struct{ Path, Version string }
	Tool, Replace []json.RawMessage
}

func readModule(t *testing.T, name string) module {
	t.Helper()
	var m module
	if err := json.Unmarshal(goCommand(t, "mod", "edit", "-json", name), &m); err != nil {
		t.Fatal(err)
	}
	return m
}

// checkPins compares the required modules with the limits.
func checkPins(name string, m module, pins []pin) []finding {
	var found []finding
	for _, r := range m.Require {
		i := slices.IndexFunc(pins, func(p pin) bool { return p.module == r.Path || strings.HasPrefix(r.Path, p.module+"/") })
		if i < 0 {
			continue
		}
		want := ""
		switch p := pins[i]; {
		case p.only != nil && !slices.Contains(p.only, r.Version):
			want = "use " + strings.Join(p.only, " or ")
		case p.max != "" && newer(r.Version, p.max):
			want = "use " + p.max + " or older"
		case p.only == nil && p.max == "":
			want = "do without it"
		}
		if want != "" {
			found = append(found, finding{ruleModule, name, 0, "", fmt.Sprintf("%s %s: %s (%s)", r.Path, r.Version, want, pins[i].reason)})
		}
	}
	return found
}

// newer compares released versions (v1.2.3); of a pre-release only the numbers
// count.
func newer(version, than string) bool {
	return slices.Compare(numbers(version), numbers(than)) > 0
}

func numbers(version string) []int {
	n := make([]int, 3)
	_, _ = fmt.Sscanf(version, "v%d.%d.%d", &n[0], &n[1], &n[2])
	return n
}

// checkPlainModule wants the product's go.mod to require and nothing else: tools
// would raise its dependencies, and `go install` refuses one that replaces.
func checkPlainModule(name string, m module) []finding {
	var found []finding
	if len(m.Tool) > 0 {
		found = append(found, finding{ruleModule, name, 0, "", "a tool line: it belongs in scripts/tools.mod"})
	}
	if len(m.Replace) > 0 {
		found = append(found, finding{ruleModule, name, 0, "", "a replace line: go install refuses it"})
	}
	if m.Toolchain != "" {
		found = append(found, finding{ruleModule, name, 0, "", "a toolchain line: the go line says it"})
	}
	return found
}

// checkGoVersion wants the go line to name the Go that is installed, as in
// 1.26.8; empty is one that was never released.
func checkGoVersion(name string, m module, installed string) []finding {
	if installed == "" || m.Go == installed {
		return nil
	}
	return []finding{{ruleModule, name, 0, "", fmt.Sprintf("the go line says %s, the Go installed is %s: go mod edit -go=%s %s", m.Go, installed, installed, name)}}
}

// installedGo is the version of this Go, empty when it is no release.
func installedGo() string {
	version, _, _ := strings.Cut(runtime.Version(), " ") // experiments follow
	number, release := strings.CutPrefix(version, "go")
	if !release || strings.Contains(number, "-") {
		return ""
	}
	return number
}

// checkTopLevel wants nothing in the root but what is listed and what git
// ignores there.
func checkTopLevel(tree fs.FS, listed []string) []finding {
	var found []finding
	entries, err := fs.ReadDir(tree, ".")
	if err != nil {
		return []finding{{ruleTop, ".", 0, "", err.Error()}}
	}
	ignore, err := fs.ReadFile(tree, ".gitignore")
	if err != nil {
		return []finding{{ruleTop, ".gitignore", 0, "", err.Error()}}
	}
	for _, entry := range entries {
		ignored := slices.ContainsFunc(strings.Fields(string(ignore)), func(pattern string) bool {
			match, err := path.Match(strings.Trim(pattern, "/"), entry.Name())
			return match && err == nil
		})
		if !ignored && !slices.Contains(listed, entry.Name()) {
			found = append(found, finding{ruleTop, entry.Name(), 0, "", "not in the fixed top level of DESIGN §1: move it into a package's folder, or to .gitignore"})
		}
	}
	return found
}

func TestModule(t *testing.T) {
	name := filepath.Join(t.TempDir(), "go.mod")
	src := `module example.com/m
go 1.20
toolchain go1.99.0
require (
	github.com/pion/webrtc/v4 v4.2.21
	github.com/pion/turn/v5 v5.1.2
	github.com/zmap/zlint/v3 v3.10.0
	golang.org/x/vuln v1.8.0
	github.com/grandcat/zeroconf v1.0.0 // indirect
	github.com/libp2p/zeroconf/v2 v2.0.0
	github.com/pion/webrtc/v44 v44.0.0
)
tool example.com/tool
replace example.com/a => ../a
`
	if err := os.WriteFile(name, []byte(src), 0o600); err != nil {
		t.Fatal(err)
	}
	m := readModule(t, name)
	want(t, checkPins("go.mod", m, pins),
		"webrtc/v4 v4.2.21: use v4.2.20", "zlint/v3 v3.10.0: use v3.6.1 or older",
		"grandcat/zeroconf v1.0.0: do without it", "libp2p/zeroconf/v2 v2.0.0: do without it")
	want(t, checkPlainModule("go.mod", m), "a tool line", "a replace line", "a toolchain line")
	want(t, checkGoVersion("go.mod", m, "1.26.8"), "the go line says 1.20, the Go installed is 1.26.8")
	want(t, checkGoVersion("go.mod", m, "1.20"))
	want(t, checkGoVersion("go.mod", m, ""))
}

func TestCheckTopLevel(t *testing.T) {
	tree := fstest.MapFS{
		"certs/a.go":    {},
		"internal/a.go": {},
		"rtcdev":        {},
		"a.test":        {},
		".gitignore":    {Data: []byte("# built\n/rtcdev\n*.test\nnode_modules/\n")},
	}
	want(t, checkTopLevel(tree, []string{"certs", ".gitignore"}), "internal: not in the fixed top level")
	want(t, checkTopLevel(fstest.MapFS{}, nil), ".gitignore")
}
