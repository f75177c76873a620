// Command rtcdev takes a person from an empty folder to a WebRTC call between
// real devices over HTTPS that those devices trust.
//
// This package only parses flags, makes one library call and prints what came
// of it: a file for each command, main.go for what they share, ui.go for how
// rtcdev talks to people. A command's constructor takes the function it runs,
// so that its flags can be tested without running it.
package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/signal"
	"runtime/debug"
	"strings"
	"syscall"
	"time"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"
)

// The exit codes, as `rtcdev --help` lists them.
const (
	exitFailed      = 1
	exitUsage       = 2
	exitPortTaken   = 3
	exitTrust       = 4
	exitInterrupted = 130 // 128 + SIGINT, as shells count
)

func main() { os.Exit(run()) }

// run is main, with the exit code as its result.
func run() int {
	a := &app{in: os.Stdin, out: &output{File: os.Stdout}, err: os.Stderr, started: time.Now()}
	err := newRootCmd(a).ExecuteContext(context.Background())
	if err == nil {
		err = a.out.failed()
	}
	if err == nil {
		return 0
	}
	a.reportError(err)
	return exitCode(err)
}

// fault is an error with what a person can do about it.
type fault struct {
	err  error
	next string // the next command or step
	exit int
}

func (f *fault) Error() string { return f.err.Error() }
func (f *fault) Unwrap() error { return f.err }

// usage is a fault of the command line itself.
func usage(next, format string, args ...any) error {
	return &fault{fmt.Errorf(format, args...), next, exitUsage}
}

func exitCode(err error) int {
	var f *fault
	switch {
	case errors.Is(err, context.Canceled):
		return exitInterrupted
	case errors.As(err, &f) && f.exit != 0:
		return f.exit
	}
	return exitFailed
}

// interruptible returns a context that ends with the first Ctrl-C, SIGTERM or
// closing of the terminal; a second one kills the process as if there were no
// handler. Questions are asked before it is called: at a prompt nothing has
// begun that needs an end.
func interruptible(ctx context.Context) (context.Context, context.CancelFunc) {
	signals := []os.Signal{os.Interrupt, syscall.SIGTERM}
	if !signal.Ignored(syscall.SIGHUP) { // nohup asks to go on
		signals = append(signals, syscall.SIGHUP)
	}
	ctx, stop := signal.NotifyContext(ctx, signals...)
	context.AfterFunc(ctx, stop)
	return ctx, stop
}

// version is the module's version where the build recorded one.
func version() string {
	info, ok := debug.ReadBuildInfo()
	if !ok || info.Main.Version == "" || info.Main.Version == "(devel)" {
		return "dev"
	}
	return info.Main.Version
}

const rootHelp = `rtcdev runs WebRTC pages on this machine over HTTPS that its browsers trust:
the pages, their signaling and the certificates, from one program.

  rtcdev serve               a video call in the browser, now
  rtcdev init my-call        the same app as files of your own
  rtcdev certs trust         no more warning pages (undo: rtcdev certs untrust)

Settings come from flags, then RTCDEV_* variables (RTCDEV_PORT=9000), then
rtcdev.yaml in the current folder (port: 9000). What opens this machine to others
or changes what it trusts is not taken from a file. The local authority is kept
in $RTCDEV_HOME, by default in your data folder.

Exit codes: 0 done · 1 failed · 2 wrong usage · 3 port or address taken ·
4 trust missing or refused · 130 interrupted (but Ctrl-C is how serve is done: 0)`

func newRootCmd(a *app) *cobra.Command {
	root := &cobra.Command{
		Use:           "rtcdev",
		Short:         "WebRTC on this machine, over HTTPS it trusts",
		Long:          rootHelp,
		Version:       version(),
		SilenceErrors: true, // run reports them
		SilenceUsage:  true,
		Args:          noSuchCommand,
		RunE:          func(cmd *cobra.Command, _ []string) error { return cmd.Help() },
		PersistentPreRunE: func(cmd *cobra.Command, _ []string) error {
			if err := applySettings(cmd, os.LookupEnv, "."); err != nil {
				return err
			}
			a.setUp()
			return nil
		},
	}
	root.SetVersionTemplate("rtcdev {{.Version}}\n")
	root.SetIn(a.in)
	root.SetOut(a.out)
	root.SetErr(a.err)
	root.SetFlagErrorFunc(func(cmd *cobra.Command, err error) error {
		return usage(cmd.CommandPath()+" --help", "%s", flagFault(err))
	})
	f := root.PersistentFlags()
	f.BoolVar(&a.json, "json", false, "print results as JSON")
	f.BoolVarP(&a.quiet, "quiet", "q", false, "print results and errors only")
	f.BoolVarP(&a.verbose, "verbose", "v", false, "print what helps to find a fault")
	f.BoolVar(&a.noColor, "no-color", false, "print without colours (also: NO_COLOR=1)")
	f.BoolVar(&a.yes, "yes", false, "answer yes to every question")
	root.AddCommand(
		newInitCmd(a, a.initProject),
		newCertsCmd(a),
		newServeCmd(a, a.serve),
		newPeerCmd(a.peer),
		newVersionCmd(a),
	)
	return root
}

// flagFault puts what pflag says about a flag into plain words.
func flagFault(err error) string {
	var value *pflag.InvalidValueError
	if !errors.As(err, &value) {
		return err.Error()
	}
	return "--" + value.GetFlag().Name + " " + valueFault(value.GetFlag(), value.GetValue())
}

// valueFault says what a flag takes instead of value.
func valueFault(flag *pflag.Flag, value string) string {
	takes := "another kind of value"
	switch flag.Value.Type() {
	case "int":
		takes = "a whole number"
	case "bool":
		takes = "true or false"
	}
	return fmt.Sprintf("takes %s, not %q", takes, value)
}

// noSuchCommand is the root's argument check: what is no command is a mistake.
func noSuchCommand(cmd *cobra.Command, args []string) error {
	if len(args) == 0 {
		return nil
	}
	next := "rtcdev --help"
	if guess := guessCommand(cmd, args[0]); guess != "" {
		next = guess
	}
	return usage(next, "unknown command %q", args[0])
}

// guessCommand returns the command that a misspelt word was most likely meant
// to be, of cmd's or one level further down, or "".
func guessCommand(cmd *cobra.Command, word string) string {
	cmd.SuggestionsMinimumDistance = 2 // letters to change, cobra's own default
	if guesses := cmd.SuggestionsFor(word); len(guesses) > 0 {
		return cmd.CommandPath() + " " + guesses[0]
	}
	for _, sub := range cmd.Commands() {
		for _, c := range sub.Commands() {
			if c.Name() == word && sub.Name() != "completion" {
				return c.CommandPath()
			}
		}
	}
	return ""
}

// atMost allows up to n arguments; what they are is for the error's text.
func atMost(n int, what string) cobra.PositionalArgs {
	return func(cmd *cobra.Command, args []string) error {
		if len(args) <= n {
			return nil
		}
		return usage(cmd.CommandPath()+" --help", "%s takes %s, not %q", cmd.CommandPath(), what, strings.Join(args, " "))
	}
}

func newVersionCmd(a *app) *cobra.Command {
	return &cobra.Command{
		Use:   "version",
		Short: "Print the version",
		Args:  atMost(0, "no arguments"),
		RunE: func(*cobra.Command, []string) error {
			return a.result(struct {
				Version string `json:"version"`
			}{version()}, "rtcdev %s\n", version())
		},
	}
}
