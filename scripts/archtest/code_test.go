package archtest

import (
	"fmt"
	"go/ast"
	"go/token"
	"slices"
	"strings"
	"testing"
)

// checkInit looks for code that runs before main, in an order nobody chose.
func checkInit(files []*file) []finding {
	var found []finding
	for _, f := range files {
		for _, decl := range f.ast.Decls {
			if fn, ok := decl.(*ast.FuncDecl); ok && fn.Recv == nil && fn.Name.Name == "init" {
				found = append(found, f.at(ruleInit, fn, "", "an init function: do it where it is needed"))
			}
		}
	}
	return found
}

// checkVars looks for package-level variables that could change. Sentinel
// errors, embedded files and proofs of an interface are left out.
func checkVars(files []*file) []finding {
	var found []finding
	for _, f := range files {
		if f.test {
			continue
		}
		for _, decl := range f.ast.Decls {
			gen, ok := decl.(*ast.GenDecl)
			if !ok || gen.Tok != token.VAR {
				continue
			}
			for _, spec := range gen.Specs {
				spec := spec.(*ast.ValueSpec)
				for i, name := range spec.Names {
					if !neverChanged(f, spec, i) {
						found = append(found, f.at(ruleVar, name, name.Name, "%s is a package-level variable: pass it as a value, or allow it with a reason in %s", name.Name, rulesFile))
					}
				}
			}
		}
	}
	return found
}

// neverChanged reports whether a variable is of a kind that nobody assigns to.
func neverChanged(f *file, spec *ast.ValueSpec, i int) bool {
	if spec.Names[i].Name == "_" || spec.Type != nil && f.uses(spec.Type, "embed", "FS") {
		return true
	}
	if i >= len(spec.Values) {
		return false
	}
	call, ok := spec.Values[i].(*ast.CallExpr)
	return ok && f.uses(call.Fun, "errors", "New")
}

// A ban is on names that code may not use.
type ban struct {
	rule    string
	path    string // the import path of their package; empty for builtins
	names   []string
	inTests string // where test files may use them: one function's name, or everywhere
	instead string
}

const everywhere = "everywhere"

var bans = []ban{
	{ruleExit, "os", []string{"Exit"}, "TestMain", "return an error"},
	{ruleExit, "log", []string{"Fatal", "Fatalf", "Fatalln"}, "", "return an error"},
	{rulePrint, "fmt", []string{"Print", "Printf", "Println"}, everywhere, "write to an io.Writer that the caller gave"},
	{rulePrint, "", []string{"print", "println"}, everywhere, "write to an io.Writer that the caller gave"},
	{rulePanic, "", []string{"panic"}, everywhere, "return an error"},
	{rulePanic, "log", []string{"Panic", "Panicf", "Panicln"}, everywhere, "return an error"},
	{ruleSleep, "time", []string{"Sleep"}, "", "wait for the event, with a deadline"},
	{ruleInsecure, "github.com/chromedp/chromedp", []string{"IgnoreCertErrors"}, "", "trust the test's root"},
}

// insecureWords turn certificate errors off, in Go and in other programs.
var insecureWords = []string{"InsecureSkipVerify", "ignore-certificate-errors", "allow-insecure-localhost",
	"--insecure", "--no-check-certificate", "NODE_TLS_REJECT_UNAUTHORIZED", "setIgnoreCertificateErrors"}

// checkBans looks for the names of bans, and for insecureWords.
func checkBans(files []*file) []finding {
	var found []finding
	for _, f := range files {
		f.inspect(func(n ast.Node, around string) {
			rule, name, instead := f.banned(n, around)
			if rule != "" {
				found = append(found, f.at(rule, n, around, "%s in %s: %s, or allow it with a reason in %s", name, around, instead, rulesFile))
			}
		})
	}
	return found
}

// banned says which ban the node breaks, if any.
func (f *file) banned(n ast.Node, around string) (rule, name, instead string) {
	word := ""
	switch n := n.(type) {
	case *ast.Ident:
		word = n.Name
	case *ast.BasicLit:
		word = n.Value
	}
	for _, w := range insecureWords {
		if strings.Contains(word, w) {
			return ruleInsecure, w, "trust the test's root"
		}
	}
	for _, b := range bans {
		if f.test && (b.inTests == everywhere || b.inTests == around) {
			continue
		}
		for _, name := range b.names {
			if b.matches(f, n, name) {
				return b.rule, name, b.instead
			}
		}
	}
	return "", "", ""
}

