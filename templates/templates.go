// Package templates holds the apps that rtcdev init writes and serve shows
// from the binary, and writes them to a folder.
//
// Each folder templates/<name>/ is one app, as plain data: what is there is
// what a person gets. Three things only are changed:
//
//   - A file whose name ends in .tmpl is rendered with text/template and loses
//     the ending. It sees .PackageName, .Lang (the value for <html lang>) and
//     .FollowBrowser, and the functions text (a text of messages.js in that
//     language, escaped for HTML) and json (any value as JSON).
//   - A name that begins with dot- gets a dot in its place: a real .gitignore
//     would act on this repository, and go:embed leaves out such files.
//   - The texts come from the app's own messages.js, so that every text has one
//     home and the page in HTML and the page in JavaScript say the same.
//
// Invariants: rendering is deterministic; FS and Scaffold give the same bytes
// for the same options; Scaffold changes the folder completely or not at all,
// never writes outside it, and never replaces a file unless told to.
//
// Limits: Scaffold's promise holds against errors and cancellation. Against a
// killed process or a power cut, each file is still whole, but some may be
// missing and a folder named .rtcdev-init-… may be left behind. Two runs on one
// folder at the same moment are not kept apart.
package templates

import (
	"bytes"
	"embed"
	"encoding/json"
	"errors"
	"fmt"
	"html"
	"io/fs"
	"path"
	"slices"
	"strings"
	"testing/fstest"
	"text/template"
)

//go:embed call
var embedded embed.FS

// ErrUnknownTemplate is wrapped by every function that is given the name of a
// template which does not exist. Names lists those that do.
var ErrUnknownTemplate = errors.New("unknown template")

// ErrUnknownLanguage is wrapped when Options.Lang is not "", "en" or "ko".
var ErrUnknownLanguage = errors.New("unknown language")

// Options says what to write, and how.
type Options struct {
	// Template is one of Names. Empty means "call".
	Template string
	// Lang is "en" or "ko", the fixed language of the pages. Empty makes pages
	// in English that follow the browser's language when they are opened.
	Lang string
	// Force lets Scaffold replace files that exist.
	Force bool
	// DryRun makes Scaffold check and report everything but write nothing.
	DryRun bool
}

// File is one file of a rendered template.
type File struct {
	// Path is relative to the app's folder, with slashes.
	Path string
	// Data is the whole content.
	Data []byte
}

// Names returns the names of the templates that exist, sorted.
func Names() []string {
	entries, err := embedded.ReadDir(".")
	if err != nil {
		return nil // Cannot happen: the root of an embed.FS is always readable.
	}
	var names []string
	for _, e := range entries {
		names = append(names, e.Name())
	}
	return names
}

// FS returns the files of a template, rendered in the default language, ready
// to be served straight from the binary. Its files can seek. The error wraps
// ErrUnknownTemplate when there is no such template.
func FS(name string) (fs.FS, error) {
	files, err := Render(Options{Template: name}, "")
	if err != nil {
		return nil, err
	}
	// MapFS is the standard library's file system in memory. Unlike an
	// archive/zip reader its files can seek, which http.FileServerFS needs.
	m := fstest.MapFS{}
	for _, f := range files {
		m[f.Path] = &fstest.MapFile{Data: f.Data, Mode: 0o644}
	}
	return m, nil
}

// Render returns the files of o.Template, sorted by path. The package's name in
// package.json is packageName made valid by npm's rules; an empty one becomes
// "my-" and the template's name. Force and DryRun make no difference here. The
// error wraps ErrUnknownTemplate or ErrUnknownLanguage.
func Render(o Options, packageName string) ([]File, error) {
	o = o.withDefaults()
	if !slices.Contains(Names(), o.Template) {
		return nil, fmt.Errorf("%w %q: choose one of: %s", ErrUnknownTemplate, o.Template, strings.Join(Names(), ", "))
	}
	if !slices.Contains([]string{"", "en", "ko"}, o.Lang) {
		return nil, fmt.Errorf("%w %q: choose one of: en, ko", ErrUnknownLanguage, o.Lang)
	}
	dir, err := fs.Sub(embedded, o.Template)
	if err != nil {
		return nil, fmt.Errorf("opening template %s: %w", o.Template, err)
	}
	v := view{
		PackageName:   validPackageName(packageName, o.Template),
		Lang:          o.Lang,
		FollowBrowser: o.Lang == "",
	}
	if v.FollowBrowser {
		v.Lang = "en"
	}
	var files []File
	err = fs.WalkDir(dir, ".", func(p string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() {
			return err
		}
		f, err := renderFile(dir, p, v)
		files = append(files, f)
		return err
	})
	if err != nil {
		return nil, fmt.Errorf("rendering template %s: %w", o.Template, err)
	}
	slices.SortFunc(files, func(a, b File) int { return strings.Compare(a.Path, b.Path) })
	return files, nil
}

func (o Options) withDefaults() Options {
	if o.Template == "" {
		o.Template = "call"
	}
	return o
}

// view is what a .tmpl file sees.
type view struct {
	PackageName   string
	Lang          string
	FollowBrowser bool
}

func renderFile(dir fs.FS, p string, v view) (File, error) {
	data, err := fs.ReadFile(dir, p)
	if err != nil {
		return File{}, err
	}
	target, isTemplate := strings.CutSuffix(p, ".tmpl")
	if name, hidden := strings.CutPrefix(path.Base(target), "dot-"); hidden {
		target = path.Join(path.Dir(target), "."+name)
	}
	if !isTemplate {
		return File{Path: target, Data: data}, nil
	}
	texts, err := readTexts(dir)
	if err != nil {
		return File{}, err
	}
	t, err := template.New(path.Base(p)).Option("missingkey=error").Funcs(template.FuncMap{
		"text": func(key string) (string, error) {
			s, ok := texts[v.Lang][key]
			if !ok {
				return "", fmt.Errorf("messages.js has no %s text named %q", v.Lang, key)
			}
			return html.EscapeString(s), nil
		},
		"json": func(x any) (string, error) {
			b, err := json.Marshal(x)
			return string(b), err
		},
	}).Parse(string(data))
	if err != nil {
		return File{}, err
	}
	var out bytes.Buffer
	if err := t.Execute(&out, v); err != nil {
		return File{}, err
	}
	return File{Path: target, Data: out.Bytes()}, nil
}

// readTexts returns the texts of messages.js: language → key → text. The object
// there is written as strict JSON, which is JavaScript too, so that Go can read
// it without a JavaScript parser.
func readTexts(dir fs.FS) (map[string]map[string]string, error) {
	data, err := fs.ReadFile(dir, "messages.js")
	if err != nil {
		return nil, err
	}
	_, rest, found := bytes.Cut(data, []byte("export const texts = "))
	object, _, closed := bytes.Cut(rest, []byte("\n};"))
	if !found || !closed {
		return nil, errors.New("messages.js has no object between \"export const texts = \" and a line \"};\"")
	}
	var texts map[string]map[string]string
	if err := json.Unmarshal(append(bytes.Clone(object), "\n}"...), &texts); err != nil {
		return nil, fmt.Errorf("reading the texts of messages.js: %w", err)
	}
	return texts, nil
}
