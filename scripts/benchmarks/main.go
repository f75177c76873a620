// Command benchmarks measures rtcdev against goals, each as a ratio to a limit
// that is measured in the same run, in turns, so that the machine's speed and
// its other work cancel out. scripts/bench builds and runs it.
//
//	benchmarks [-programs DIR] [-counterparts DIR] [-rounds N] [-duration TIME] [-quick] [-json] [NAME…]
//
// startup is the time to the first trusted response, signaling what a message, a
// join and an idle connection cost, soak whether anything is lost while lines
// break, relay what a relayed packet costs, and peers what rtcdev peer is like for those
// who meet it: see startup.go, signaling.go, package soak, relaying.go and package peers.
// The servers measured against are in bareserver, barerelay and counterparts, and
// coturn; loadgen and relayload make the load.
//
// A missed goal is a result, not a failure: the exit code is 0. It is 1 when
// something could not be measured and 2 for wrong usage. All it starts, it ends;
// all it writes is in a temporary folder.
package main

import (
	"context"
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"os/signal"
	"slices"
	"strings"
	"syscall"
	"time"
)

// A benchmark is one subcommand.
type benchmark struct {
	name  string
	run   func(context.Context, settings) (*report, error)
	limit time.Duration // it takes far less
}

// benchmarks are run in this order when none is named.
func benchmarks() []benchmark {
	return []benchmark{
		{"startup", startup, 5 * time.Minute},
		{"signaling", signaling, time.Hour},
		{"soak", soaking, time.Hour},
		{"relay", relaying, time.Hour},
		{"peers", peering, 10 * time.Minute},
	}
}

// settings are what every benchmark is told.
type settings struct {
	programs string // the folder of the built programs
	rounds   int    // to measure, after the warm-up; 0 for the benchmark's own number
	quick    bool   // as little as shows that it works; the figures mean little

	duration     time.Duration // of the soak, or of each of the relay's loads; 0 for its own
	counterparts string        // the folder of the npm packages
	progress     io.Writer     // for a person who waits
}

func main() { os.Exit(run(os.Args[1:], os.Stdout, os.Stderr)) }

func run(args []string, stdout, stderr io.Writer) int {
	s := settings{progress: stderr}
	var asJSON bool
	names := []string{}
	flags := flag.NewFlagSet("benchmarks", flag.ContinueOnError)
	flags.SetOutput(stderr)
	flags.StringVar(&s.programs, "programs", ".", "the `folder` that rtcdev and bareserver were built into")
	flags.IntVar(&s.rounds, "rounds", 0, "how many `rounds` to measure (default: each benchmark's own)")
	flags.BoolVar(&s.quick, "quick", false, "measure as little as shows that it works")
	flags.DurationVar(&s.duration, "duration", 0, "how long the soak's peers talk (default 10m), or each of the relay's loads lasts (default 3s)")
	flags.StringVar(&s.counterparts, "counterparts", "scripts/counterparts/node_modules", "the `folder` of the npm packages to measure against")
	flags.BoolVar(&asJSON, "json", false, "print one JSON object for each benchmark")
	for rest := args; ; { // names and flags in any order
		if err := flags.Parse(rest); errors.Is(err, flag.ErrHelp) {
			return 0
		} else if err != nil {
			return 2
		}
		if flags.NArg() == 0 {
			break
		}
		names, rest = append(names, flags.Arg(0)), flags.Args()[1:]
	}
	chosen, err := choose(benchmarks(), names)
	if err != nil {
		fmt.Fprintln(stderr, "benchmarks:", err)
		return 2
	}
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	for _, b := range chosen {
		if err := measure(ctx, b, s, asJSON, stdout); err != nil {
			fmt.Fprintf(stderr, "benchmarks: %s: %v\n", b.name, err)
			return 1
		}
	}
	return 0
}

// choose returns the named benchmarks, or all.
func choose(all []benchmark, names []string) ([]benchmark, error) {
	if len(names) == 0 {
		return all, nil
	}
	var chosen []benchmark
	for _, name := range names {
		i := slices.IndexFunc(all, func(b benchmark) bool { return b.name == name })
		if i < 0 {
			known := make([]string, len(all))
			for i, b := range all {
				known[i] = b.name
			}
			return nil, fmt.Errorf("there is no benchmark %q; there is: %s", name, strings.Join(known, ", "))
		}
		chosen = append(chosen, all[i])
	}
	return chosen, nil
}

func measure(ctx context.Context, b benchmark, s settings, asJSON bool, out io.Writer) error {
	ctx, cancel := context.WithTimeout(ctx, b.limit)
	defer cancel()
	r, err := b.run(ctx, s)
	if err != nil {
		return err
	}
	if asJSON {
		return json.NewEncoder(out).Encode(r)
	}
	return r.print(out)
}
