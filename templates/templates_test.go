package templates

import (
	"bytes"
	"encoding/json"
	"errors"
	"io"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"reflect"
	"regexp"
	"slices"
	"strings"
	"testing"
	"testing/fstest"
)

// requireTool skips the test when a tool is missing, but not where everything is tested.
func requireTool(t *testing.T, name, pkg string) {
	t.Helper()
	if _, err := exec.LookPath(name); err == nil {
		return
	}
	if os.Getenv("CI") == "true" {
		t.Fatalf("%s is missing: install the package %s", name, pkg)
	}
	t.Skipf("%s is missing: install the package %s", name, pkg)
}

// render returns the files of the call template by path.
func render(t *testing.T, o Options) map[string][]byte {
	t.Helper()
	files, err := Render(o, "my-call")
	if err != nil {
		t.Fatal(err)
	}
	byPath := map[string][]byte{}
	for _, f := range files {
		byPath[f.Path] = f.Data
	}
	return byPath
}

func TestNames(t *testing.T) {
	if got := Names(); !reflect.DeepEqual(got, []string{"call"}) {
		t.Errorf("Names() = %q", got)
	}
	if _, err := FS("none"); !errors.Is(err, ErrUnknownTemplate) {
		t.Errorf("FS of an unknown template: %v", err)
	}
}

func TestRenderIsDeterministic(t *testing.T) {
	for _, o := range []Options{{}, {Lang: "en"}, {Lang: "ko"}} {
		a, b := render(t, o), render(t, o)
		if !reflect.DeepEqual(a, b) {
			t.Errorf("%+v: two renderings differ", o)
		}
	}
}

func TestFSScaffoldAndRenderGiveTheSameBytes(t *testing.T) {
	fsys, err := FS("call")
	if err != nil {
		t.Fatal(err)
	}
	dir := filepath.Join(t.TempDir(), "my-call")
	if _, err := Scaffold(t.Context(), dir, Options{}); err != nil {
		t.Fatal(err)
	}
	rendered := render(t, Options{})
	for p, want := range rendered {
		fromFS, err := fs.ReadFile(fsys, p)
		if err != nil || !bytes.Equal(fromFS, want) {
			t.Errorf("%s: FS differs (%v)", p, err)
		}
		written, err := os.ReadFile(filepath.Join(dir, filepath.FromSlash(p)))
		if err != nil || !bytes.Equal(written, want) {
			t.Errorf("%s: Scaffold differs (%v)", p, err)
		}
	}
	if err := fstest.TestFS(fsys, "index.html", "index.js", "style.css", "package.json", "adapter.js", ".gitignore"); err != nil {
		t.Error(err)
	}
	f, err := fsys.Open("index.html")
	if err != nil {
		t.Fatal(err)
	}
	if _, ok := f.(io.Seeker); !ok {
		t.Error("a file of FS can not seek, so net/http can not serve it")
	}
}

func TestLanguages(t *testing.T) {
	for lang, want := range map[string][]string{
		"":   {`<html lang="en" data-follow-browser>`, ">Hang up<"},
		"en": {`<html lang="en">`, ">Hang up<"},
		"ko": {`<html lang="ko">`, ">통화 종료<"},
	} {
		page := string(render(t, Options{Lang: lang})["index.html"])
		for _, w := range want {
			if !strings.Contains(page, w) {
				t.Errorf("language %q: index.html has no %s", lang, w)
			}
		}
	}
}

// The page's texts and the script's must be the same ones: each element that has
// a text by name shows that text already in the HTML.
func TestPageShowsTheTextItNames(t *testing.T) {
	page := string(render(t, Options{Lang: "ko"})["index.html"])
	texts := callTexts(t)["ko"]
	named := regexp.MustCompile(`data-text="(\w+)"[^>]*>([^<]*)<`).FindAllStringSubmatch(page, -1)
	labelled := regexp.MustCompile(`data-label="(\w+)" aria-label="([^"]*)"`).FindAllStringSubmatch(page, -1)
	if len(named) < 8 || len(labelled) < 3 {
		t.Fatalf("found only %d texts and %d labels in the page", len(named), len(labelled))
	}
	for _, m := range slices.Concat(named, labelled) {
		if want, ok := texts[m[1]]; !ok || m[2] != want {
			t.Errorf("%s shows %q, messages.js says %q", m[1], m[2], want)
		}
	}
}

