package templates

import (
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"reflect"
	"runtime"
	"slices"
	"strings"
	"testing"
)

// snapshot lists all below dir: path → type, and content or link target.
func snapshot(t *testing.T, dir string) map[string]string {
	t.Helper()
	all := map[string]string{}
	err := filepath.WalkDir(dir, func(p string, d fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		content := ""
		switch {
		case d.Type().IsRegular():
			data, err := os.ReadFile(p)
			if err != nil {
				return err
			}
			content = string(data)
		case d.Type()&fs.ModeSymlink != 0:
			if content, err = os.Readlink(p); err != nil {
				return err
			}
		}
		all[p] = d.Type().String() + " " + content
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	return all
}

func mustWrite(t *testing.T, p, content string) {
	t.Helper()
	if err := os.WriteFile(p, []byte(content), 0o600); err != nil {
		t.Fatal(err)
	}
}

func mustMkdir(t *testing.T, p string) {
	t.Helper()
	if err := os.MkdirAll(p, 0o755); err != nil {
		t.Fatal(err)
	}
}

func mustSymlink(t *testing.T, target, p string) {
	t.Helper()
	if err := os.Symlink(target, p); err != nil {
		t.Skip("this system makes no symbolic links: ", err)
	}
}

// checkWritten checks that dir holds exactly the rendered files.
func checkWritten(t *testing.T, dir string, o Options, r *Result) {
	t.Helper()
	files, err := Render(o, filepath.Base(r.Dir))
	if err != nil {
		t.Fatal(err)
	}
	want := map[string]string{dir: "d--------- "}
	var paths []string
	for _, f := range files {
		paths = append(paths, f.Path)
		want[filepath.Join(dir, filepath.FromSlash(f.Path))] = "---------- " + string(f.Data)
		info, err := os.Stat(filepath.Join(dir, f.Path))
		if err != nil {
			t.Fatal(err)
		}
		if runtime.GOOS != "windows" && info.Mode().Perm()&0o700 != 0o600 {
			t.Errorf("%s has mode %v", f.Path, info.Mode())
		}
	}
	if !reflect.DeepEqual(r.Files, paths) {
		t.Errorf("Result.Files = %q, want %q", r.Files, paths)
	}
	if got := snapshot(t, dir); !reflect.DeepEqual(got, want) {
		t.Errorf("the folder holds %q, want %q", slices.Sorted(mapKeys(got)), slices.Sorted(mapKeys(want)))
	}
}

func mapKeys(m map[string]string) func(func(string) bool) {
	return func(yield func(string) bool) {
		for k := range m {
			if !yield(k) {
				return
			}
		}
	}
}

func TestScaffoldNamesThePackageAfterTheFolder(t *testing.T) {
	for folder, want := range map[string]string{
		"my-call":                 "my-call",
		"My Call.v2":              "my-call.v2",
		"내 통화":                    "my-call",
		"회의 room 1":               "room-1",
		"deep/er/과제 (final) v1.0": "final-v1.0",
		"node_modules":            "my-node_modules",
	} {
		t.Run(folder, func(t *testing.T) {
			dir := filepath.Join(t.TempDir(), "바탕 화면", filepath.FromSlash(folder))
			r, err := Scaffold(t.Context(), dir, Options{})
			if err != nil {
				t.Fatal(err)
			}
			if r.PackageName != want || r.Dir != dir || len(r.Replaced) != 0 {
				t.Errorf("got %+v, want the package name %q", r, want)
			}
			checkWritten(t, dir, Options{}, r)
		})
	}
}

func TestScaffoldHere(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "Here")
	mustMkdir(t, dir)
	t.Chdir(dir)
	r, err := Scaffold(t.Context(), ".", Options{Lang: "ko"})
	if err != nil {
		t.Fatal(err)
	}
	if r.PackageName != "here" {
		t.Errorf("the package name is %q", r.PackageName)
	}
	checkWritten(t, dir, Options{Lang: "ko"}, r)
}

func TestScaffoldLeavesOtherFilesAlone(t *testing.T) {
	dir := t.TempDir()
	mustWrite(t, filepath.Join(dir, "notes.txt"), "mine")
	if _, err := Scaffold(t.Context(), dir, Options{}); err != nil {
		t.Fatal(err)
	}
	if data, err := os.ReadFile(filepath.Join(dir, "notes.txt")); err != nil || string(data) != "mine" {
		t.Errorf("notes.txt is %q, %v", data, err)
	}
}

// refusals are folders that Scaffold must leave exactly as they are.
var refusals = []struct {
	name    string
	prepare func(t *testing.T, top string) (dir string)
	options Options
	is      error    // errors.Is
	files   []string // of an *ExistsError
	says    string
}{
	{
		name:    "unknown template",
		prepare: func(t *testing.T, top string) string { return filepath.Join(top, "new") },
		options: Options{Template: "codlab"}, is: ErrUnknownTemplate, says: "choose one of: call",
	},
	{
		name:    "unknown language",
		prepare: func(t *testing.T, top string) string { return filepath.Join(top, "new") },
		options: Options{Lang: "de"}, is: ErrUnknownLanguage, says: "en, ko",
	},
	{
		name: "some files exist",
		prepare: func(t *testing.T, top string) string {
			mustWrite(t, filepath.Join(top, "style.css"), "mine")
			mustWrite(t, filepath.Join(top, "index.html"), "mine")
			return top
		},
		files: []string{"index.html", "style.css"}, says: "index.html, style.css",
	},
	{
		name: "a link to a file outside",
		prepare: func(t *testing.T, top string) string {
			dir := filepath.Join(top, "app")
			mustMkdir(t, dir)
			mustWrite(t, filepath.Join(top, "outside"), "mine")
			mustSymlink(t, filepath.Join(top, "outside"), filepath.Join(dir, "index.js"))
			return dir
		},
		files: []string{"index.js"},
	},
	{
		name: "a link to nowhere",
		prepare: func(t *testing.T, top string) string {
			mustSymlink(t, "nowhere", filepath.Join(top, "package.json"))
			return top
		},
		files: []string{"package.json"},
	},
	{
		name: "a folder where a file must go",
		prepare: func(t *testing.T, top string) string {
			mustMkdir(t, filepath.Join(top, "index.html"))
			return top
		},
		files: []string{"index.html"},
	},
	{
		name: "a folder where a file must go, with force",
		prepare: func(t *testing.T, top string) string {
			mustMkdir(t, filepath.Join(top, "index.html"))
			mustWrite(t, filepath.Join(top, "index.js"), "mine")
			return top
		},
		options: Options{Force: true}, is: ErrNotReplaceable, says: "index.html",
	},
	{
		name: "the target is a file",
		prepare: func(t *testing.T, top string) string {
			mustWrite(t, filepath.Join(top, "app"), "mine")
			return filepath.Join(top, "app")
		},
		options: Options{Force: true}, is: ErrNotReplaceable, says: "is a file, not a folder",
	},
	{
		name: "a parent of the target is a file",
		prepare: func(t *testing.T, top string) string {
			mustWrite(t, filepath.Join(top, "app"), "mine")
			return filepath.Join(top, "app", "a", "b")
		},
		options: Options{Force: true}, is: ErrNotReplaceable, says: "app is a file, not a folder",
	},
	{
		name: "the target is a link to nowhere",
		prepare: func(t *testing.T, top string) string {
			mustSymlink(t, filepath.Join(top, "gone"), filepath.Join(top, "app"))
			return filepath.Join(top, "app")
		},
		is: ErrNotReplaceable, says: "link to nowhere",
	},
}

func TestScaffoldRefuses(t *testing.T) {
	for _, c := range refusals {
		for _, dryRun := range []bool{false, true} {
			t.Run(c.name, func(t *testing.T) {
				top := t.TempDir()
				dir := c.prepare(t, top)
				before := snapshot(t, top)
				o := c.options
				o.DryRun = dryRun
				r, err := Scaffold(t.Context(), dir, o)
				if err == nil {
					t.Fatalf("no error (dry run: %v), but %+v", dryRun, r)
				}
				var exists *ExistsError
				if errors.As(err, &exists) != (c.files != nil) || c.files != nil && !reflect.DeepEqual(exists.Files, c.files) {
					t.Errorf("got %v, want an ExistsError of %q", err, c.files)
				}
				if c.is != nil && !errors.Is(err, c.is) || !strings.Contains(err.Error(), c.says) {
					t.Errorf("got %q, want %q with %q", err, c.is, c.says)
				}
				if after := snapshot(t, top); !reflect.DeepEqual(after, before) {
					t.Errorf("changed: %q, was %q", after, before)
				}
			})
		}
	}
}

// prepareReplace makes a folder in which Force has a file and a link to replace.
func prepareReplace(t *testing.T, top string) (dir string) {
	dir = filepath.Join(top, "app")
	mustMkdir(t, dir)
	mustWrite(t, filepath.Join(top, "outside"), "mine")
	mustWrite(t, filepath.Join(dir, "index.html"), "old")
	mustSymlink(t, filepath.Join(top, "outside"), filepath.Join(dir, "style.css"))
	return dir
}

func TestScaffoldForce(t *testing.T) {
	top := t.TempDir()
	dir := prepareReplace(t, top)
	before := snapshot(t, top)
	dry, err := Scaffold(t.Context(), dir, Options{Force: true, DryRun: true})
	if err != nil {
		t.Fatal(err)
	}
	if after := snapshot(t, top); !reflect.DeepEqual(after, before) {
		t.Errorf("the dry run changed: %q, was %q", after, before)
	}
	r, err := Scaffold(t.Context(), dir, Options{Force: true})
	if err != nil {
		t.Fatal(err)
	}
	if !reflect.DeepEqual(r, dry) || !reflect.DeepEqual(r.Replaced, []string{"index.html", "style.css"}) {
		t.Errorf("got %+v, the dry run said %+v", r, dry)
	}
	checkWritten(t, dir, Options{}, r)
	if data, err := os.ReadFile(filepath.Join(top, "outside")); err != nil || string(data) != "mine" {
		t.Errorf("the file behind the link is %q, %v", data, err)
	}
}
