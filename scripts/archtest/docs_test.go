package archtest

import (
	"go/ast"
	"maps"
	"slices"
	"testing"
)

// checkPackageComments wants one file of each package to say what it is for.
func checkPackageComments(files []*file) []finding {
	var found []finding
	all := packages(files)
	for _, dir := range slices.Sorted(maps.Keys(all)) {
		if !slices.ContainsFunc(all[dir], func(f *file) bool { return !f.test && f.ast.Doc != nil }) {
			found = append(found, finding{ruleDoc, dir, 0, "", "no package comment: say what the package is for, its invariants and its limits"})
		}
	}
	return found
}

// understood are methods whose meaning the interface that asks for them gives.
var understood = []string{"Error", "String", "Unwrap"}

// checkDocComments wants a comment on every exported name of a library: on a
// function, a method of an exported type or interface, a type, and on a constant
// or variable or the group it is in. A field may be clear from its type's comment.
func checkDocComments(files []*file) []finding {
	var found []finding
	for _, f := range files {
		if f.test || f.ast.Name.Name == "main" {
			continue
		}
		missing := func(n ast.Node, name string) {
			found = append(found, f.at(ruleDoc, n, name, "%s is exported and has no doc comment", name))
		}
		for _, decl := range f.ast.Decls {
			switch decl := decl.(type) {
			case *ast.FuncDecl:
				if decl.Doc == nil && decl.Name.IsExported() && ast.IsExported(receiver(decl)) &&
					(decl.Recv == nil || !slices.Contains(understood, decl.Name.Name)) {
					missing(decl, decl.Name.Name)
				}
			case *ast.GenDecl:
				for _, spec := range decl.Specs {
					undocumented(spec, decl, missing)
				}
			}
		}
	}
	return found
}

// receiver is the name of the type a method belongs to; a function's own name.
func receiver(fn *ast.FuncDecl) string {
	if fn.Recv == nil {
		return fn.Name.Name
	}
	t := fn.Recv.List[0].Type
	for {
		switch e := t.(type) {
		case *ast.StarExpr:
			t = e.X
		case *ast.IndexExpr:
			t = e.X
		case *ast.IndexListExpr:
			t = e.X
		case *ast.Ident:
			return e.Name
		default:
			return ""
		}
	}
}

// undocumented calls missing for the exported names of a declaration that no
// comment explains.
func undocumented(spec ast.Spec, group *ast.GenDecl, missing func(ast.Node, string)) {
	switch spec := spec.(type) {
	case *ast.ValueSpec:
		for _, name := range spec.Names {
			if name.IsExported() && group.Doc == nil && spec.Doc == nil && spec.Comment == nil {
				missing(name, name.Name)
			}
		}
	case *ast.TypeSpec:
		if !spec.Name.IsExported() {
			return
		}
		if spec.Doc == nil && (group.Doc == nil || group.Lparen.IsValid()) {
			missing(spec, spec.Name.Name)
		}
		methods, ok := spec.Type.(*ast.InterfaceType)
		if !ok {
			return
		}
		for _, m := range methods.Methods.List {
			for _, name := range m.Names {
				if name.IsExported() && m.Doc == nil && m.Comment == nil {
					missing(name, spec.Name.Name+"."+name.Name)
				}
			}
		}
	}
}

func TestCheckPackageComments(t *testing.T) {
	files := parse(t, map[string]string{
		"a/a.go":      "// Package a is.\npackage a",
		"a/b.go":      "package a",
		"b/b.go":      "// A licence.\n\npackage b",
		"b/b_test.go": "// Package b is tested.\npackage b",
		"c/main.go":   "package main",
	})
	want(t, checkPackageComments(files), "b: no package comment", "c: no package comment")
}

func TestCheckDocComments(t *testing.T) {
	files := parse(t, map[string]string{
		"a/a.go": `package a
func F() {}
// G is.
func G() {}
func h() {}
type T struct {
	A int
	B int // the b
	c int
	embedded
}
func (T) M() {}
func (*T) P() {}
func (T) String() string { return "" }
func (L[K]) Q() {}
func (hidden) M() {}
func String() {}
// The group.
type (
	// I is.
	I interface { Do() }
	L[K any] []K
)
// The modes.
const (
	One = 1
	Two = 2
)
const Three, four = 3, 4
var (
	// ErrA is.
	ErrA = 1
	ErrB = 2
	ErrC = 3 // too
)`,
		"a/a_test.go": "package a\nfunc TestF() {}",
		"b/main.go":   "package main\nfunc F() {}",
	})
	want(t, checkDocComments(files),
		":2: F is", ":6: T is", ":12: M is", ":13: P is", ":15: Q is", ":17: String is",
		":21: I.Do is", ":22: L is", ":29: Three is", ":33: ErrB is")
}
