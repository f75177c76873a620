// Command relayload puts one load on one running TURN server and prints as JSON what
// got through and what processor time the server used for it. scripts/benchmarks runs it.
//
//	relayload -load most|paced -address HOST:PORT -pid N -username U -password P …
//
// The load is pairs of clients over UDP, each with an allocation (RFC 8656) and a
// channel to the other's relayed address, so that each packet passes the relay from
// client to client. Under the load "most" each pair has a window of packets on their
// way, and each that arrives is answered by the next: the server has as much to do as
// it can do, and no more, so that nothing is wasted on packets that it would drop.
// Under "paced" each client sends at a fixed rate, every 5 ms, as browsers do.
//
// Reading and writing is by batches (recvmmsg, sendmmsg), so that the generator leaves
// the machine to the server. A packet has its number: what is lost is counted, and
// what comes twice, too late or changed fails the run.
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
	"runtime/debug"
	"syscall"
	"time"

	"rtcdev/scripts/benchmarks/procstat"
)

// A job is what the flags ask for.
type job struct {
	load, address      string
	username, password string
	pid                int // the server's process
	pairs              int
	size               int           // bytes of a packet, without the ChannelData header
	window             int           // packets of a pair on their way at once
	rate               int           // packets per second, of all clients
	warmUp, duration   time.Duration // before what counts, and what counts
}

// An outcome is what was measured.
type outcome struct {
	Delivered int64   `json:"delivered"` // packets
	Lost      int64   `json:"lost"`
	Wall      float64 `json:"wall_seconds"`
	CPU       float64 `json:"server_seconds"`    // the server's processor time
	Own       float64 `json:"generator_seconds"` // this program's
}

func main() { os.Exit(run(os.Args[1:], os.Stdout, os.Stderr)) }

func run(args []string, stdout, stderr io.Writer) int {
	j, err := parse(args, stderr)
	if err != nil {
		fmt.Fprintln(stderr, "relayload:", err)
		return 2
	}
	debug.SetGCPercent(800) // there is little to collect
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	o, err := measure(ctx, j)
	if err == nil {
		err = json.NewEncoder(stdout).Encode(o)
	}
	if err != nil {
		fmt.Fprintln(stderr, "relayload:", err)
		return 1
	}
	return 0
}

func parse(args []string, stderr io.Writer) (job, error) {
	var j job
	flags := flag.NewFlagSet("relayload", flag.ContinueOnError)
	flags.SetOutput(stderr)
	flags.StringVar(&j.load, "load", "most", "most or paced")
	flags.StringVar(&j.address, "address", "", "the server's `host:port`")
	flags.StringVar(&j.username, "username", "", "of the long-term credentials")
	flags.StringVar(&j.password, "password", "", "of the long-term credentials")
	flags.IntVar(&j.pid, "pid", 0, "the server's process")
	flags.IntVar(&j.pairs, "pairs", 8, "pairs of clients")
	flags.IntVar(&j.size, "size", 1200, "bytes of a packet")
	flags.IntVar(&j.window, "window", 16, "packets of a pair on their way at once")
	flags.IntVar(&j.rate, "rate", 20_000, "packets per second of the paced load, of all clients")
	flags.DurationVar(&j.warmUp, "warm-up", 500*time.Millisecond, "the `time` before what counts")
	flags.DurationVar(&j.duration, "duration", 3*time.Second, "the `time` that counts")
	if err := flags.Parse(args); err != nil {
		return j, err
	}
	if j.load != "most" && j.load != "paced" {
		return j, fmt.Errorf("there is no load %q", j.load)
	}
	if j.pairs < 1 || j.window < 1 || j.rate < 1 || j.size < numberSize || j.size > maxSize {
		return j, fmt.Errorf("-pairs, -window and -rate start at 1, and -size is from %d to %d", numberSize, maxSize)
	}
	return j, nil
}

// measure connects the clients and has them talk.
func measure(ctx context.Context, j job) (o outcome, err error) {
	clients, err := connect(ctx, j)
	defer func() {
		for _, c := range clients {
			c.conn.Close()
		}
	}()
	if err != nil {
		return o, err
	}
	talk, quiet := context.WithCancelCause(ctx)
	ended := start(talk, quiet, j, clients)
	o, err = watch(talk, j, clients)
	quiet(errDone)
	ended()
	if cause := context.Cause(talk); err == nil && !errors.Is(cause, errDone) {
		err = cause
	}
	if err == nil && o.Delivered == 0 {
		err = errors.New("no packet came through the relay")
	}
	return o, err
}

var errDone = errors.New("the measurement is done")

// watch waits for the warm-up, and tells what happened in the time after it.
func watch(ctx context.Context, j job, clients []*client) (outcome, error) {
	if err := wait(ctx, j.warmUp); err != nil {
		return outcome{}, err
	}
	before, err := snapshot(j, clients)
	if err != nil {
		return outcome{}, err
	}
	begin := time.Now()
	if err := wait(ctx, j.duration); err != nil {
		return outcome{}, err
	}
	after, err := snapshot(j, clients)
	return outcome{
		after.Delivered - before.Delivered, after.Lost - before.Lost, time.Since(begin).Seconds(),
		after.CPU - before.CPU, after.Own - before.Own,
	}, err
}

func snapshot(j job, clients []*client) (outcome, error) {
	var o outcome
	for _, c := range clients {
		o.Delivered += c.received.Load()
		o.Lost += c.lost.Load()
	}
	server, err := procstat.CPU(j.pid)
	if err != nil {
		return o, err
	}
	own, err := procstat.CPU(os.Getpid())
	o.CPU, o.Own = server.Seconds(), own.Seconds()
	return o, err
}

func wait(ctx context.Context, d time.Duration) error {
	select {
	case <-time.After(d):
		return nil
	case <-ctx.Done():
		return context.Cause(ctx)
	}
}
