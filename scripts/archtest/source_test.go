package archtest

import (
	"cmp"
	"fmt"
	"go/ast"
	"go/parser"
	"go/token"
	"io/fs"
	"path"
	"slices"
	"strconv"
	"strings"
	"testing"
	"testing/fstest"
)

const modulePath = "rtcdev"

// file is one parsed Go file.
type file struct {
	path  string // from the module's root, with slashes
	dir   string
	test  bool
	lines int
	fset  *token.FileSet
	ast   *ast.File
}

// finding is something that breaks a rule.
type finding struct {
	rule string
	file string
	line int    // 0 when it is not about a line
	name string // what an allowance calls it; empty where none is possible
	text string // what is wrong, and what to do about it
}

func (f finding) String() string {
	at := f.file
	if f.line > 0 {
		at += ":" + strconv.Itoa(f.line)
	}
	return fmt.Sprintf("%s: %s (%s)", at, f.text, f.rule)
}

// at makes a finding about a node of the file.
func (f *file) at(rule string, node ast.Node, name, format string, args ...any) finding {
	return finding{rule, f.path, f.fset.Position(node.Pos()).Line, name, fmt.Sprintf(format, args...)}
}

// parseTree parses every Go file that the go command would see, and those for
// other systems.
func parseTree(tree fs.FS) ([]*file, error) {
	var files []*file
	err := fs.WalkDir(tree, ".", func(name string, d fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		if d.IsDir() {
			base := d.Name()
			if name != "." && (strings.HasPrefix(base, ".") || strings.HasPrefix(base, "_") || base == "testdata" || base == "node_modules") {
				return fs.SkipDir
			}
			return nil
		}
		if path.Ext(name) != ".go" {
			return nil
		}
		src, err := fs.ReadFile(tree, name)
		if err != nil {
			return err
		}
		fset := token.NewFileSet()
		parsed, err := parser.ParseFile(fset, name, src, parser.ParseComments)
		if err != nil {
			return err
		}
		files = append(files, &file{
			path: name, dir: path.Dir(name), test: strings.HasSuffix(name, "_test.go"),
			lines: strings.Count(string(src), "\n"), fset: fset, ast: parsed,
		})
		return nil
	})
	return files, err
}

// imports gives the path of each import of the file, and the node it is at.
func (f *file) imports() map[string]*ast.ImportSpec {
	all := map[string]*ast.ImportSpec{}
	for _, spec := range f.ast.Imports {
		if p, err := strconv.Unquote(spec.Path.Value); err == nil {
			all[p] = spec
		}
	}
	return all
}

// uses reports whether the expression is NAME of the package with that import
// path, as in os.Exit.
func (f *file) uses(e ast.Expr, importPath, name string) bool {
	sel, ok := e.(*ast.SelectorExpr)
	if !ok || sel.Sel.Name != name {
		return false
	}
	x, ok := sel.X.(*ast.Ident)
	if !ok {
		return false
	}
	spec := f.imports()[importPath]
	if spec == nil {
		return false
	}
	local := path.Base(importPath)
	if spec.Name != nil {
		local = spec.Name.Name
	}
	return x.Name == local
}

// inspect walks the file and says, for each node, the name of the top-level
// function it is in, or of the first variable or constant of its declaration.
func (f *file) inspect(visit func(n ast.Node, around string)) {
	walk := func(root ast.Node, around string) {
		ast.Inspect(root, func(n ast.Node) bool {
			if n != nil {
				visit(n, around)
			}
			return true
		})
	}
	for _, decl := range f.ast.Decls {
		switch decl := decl.(type) {
		case *ast.FuncDecl:
			walk(decl, decl.Name.Name)
		case *ast.GenDecl:
			for _, spec := range decl.Specs {
				around := ""
				if v, ok := spec.(*ast.ValueSpec); ok {
					around = v.Names[0].Name
				}
				walk(spec, around)
			}
		}
	}
}

// packages groups files by folder.
func packages(files []*file) map[string][]*file {
	all := map[string][]*file{}
	for _, f := range files {
		all[f.dir] = append(all[f.dir], f)
	}
	return all
}

// excuse leaves out what an allowance names, and adds the allowances that name
// nothing.
func excuse(findings []finding, allowed []allowance) []finding {
	used := make([]bool, len(allowed))
	rest := slices.DeleteFunc(slices.Clone(findings), func(f finding) bool {
		i := slices.IndexFunc(allowed, func(a allowance) bool {
			return a.rule == f.rule && f.name != "" && a.where == f.file+":"+f.name
		})
		if i >= 0 {
			used[i] = true
		}
		return i >= 0
	})
	for i, a := range allowed {
		if !used[i] {
			rest = append(rest, finding{a.rule, rulesFile, 0, "", "the allowance for " + a.where + " excuses nothing: remove it"})
		}
	}
	slices.SortFunc(rest, func(a, b finding) int {
		return cmp.Or(strings.Compare(a.file, b.file), a.line-b.line, strings.Compare(a.text, b.text))
	})
	return rest
}

// parse parses files given as text, by path.
func parse(t *testing.T, sources map[string]string) []*file {
	t.Helper()
	tree := fstest.MapFS{}
	for name, src := range sources {
		tree[name] = &fstest.MapFile{Data: []byte(src)}
	}
	files, err := parseTree(tree)
	if err != nil {
		t.Fatal(err)
	}
	return files
}

// want compares findings with one piece of text that each must contain, in any
// order: none more, none less.
func want(t *testing.T, got []finding, pieces ...string) {
	t.Helper()
	left := slices.Clone(got)
	for _, piece := range pieces {
		i := slices.IndexFunc(left, func(f finding) bool { return strings.Contains(f.String(), piece) })
		if i < 0 {
			t.Errorf("no finding says %q", piece)
			continue
		}
		left = slices.Delete(left, i, i+1)
	}
	for _, f := range left {
		t.Errorf("not expected: %s", f)
	}
}

func TestParseTreeReadsEverySystemsFilesAndNoOthers(t *testing.T) {
	files := parse(t, map[string]string{
		"certs/a_windows.go":      "//go:build windows\n\npackage certs\n",
		"certs/testdata/a.go":     "package broken",
		"node_modules/a/a.go":     "package a",
		".git/a.go":               "package a",
		"templates/call/index.js": "not Go",
	})
	if len(files) != 1 || files[0].path != "certs/a_windows.go" || files[0].dir != "certs" || files[0].lines != 3 {
		t.Errorf("got %+v", files)
	}
}

func TestExcuse(t *testing.T) {
	found := []finding{
		{ruleExit, "a/b.go", 3, "main", "exits"},
		{ruleExit, "a/b.go", 9, "other", "exits too"},
		{rulePanic, "a/b.go", 4, "main", "panics"},
	}
	want(t, excuse(found, []allowance{
		{ruleExit, "a/b.go:main", "a reason"},
		{ruleExit, "a/c.go:main", "a reason"},
	}), "a/b.go:9: exits too", "a/b.go:4: panics", "a/c.go:main excuses nothing")
}