func callTexts(t *testing.T) map[string]map[string]string {
	t.Helper()
	dir, err := fs.Sub(embedded, "call")
	if err != nil {
		t.Fatal(err)
	}
	texts, err := readTexts(dir)
	if err != nil {
		t.Fatal(err)
	}
	return texts
}

func TestEveryTextIsInBothLanguages(t *testing.T) {
	texts := callTexts(t)
	places := regexp.MustCompile(`\{\w+\}`)
	hangul := regexp.MustCompile(`\p{Hangul}`)
	if len(texts) != 2 || len(texts["en"]) < 50 {
		t.Fatalf("messages.js has %d languages and %d English texts", len(texts), len(texts["en"]))
	}
	for key, en := range texts["en"] {
		ko := texts["ko"][key]
		if !hangul.MatchString(ko) || hangul.MatchString(en) {
			t.Errorf("%s: en %q, ko %q", key, en, ko)
		}
		inEn, inKo := places.FindAllString(en, -1), places.FindAllString(ko, -1)
		slices.Sort(inEn)
		slices.Sort(inKo)
		if !slices.Equal(inEn, inKo) {
			t.Errorf("%s: en has %q to fill in, ko %q", key, inEn, inKo)
		}
	}
	for key := range texts["ko"] {
		if _, ok := texts["en"][key]; !ok {
			t.Errorf("%s is in Korean only", key)
		}
	}
}

// Every text the scripts name must exist, and every failure must have all three parts.
func TestEveryTextTheScriptsNameExists(t *testing.T) {
	files, texts := render(t, Options{}), callTexts(t)["en"]
	used := regexp.MustCompile(`(?:text\(|[?:] |leaveRoom\("\w+", )"([\w.]+)"|\["(\w+)", (?:\(\)|page\.)`)
	found := map[string]bool{}
	for _, name := range []string{"index.js", "page.js"} {
		for _, m := range used.FindAllStringSubmatch(string(files[name]), -1) {
			key := m[1] + m[2]
			if key == "rollback" {
				continue // a word of WebRTC's
			}
			if found[key] = true; texts[key] == "" {
				t.Errorf("%s uses the text %q, which is not in messages.js", name, key)
			}
		}
	}
	if len(found) < 20 {
		t.Errorf("found only the texts %v in the scripts", found)
	}
	codes := regexp.MustCompile(`(?:MediaFailure\(|return |\? |: )"(\w+)"`)
	seen := map[string]bool{}
	for _, m := range codes.FindAllStringSubmatch(string(files["media.js"]), -1) {
		if slices.Contains([]string{"granted", "prompt", "denied"}, m[1]) && texts["failure."+m[1]+".what"] == "" {
			continue // states of a permission
		}
		seen[m[1]] = true
	}
	delete(seen, "unknown") // also a state of a permission; it is checked with the rest below
	for code := range seen {
		for _, part := range []string{"what", "why", "now"} {
			if texts["failure."+code+"."+part] == "" {
				t.Errorf("media.js throws %q, but there is no text failure.%s.%s", code, code, part)
			}
		}
	}
	if len(seen) < 13 {
		t.Errorf("found only the failures %v in media.js", seen)
	}
	for _, state := range strings.Fields("media noMedia joining waiting connecting connected disconnected failed left ended full replaced refused offline") {
		if texts["status."+state] == "" {
			t.Errorf("there is no text status.%s", state)
		}
	}
	for _, state := range strings.Fields("waiting left ended full replaced refused") {
		if texts[state+".title"] == "" || texts[state+".text"] == "" {
			t.Errorf("there is no card for %s", state)
		}
	}
}

