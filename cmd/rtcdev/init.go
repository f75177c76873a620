package main

import (
	"context"
	"errors"
	"fmt"
	"path/filepath"
	"strings"

	"github.com/spf13/cobra"

	"rtcdev/templates"
)

type initOptions struct {
	dir       string
	template  string
	step      int
	lang      string
	force     bool
	dryRun    bool
	noInstall bool
}

func newInitCmd(a *app, run func(context.Context, initOptions) error) *cobra.Command {
	o := initOptions{dir: "."}
	cmd := &cobra.Command{
		Use:   "init [dir]",
		Short: "Write a WebRTC app to a folder",
		Long: `Write a small WebRTC app to a folder: pages to read, change and serve.
Existing files are never replaced unless you say --force.`,
		Example: `  rtcdev init my-call && cd my-call && rtcdev serve
  rtcdev init --lang ko 내-통화`,
		Args: atMost(1, "one folder"),
		RunE: func(cmd *cobra.Command, args []string) error {
			if len(args) == 1 {
				o.dir = args[0]
			}
			if o.dir == "" {
				return usage("rtcdev init my-call", "the folder's name is empty")
			}
			if cmd.Flags().Changed("step") {
				return usage("rtcdev init", "template %q has no steps", o.template)
			}
			return run(cmd.Context(), o)
		},
	}
	f := cmd.Flags()
	f.StringVar(&o.template, "template", "call", "`template` to write: "+strings.Join(templates.Names(), ", "))
	f.IntVar(&o.step, "step", 0, "write one `step` of a template that has steps")
	f.StringVar(&o.lang, "lang", "", "`language` of the pages: en, ko; by default they follow the browser's")
	_ = f.MarkHidden("step") // until there is a template with steps
	f.BoolVar(&o.force, "force", false, "replace files that exist")
	f.BoolVar(&o.dryRun, "dry-run", false, "say what would be written, and write nothing")
	f.BoolVar(&o.noInstall, "no-install", false, "do not run npm install")
	return cmd
}

func (a *app) initProject(ctx context.Context, o initOptions) error {
	ctx, stop := interruptible(ctx)
	defer stop()
	done, err := templates.Scaffold(ctx, o.dir, templates.Options{
		Template: o.template, Lang: o.lang, Force: o.force, DryRun: o.dryRun,
	})
	if err != nil {
		return initFault(err, o)
	}
	installed := false
	if !o.dryRun && !o.noInstall {
		if installed, err = a.installPackages(ctx, done.Dir); err != nil {
			return err
		}
	}
	return a.printInit(o, done, installed)
}

// installPackages brings webrtc-adapter where there is npm. The app works
// without it, so nothing but an interruption stops init here.
func (a *app) installPackages(ctx context.Context, dir string) (bool, error) {
	a.note("Running npm install for webrtc-adapter (--no-install skips it)…\n")
	err := templates.InstallPackages(ctx, dir, a.err)
	switch {
	case err == nil:
		return true, nil
	case ctx.Err() != nil:
		return false, fmt.Errorf("npm install was interrupted; the app's files are written: %w", ctx.Err())
	case errors.Is(err, templates.ErrNoNPM):
		a.note("npm is not installed, so adapter.js stays empty. Today's browsers work without it.\n")
	default:
		a.note("%s.\nThe app works without webrtc-adapter. To try again, in the folder: npm install\n", capital(err.Error()))
	}
	return false, nil
}

func initFault(err error, o initOptions) error {
	var exists *templates.ExistsError
	switch {
	case errors.As(err, &exists):
		return &fault{err, "choose another folder, or replace them: rtcdev init --force " + quoted(o.dir), exitFailed}
	case errors.Is(err, templates.ErrUnknownTemplate):
		return &fault{err, "rtcdev init --template " + templates.Names()[0], exitUsage}
	case errors.Is(err, templates.ErrUnknownLanguage):
		return &fault{err, "rtcdev init --lang en", exitUsage}
	}
	return err
}

func (a *app) printInit(o initOptions, done *templates.Result, installed bool) error {
	next := "rtcdev serve"
	if wd, err := filepath.Abs("."); err != nil || wd != done.Dir {
		next = "cd " + quoted(o.dir) + " && " + next
	}
	if a.json {
		return a.event(struct {
			Dir       string   `json:"dir"`
			Files     []string `json:"files"`
			Replaced  []string `json:"replaced,omitempty"`
			Package   string   `json:"package"`
			Installed bool     `json:"installed"`
			DryRun    bool     `json:"dryRun,omitempty"`
			Next      string   `json:"next"`
		}{done.Dir, done.Files, done.Replaced, done.PackageName, installed, o.dryRun, next})
	}
	verb := "Wrote"
	if o.dryRun {
		verb = "Would write"
	}
	replaced := make(map[string]bool, len(done.Replaced))
	for _, f := range done.Replaced {
		replaced[f] = true
	}
	if a.quiet {
		fmt.Fprintln(a.out, done.Dir)
		for _, f := range done.Replaced {
			fmt.Fprintf(a.out, "replaced %s\n", f)
		}
		return nil
	}
	fmt.Fprintf(a.out, "%s %d files to %s:\n", verb, len(done.Files), done.Dir)
	for _, f := range done.Files {
		mark := ""
		if replaced[f] {
			mark = "  (replaced)"
		}
		fmt.Fprintf(a.out, "  %s%s\n", f, mark)
	}
	if !o.dryRun {
		fmt.Fprintf(a.out, "\nNext:\n  %s\n", a.strong.Sprint(next))
	}
	return nil
}

// quoted makes an argument safe to paste into a shell, and leaves plain ones
// alone.
func quoted(arg string) string {
	if strings.ContainsAny(arg, " \t\n'\"\\$&|;<>()*?[]{}!#~`") {
		return "'" + strings.ReplaceAll(arg, "'", `'\''`) + "'"
	}
	return arg
}