// matches reports whether the node is the name, called or passed on, or a call
// of the builtin.
func (b ban) matches(f *file, n ast.Node, name string) bool {
	switch n := n.(type) {
	case *ast.SelectorExpr:
		return b.path != "" && f.uses(n, b.path, name)
	case *ast.CallExpr:
		id, ok := n.Fun.(*ast.Ident)
		return ok && b.path == "" && id.Name == name
	}
	return false
}

// checkSizes looks for files of more than limit lines.
func checkSizes(files []*file, limit int) []finding {
	var found []finding
	for _, f := range files {
		if f.lines > limit {
			found = append(found, finding{ruleSize, f.path, 0, "", fmt.Sprintf("%d lines, more than %d: give each job its file", f.lines, limit)})
		}
	}
	return found
}

func TestCheckInit(t *testing.T) {
	files := parse(t, map[string]string{
		"a/a.go": "package a\nfunc init() {}",
		"a/b.go": "package a\ntype t int\nfunc (t) init() {}\nfunc initial() {}",
	})
	want(t, checkInit(files), "a/a.go:2: an init function")
}

func TestCheckVars(t *testing.T) {
	files := parse(t, map[string]string{
		"a/a.go": `package a
import ("embed"; "errors"; "regexp"; "io")
var ErrA, count = errors.New("a"), 1
var table = regexp.MustCompile("a")
var files embed.FS
var _ io.Reader = (*r)(nil)
var wrapped error
func f() { var inside int; _ = inside }`,
		"a/a_test.go": "package a\nvar inTest int",
		"b/b.go":      "package b\nimport errors \"example.com/other\"\nvar ErrA = errors.New()",
	})
	want(t, checkVars(files),
		"a/a.go:3: count is", "a/a.go:4: table is", "a/a.go:7: wrapped is", "b/b.go:3: ErrA is")
	for _, f := range checkVars(files) {
		if f.name == "" {
			t.Errorf("%s cannot be allowed", f)
		}
	}
}

func TestCheckBans(t *testing.T) {
	files := parse(t, map[string]string{
		"a/a.go": `package a
import ("crypto/tls"; "fmt"; stdlog "log"; "os"; "time")
func exits() { os.Exit(1) }
func later() func(int) { return os.Exit }
func fatal() { stdlog.Fatalf("") }
func prints() { fmt.Println(); println() }
func fine() { fmt.Fprintln(nil); fmt.Sprint(); fmt.Errorf("") }
func panics() { panic("") }
func sleeps() { time.Sleep(1) }
func trusts() { _ = tls.Config{InsecureSkipVerify: true} }
func sets(c *tls.Config) { c.InsecureSkipVerify = true }
const flag = "--ignore-certificate-errors"`,
		"a/a_test.go": `package a
import ("fmt"; "os"; "time")
func TestMain() { os.Exit(1) }
func TestA() { os.Exit(1) }
func TestB() { fmt.Println(); panic(1); time.Sleep(1) }
func TestC() { run("curl", "--insecure") }`,
	})
	found := checkBans(files)
	want(t, found,
		"a/a.go:3: Exit in exits", "a/a.go:4: Exit in later", "a/a.go:5: Fatalf in fatal",
		"a/a.go:6: Println in prints", "a/a.go:6: println in prints", "a/a.go:8: panic in panics", "a/a.go:9: Sleep in sleeps",
		"a/a.go:10: InsecureSkipVerify in trusts", "a/a.go:11: InsecureSkipVerify in sets",
		"a/a.go:12: ignore-certificate-errors in flag",
		"a/a_test.go:4: Exit in TestA", "a/a_test.go:5: Sleep in TestB", "a/a_test.go:6: --insecure in TestC")
	if slices.ContainsFunc(found, func(f finding) bool { return f.name == "" }) {
		t.Errorf("some cannot be allowed: %v", found)
	}
}

func TestCheckSizes(t *testing.T) {
	files := parse(t, map[string]string{
		"a/a.go": "package a\n" + strings.Repeat("\n", 500),
		"a/b.go": "package a\n" + strings.Repeat("\n", 499),
	})
	want(t, checkSizes(files, tooLongFile), "a/a.go: 501 lines, more than 500")
}
