// Command loadgen puts one load on one running server, checks that no message is
// lost, repeated, reordered or changed, and prints as JSON what the server used
// for it. scripts/benchmarks runs it, on another core than the server's.
//
//	loadgen -load relay|joins|latency|idle -protocol NAME -address HOST:PORT -pid N [-root FILE] …
//
// A relay load is closed: each of the pairs has a window of messages on their
// way, and each that arrives is answered by the next, so that no queue grows and
// the number of messages is exact. The latency load is open: each message has its
// time, however late the ones before it are, and its latency counts from then.
package main

import (
	"context"
	"crypto/tls"
	"crypto/x509"
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

	"rtcdev/scripts/benchmarks/client"
)

// A job is what the flags ask for.
type job struct {
	load, root string
	limit      time.Duration
	protocol   client.Protocol
	server     client.Server
	pid        int // the server's process

	pairs    int
	size     int // bytes of a message's data
	window   int // messages of a pair on their way at once
	warmUp   int // messages or joins before those that count
	count    int // messages or joins that count
	rate     int // messages per second
	parallel int // connections being opened at once
	settle   time.Duration
}

// An outcome is what was measured; what the load has not is left out.
type outcome struct {
	Count int     `json:"count"`          // messages or joins
	Wall  float64 `json:"wall_seconds"`   // for all of them
	CPU   float64 `json:"server_seconds"` // the server's processor time for them
	P50   float64 `json:"p50_us,omitempty"`
	P99   float64 `json:"p99_us,omitempty"`
	// Resident bytes of the server: before the first connection, with all of
	// them, and after each pair has exchanged an offer and an answer.
	Base      int64 `json:"base_bytes,omitempty"`
	Joined    int64 `json:"joined_bytes,omitempty"`
	Exchanged int64 `json:"exchanged_bytes,omitempty"`
}

func main() { os.Exit(run(os.Args[1:], os.Stdout, os.Stderr)) }

func run(args []string, stdout, stderr io.Writer) int {
	j, err := parse(args, stderr)
	if err != nil {
		fmt.Fprintln(stderr, "loadgen:", err)
		return 2
	}
	debug.SetGCPercent(400) // there is little garbage, and memory enough
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	ctx, cancel := context.WithTimeoutCause(ctx, j.limit, fmt.Errorf("not done after %v", j.limit))
	defer cancel()
	o, err := loads()[j.load](ctx, j)
	if err == nil {
		err = json.NewEncoder(stdout).Encode(o)
	}
	if err != nil {
		fmt.Fprintln(stderr, "loadgen:", err)
		return 1
	}
	return 0
}

func loads() map[string]func(context.Context, job) (outcome, error) {
	return map[string]func(context.Context, job) (outcome, error){
		"relay": relay, "joins": joins, "latency": latency, "idle": idle,
	}
}

func parse(args []string, stderr io.Writer) (job, error) {
	var j job
	var protocol string
	flags := flag.NewFlagSet("loadgen", flag.ContinueOnError)
	flags.SetOutput(stderr)
	flags.StringVar(&j.load, "load", "relay", "relay, joins, latency or idle")
	flags.StringVar(&protocol, "protocol", "native", "native, socketio, peerjs or bare")
	flags.StringVar(&j.server.Address, "address", "", "the server's `host:port`")
	flags.StringVar(&j.root, "root", "", "the `file` of the root that its certificate leads to; without it, plain TCP")
	flags.IntVar(&j.pid, "pid", 0, "its process")
	flags.IntVar(&j.pairs, "pairs", 50, "pairs of peers, each in a room of its own")
	flags.IntVar(&j.size, "size", 1200, "bytes of a message's data")
	flags.IntVar(&j.window, "window", 1, "messages of a pair on their way at once")
	flags.IntVar(&j.warmUp, "warm-up", 5000, "messages or joins before those that count")
	flags.IntVar(&j.count, "count", 20000, "messages or joins that count")
	flags.IntVar(&j.rate, "rate", 2000, "messages per second of the latency load")
	flags.IntVar(&j.parallel, "parallel", 8, "connections being opened at once")
	flags.DurationVar(&j.settle, "settle", 10*time.Second, "how long an idle server is left alone before its memory is read")
	flags.DurationVar(&j.limit, "limit", 5*time.Minute, "how long it may take")
	if err := flags.Parse(args); err != nil {
		return j, err
	}
	var ok bool
	if j.protocol, ok = client.Protocols()[protocol]; !ok {
		return j, fmt.Errorf("there is no protocol %q", protocol)
	}
	if loads()[j.load] == nil {
		return j, fmt.Errorf("there is no load %q", j.load)
	}
	if j.pairs < 1 || j.window < 1 || j.size < 200 || j.count < 1 || j.rate < 1 || j.parallel < 1 {
		return j, errors.New("-pairs, -window, -count, -rate and -parallel start at 1, -size at 200")
	}
	return j, j.secure()
}

// secure sets up TLS as all contestants are measured with it: version 1.3, X25519
// (whatever newer one a server knows too), and one record for each message.
func (j *job) secure() error {
	if j.root == "" {
		return nil
	}
	pem, err := os.ReadFile(j.root)
	if err != nil {
		return err
	}
	roots := x509.NewCertPool()
	if !roots.AppendCertsFromPEM(pem) {
		return fmt.Errorf("%s has no certificate", j.root)
	}
	j.server.TLS = &tls.Config{
		RootCAs: roots, ServerName: "localhost", MinVersion: tls.VersionTLS13,
		CurvePreferences: []tls.CurveID{tls.X25519}, DynamicRecordSizingDisabled: true,
	}
	return nil
}
