package archtest

import (
	"maps"
	"path"
	"regexp"
	"slices"
	"strings"
	"testing"
)

// checkRows compares the table with the folders that hold Go files.
func checkRows(files []*file, rows map[string][]string) []finding {
	var found []finding
	all := packages(files)
	for _, dir := range slices.Sorted(maps.Keys(all)) {
		if _, ok := rows[dir]; !ok {
			found = append(found, finding{ruleRow, dir, 0, "", "this package has no row: say its one job in DESIGN §1, then add it to rows in " + rulesFile})
		}
	}
	for _, dir := range slices.Sorted(maps.Keys(rows)) {
		if _, ok := all[dir]; !ok {
			found = append(found, finding{ruleRow, rulesFile, 0, "", "the row of " + dir + " has no package: remove it"})
		}
	}
	return found
}

// checkImports compares the imports of our own packages with the rows.
func checkImports(files []*file, rows, testRows map[string][]string) []finding {
	var found []finding
	for _, f := range files {
		for _, p := range slices.Sorted(maps.Keys(f.imports())) {
			target, ours := strings.CutPrefix(p, modulePath+"/")
			if !ours || f.test && target == f.dir { // an outside test of its own package
				continue
			}
			spec := f.imports()[p]
			switch from, to := island(f.dir), island(target); {
			case from != "" && to != "" && from != to:
				found = append(found, f.at(ruleImport, spec, "", "%s and %s never import each other: cmd/rtcdev wires them", from, to))
			case mayImport(rows[f.dir], target):
			case slices.Contains(testRows[f.dir], target):
				if !f.test {
					found = append(found, f.at(ruleImport, spec, "", "%s may import %s in _test.go files only: see testRows in %s", f.dir, target, rulesFile))
				}
			default:
				found = append(found, f.at(ruleImport, spec, "", "%s may not import %s: see its row in %s", f.dir, target, rulesFile))
			}
		}
	}
	return found
}

func mayImport(row []string, target string) bool {
	top, _, _ := strings.Cut(target, "/")
	library := top != "cmd" && top != "scripts"
	return slices.Contains(row, target) || library && slices.Contains(row, anyLibrary)
}

// island is the one the folder is on, or empty.
func island(dir string) string {
	top, _, _ := strings.Cut(dir, "/")
	if slices.Contains(islands, top) {
		return top
	}
	return ""
}

// checkHomes looks for libraries outside the packages they are at home in.
func checkHomes(files []*file, homes map[string]home) []finding {
	var found []finding
	for _, f := range files {
		for _, p := range slices.Sorted(maps.Keys(f.imports())) {
			first, _, _ := strings.Cut(p, "/")
			if !strings.Contains(first, ".") { // the standard library, or ours
				continue
			}
			spec := f.imports()[p]
			h, known := homeOf(p, homes)
			switch {
			case !known:
				found = append(found, f.at(ruleHome, spec, "", "%s has no home: choose one package for it and add it to homes in %s", p, rulesFile))
			case slices.Contains(h.packages, f.dir):
			case h.testOnly && (f.test || strings.HasPrefix(f.dir, "scripts/")):
			case h.packages == nil:
				found = append(found, f.at(ruleHome, spec, "", "%s is for tests only", p))
			default:
				found = append(found, f.at(ruleHome, spec, "", "%s is at home in %s, not here", p, strings.Join(h.packages, ", ")))
			}
		}
	}
	return found
}

// homeOf finds the entry of the module or folder that the import path is in.
func homeOf(importPath string, homes map[string]home) (home, bool) {
	for p := importPath; p != "."; p = path.Dir(p) {
		if h, ok := homes[p]; ok {
			return h, true
		}
	}
	return home{}, false
}

// checkNames looks for folders and packages whose name says nothing, or is
// another's: a file that needs both would have to rename one.
func checkNames(files []*file, taken []string) []finding {
	var found []finding
	all := packages(files)
	for _, dir := range slices.Sorted(maps.Keys(all)) {
		name := strings.TrimSuffix(all[dir][0].ast.Name.Name, "_test")
		for _, n := range slices.Compact([]string{path.Base(dir), name}) {
			if slices.Contains(drawers, n) {
				found = append(found, finding{ruleName, dir, 0, "", n + " says nothing about what is inside: name the one job"})
			}
			if slices.Contains(taken, n) {
				found = append(found, finding{ruleName, dir, 0, "", n + " is a package of the standard library, golang.org/x or pion: choose another name"})
			}
		}
	}
	return found
}

// standardNames are the last elements of the standard library's import paths.
func standardNames(t *testing.T) []string {
	major := regexp.MustCompile(`/v\d+$`)
	var names []string
	for p := range strings.FieldsSeq(string(goCommand(t, "list", "std"))) {
		if !slices.Contains(strings.Split(p, "/"), "internal") {
			names = append(names, path.Base(major.ReplaceAllString(p, "")))
		}
	}
	return names
}

