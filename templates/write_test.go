package templates

import (
	"context"
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"reflect"
	"testing"
)

// countdown is a context that is cancelled at the n-th look at it.
type countdown struct {
	context.Context
	n int
}

func (c *countdown) Err() error {
	if c.n--; c.n < 0 {
		return context.Canceled
	}
	return nil
}

// Stopped at any step, Scaffold must put everything back.
func TestScaffoldUndoesEveryStep(t *testing.T) {
	prepares := map[string]func(t *testing.T, top string) string{
		"new":     func(t *testing.T, top string) string { return filepath.Join(top, "a", "b", "c") },
		"replace": prepareReplace,
	}
	for name, prepare := range prepares {
		t.Run(name, func(t *testing.T) {
			for n := 0; ; n++ {
				top := t.TempDir()
				dir := prepare(t, top)
				before := snapshot(t, top)
				ctx := &countdown{t.Context(), n}
				_, err := Scaffold(ctx, dir, Options{Force: true})
				if err == nil {
					if n < 10 {
						t.Fatalf("done after only %d steps", n)
					}
					return
				}
				if !errors.Is(err, context.Canceled) {
					t.Fatalf("step %d: %v", n, err)
				}
				if after := snapshot(t, top); !reflect.DeepEqual(after, before) {
					t.Fatalf("step %d left %q, was %q", n, after, before)
				}
			}
		})
	}
}

// intruder is a context that makes a file at the n-th look at it, as another
// program might. made tells whether it was not there yet.
type intruder struct {
	context.Context
	n    int
	path string
	made bool
}

func (c *intruder) Err() error {
	if c.n--; c.n == -1 {
		f, err := os.OpenFile(c.path, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o600)
		if err == nil {
			c.made = true
			f.WriteString("mine")
			f.Close()
		}
	}
	return nil
}

func TestScaffoldSparesAFileThatAppearsMeanwhile(t *testing.T) {
	for n := 0; ; n++ {
		dir := t.TempDir()
		ctx := &intruder{Context: t.Context(), n: n, path: filepath.Join(dir, "index.html")}
		_, err := Scaffold(ctx, dir, Options{})
		if !ctx.made && n > 0 {
			return // index.html was already in its place
		}
		if !errors.Is(err, fs.ErrExist) {
			t.Errorf("step %d: got %v", n, err)
		}
		want := map[string]string{dir: "d--------- ", ctx.path: "---------- mine"}
		if got := snapshot(t, dir); !reflect.DeepEqual(got, want) {
			t.Errorf("step %d: the folder holds %q", n, got)
		}
	}
}

func TestMoveToReplacesNothing(t *testing.T) {
	dir := t.TempDir()
	mustWrite(t, filepath.Join(dir, "new"), "new")
	mustWrite(t, filepath.Join(dir, "mine"), "mine")
	root, err := os.OpenRoot(dir)
	if err != nil {
		t.Fatal(err)
	}
	defer root.Close()
	if err := moveTo(root, "new", "mine"); !errors.Is(err, fs.ErrExist) {
		t.Errorf("got %v", err)
	}
	if data, _ := os.ReadFile(filepath.Join(dir, "mine")); string(data) != "mine" {
		t.Errorf("replaced by %q", data)
	}
}

// Subfolders come with the next templates; the rules for them are fixed here.
func TestCheckTargetsInSubfolders(t *testing.T) {
	dir := t.TempDir()
	files := []File{{Path: "a/x"}, {Path: "b/x"}, {Path: "c/d/x"}, {Path: "e/x"}}
	mustMkdir(t, filepath.Join(dir, "a"))
	mustWrite(t, filepath.Join(dir, "a", "x"), "mine")
	mustWrite(t, filepath.Join(dir, "b"), "a file where a folder must be")
	mustSymlink(t, t.TempDir(), filepath.Join(dir, "e"))

	var exists *ExistsError
	_, err := checkTargets(dir, files, false)
	if !errors.As(err, &exists) || !reflect.DeepEqual(exists.Files, []string{"a/x", "b", "e"}) {
		t.Errorf("without force: %v", err)
	}
	if _, err := checkTargets(dir, files, true); !errors.Is(err, ErrNotReplaceable) {
		t.Errorf("with force: %v", err)
	}
	replaced, err := checkTargets(dir, []File{{Path: "a/x"}, {Path: "c/d/x"}}, true)
	if err != nil || !reflect.DeepEqual(replaced, []string{"a/x"}) {
		t.Errorf("with force and no obstacle: %q, %v", replaced, err)
	}
	if err := write(t.Context(), dir, nil, []File{{Path: "c/d/x"}, {Path: "a/y"}}, nil); err != nil {
		t.Errorf("writing to subfolders: %v", err)
	}
	if _, err := os.Stat(filepath.Join(dir, "c", "d", "x")); err != nil {
		t.Error(err)
	}
}