// What git must not take in: key material, and what npm can fetch again.
func TestGitignore(t *testing.T) {
	requireTool(t, "git", "git")
	dir := filepath.Join(t.TempDir(), "my-call")
	if _, err := Scaffold(t.Context(), dir, Options{}); err != nil {
		t.Fatal(err)
	}
	mustMkdir(t, filepath.Join(dir, "node_modules"))
	for _, f := range []string{"key.pem", "localhost-key.pem", "node_modules/x.js"} {
		mustWrite(t, filepath.Join(dir, f), "")
	}
	if out, err := runIn(t, dir, "git", "init", "--quiet"); err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	out, err := runIn(t, dir, "git", "status", "--porcelain", "--untracked-files=all")
	if err != nil || !strings.Contains(out, "?? index.js") || strings.Contains(out, "key") || strings.Contains(out, "node_modules") {
		t.Errorf("git would take in (%v):\n%s", err, out)
	}
}

func TestIndexJSStaysShort(t *testing.T) {
	const limit = 250
	if lines := bytes.Count(render(t, Options{})["index.js"], []byte("\n")); lines >= limit {
		t.Errorf("index.js has %d lines; a learner is to read it whole, in less than %d", lines, limit)
	}
}

func TestScriptsAreValid(t *testing.T) {
	requireTool(t, "node", "nodejs")
	dir := filepath.Join(t.TempDir(), "my-call")
	r, err := Scaffold(t.Context(), dir, Options{})
	if err != nil {
		t.Fatal(err)
	}
	for _, f := range r.Files {
		if filepath.Ext(f) != ".js" {
			continue
		}
		if out, err := exec.Command("node", "--check", filepath.Join(dir, f)).CombinedOutput(); err != nil {
			t.Errorf("%s: %v\n%s", f, err, out)
		}
	}
}

// Everything is served from this machine, and nothing that is not there is asked for.
func TestPagesAskForNothingFromElsewhere(t *testing.T) {
	files := render(t, Options{})
	refs := regexp.MustCompile(`(?:src|href)="([^"#]+)"|from "\./([^"]+)"|url\(([^)]+)\)`)
	for name, data := range files {
		for _, m := range refs.FindAllStringSubmatch(string(data), -1) {
			ref := m[1] + m[2] + m[3]
			if files[ref] == nil && !strings.HasPrefix(ref, "data:") {
				t.Errorf("%s asks for %s, which is not in the template", name, ref)
			}
		}
	}
}

func TestPackageJSON(t *testing.T) {
	for _, name := range []string{"", "My Call.v2", `a"b\c`} {
		files, err := Render(Options{}, name)
		if err != nil {
			t.Fatal(err)
		}
		i := slices.IndexFunc(files, func(f File) bool { return f.Path == "package.json" })
		var pkg struct {
			Name         string
			Private      bool
			Scripts      map[string]string
			Dependencies map[string]string
		}
		if err := json.Unmarshal(files[i].Data, &pkg); err != nil {
			t.Fatal(err)
		}
		if !npmName.MatchString(pkg.Name) || !pkg.Private || pkg.Dependencies["webrtc-adapter"] == "" {
			t.Errorf("package.json is %+v", pkg)
		}
		if !strings.HasPrefix(pkg.Scripts["start"], "rtcdev serve") || !strings.HasPrefix(pkg.Scripts["certs"], "rtcdev certs") {
			t.Errorf("the scripts are %q", pkg.Scripts)
		}
	}
}

func runIn(t *testing.T, dir string, command ...string) (string, error) {
	t.Helper()
	cmd := exec.CommandContext(t.Context(), command[0], command[1:]...)
	cmd.Dir = dir
	out, err := cmd.CombinedOutput()
	return string(out), err
}