func TestCheckRows(t *testing.T) {
	files := parse(t, map[string]string{"certs/a.go": "package certs", "lost/a_test.go": "package lost"})
	want(t, checkRows(files, map[string][]string{"certs": {}, "gone": {}}),
		"lost: this package has no row", "the row of gone has no package")
}

func TestCheckImports(t *testing.T) {
	files := parse(t, map[string]string{
		"certs/a.go":                   `package certs; import _ "rtcdev/templates"`,
		"certs/trust/a.go":             `package trust; import _ "rtcdev/certs"`,
		"devserver/a.go":               `package devserver; import _ "rtcdev/devserver/signaling"`,
		"devserver/a_test.go":          `package devserver_test; import (_ "rtcdev/devserver"; _ "rtcdev/certs"; _ "rtcdev/devserver/relay")`,
		"devserver/signaling/a.go":     `package signaling; import _ "rtcdev/cmd/rtcdev"`,
		"cmd/rtcdev/a.go":              `package main; import (_ "rtcdev/certs/trust"; _ "rtcdev/scripts/archtest")`,
		"cmd/rtcdev/without_ours.go":   `package main; import _ "rtcdevelopment/certs"`,
		"templates/a.go":               `package templates; import _ "rtcdev/scripts/stage"`,
		"templates/a_test.go":          `package templates; import (_ "rtcdev/scripts/stage"; _ "rtcdev/scripts/other")`,
		"templates/b_test.go":          `package templates_test; import _ "rtcdev/devserver"`,
		"templates/allowed_by_the_row": ``,
	})
	want(t, checkImports(files, map[string][]string{
		"certs": {"templates"}, "certs/trust": {}, "devserver": {"devserver/signaling"},
		"devserver/signaling": {anyLibrary}, "cmd/rtcdev": {anyLibrary},
	}, map[string][]string{"templates": {"scripts/stage", "devserver"}}),
		"certs/a.go:1: certs and templates never import each other",
		"certs/trust may not import certs:",
		"devserver/a_test.go:1: devserver and certs never import each other",
		"devserver may not import devserver/relay:",
		"devserver/signaling may not import cmd/rtcdev:",
		"cmd/rtcdev may not import scripts/archtest:",
		"templates/a.go:1: templates may import scripts/stage in _test.go files only:",
		"templates/a_test.go:1: templates may not import scripts/other:",
		"templates/b_test.go:1: templates and devserver never import each other")
}

func TestCheckHomes(t *testing.T) {
	files := parse(t, map[string]string{
		"certs/a.go":           `package certs; import (_ "os"; _ "rtcdev/x"; _ "example.com/known"; _ "example.com/known2")`,
		"devserver/a.go":       `package devserver; import (_ "example.com/known/v4/sub"; _ "example.com/tests"; _ "example.com/both")`,
		"devserver/a_test.go":  `package devserver; import (_ "example.com/tests"; _ "example.com/both"; _ "example.com/known")`,
		"scripts/bench/a.go":   `package main; import _ "example.com/tests"`,
		"scripts2/bench/a.go":  `package main; import _ "example.com/tests/sub"`,
		"devserver/relay/a.go": `package relay; import _ "example.com/both"`,
	})
	want(t, checkHomes(files, map[string]home{
		"example.com/known": {packages: []string{"certs"}},
		"example.com/tests": {testOnly: true},
		"example.com/both":  {packages: []string{"devserver/relay"}, testOnly: true},
	}),
		"example.com/known2 has no home",
		"devserver/a.go:1: example.com/known/v4/sub is at home in certs",
		"devserver/a.go:1: example.com/tests is for tests only",
		"devserver/a.go:1: example.com/both is at home in devserver/relay",
		"devserver/a_test.go:1: example.com/known is at home in certs",
		"scripts2/bench/a.go:1: example.com/tests/sub is for tests only")
}

func TestCheckNames(t *testing.T) {
	files := parse(t, map[string]string{
		"devserver/relay/a.go":   "package relay",
		"devserver/util/a.go":    "package util",
		"devserver/turns/a.go":   "package turn",
		"devserver/http/a.go":    "package devhttp",
		"devserver/rand/a.go":    "package rand_test",
		"devserver/helpers/a.go": "package fine",
	})
	want(t, checkNames(files, slices.Concat(takenNames, standardNames(t))),
		"devserver/util: util says nothing",
		"devserver/turns: turn is a package",
		"devserver/http: http is a package",
		"devserver/rand: rand is a package",
		"devserver/helpers: helpers says nothing")
}
