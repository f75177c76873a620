package archtest

import (
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"testing"
)

// The names of the rules, as findings and allowances say them.
const (
	ruleRow      = "package row"
	ruleImport   = "import"
	ruleHome     = "library home"
	ruleName     = "package name"
	ruleDoc      = "documentation"
	ruleInit     = "no init"
	ruleVar      = "no globals"
	ruleExit     = "no exit"
	rulePrint    = "no printing"
	rulePanic    = "no panic"
	ruleSleep    = "no sleep"
	ruleInsecure = "no ignored certificate errors"
	ruleSize     = "file size"
	ruleTop      = "top level"
	ruleModule   = "go.mod"
)

const (
	rulesFile = "scripts/archtest/rules_test.go"
	// longFile is the usual largest number of lines; a file of tooLongFile fails.
	longFile, tooLongFile = 400, 500
)

// TestTree applies every rule to the module.
func TestTree(t *testing.T) {
	root := filepath.Join("..", "..")
	tree := os.DirFS(root)
	files, err := parseTree(tree)
	if err != nil {
		t.Fatal(err)
	}
	if len(files) == 0 {
		t.Fatal("no Go files were found")
	}
	found := slices.Concat(
		checkRows(files, rows),
		checkImports(files, rows, testRows),
		checkHomes(files, homes),
		checkNames(files, slices.Concat(takenNames, standardNames(t))),
		checkPackageComments(files),
		checkDocComments(files),
		checkInit(files),
		checkVars(files),
		checkBans(files),
		checkSizes(files, tooLongFile),
		checkTopLevel(tree, topLevel),
	)
	for _, name := range []string{"go.mod", "scripts/tools.mod"} {
		m := readModule(t, filepath.Join(root, filepath.FromSlash(name)))
		found = append(found, checkPins(name, m, pins)...)
		found = append(found, checkGoVersion(name, m, installedGo())...)
		if name == "go.mod" {
			found = append(found, checkPlainModule(name, m)...)
		}
	}
	for _, f := range excuse(found, allowances) {
		t.Error(f)
	}
	for _, f := range checkSizes(files, longFile) {
		t.Log(f)
	}
}

// goCommand is the go command that runs this test.
func goCommand(t *testing.T, args ...string) []byte {
	t.Helper()
	cmd := exec.CommandContext(t.Context(), "go", args...)
	cmd.Stderr = t.Output()
	out, err := cmd.Output()
	if err != nil {
		t.Fatalf("go %v: %v", args, err)
	}
	return out
}
