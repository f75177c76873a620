// Command peers measures what rtcdev peer is like for those who meet it, and prints it
// as JSON: how soon Chromium shows its picture, how soon a key frame comes that Chromium
// asked for, and what many peers in one process cost. scripts/benchmarks runs it.
//
//	peers -rtcdev PROGRAM [-joins N] [-count N] [-duration TIME]
//
// The server, the peers and Chromium share the machine, over loopback. Chromium trusts
// the authority of a home folder made for this.
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
	"syscall"
	"time"
)

// An outcome is what was measured. Times are milliseconds, one for each try.
type outcome struct {
	PeerComes []float64 `json:"first_frame_peer_comes_ms"` // from the page's hearing of the peer to its picture
	PageComes []float64 `json:"first_frame_page_comes_ms"` // the same, where the peer was there before
	KeyFrame  []float64 `json:"key_frame_ms"`              // from asking to the arrival of all of it
	crowd
}

// limit is how long everything may take.
const limit = 5 * time.Minute

func main() { os.Exit(run(os.Args[1:], os.Stdout, os.Stderr)) }

func run(args []string, stdout, stderr io.Writer) int {
	flags := flag.NewFlagSet("peers", flag.ContinueOnError)
	flags.SetOutput(stderr)
	program := flags.String("rtcdev", "rtcdev", "the `program` to measure")
	joins := flags.Int("joins", 20, "how often a picture is waited for, either way")
	count := flags.Int("count", 50, "how many peers are in one process")
	duration := flags.Duration("duration", 8*time.Second, "for how long they are measured")
	if err := flags.Parse(args); errors.Is(err, flag.ErrHelp) {
		return 0
	} else if err != nil {
		return 2
	}
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	ctx, cancel := context.WithTimeoutCause(ctx, limit, fmt.Errorf("not done after %v", limit))
	defer cancel()
	o, err := measure(ctx, *program, *joins, *count, *duration)
	if err == nil {
		err = json.NewEncoder(stdout).Encode(o)
	}
	if err != nil {
		fmt.Fprintln(stderr, "peers:", err)
		return 1
	}
	return 0
}

func measure(ctx context.Context, program string, joins, count int, duration time.Duration) (o outcome, err error) {
	s, err := newStage(ctx, program)
	if err != nil {
		return o, err
	}
	defer s.close()
	if o.crowd, err = s.gather(ctx, count, duration); err != nil {
		return o, fmt.Errorf("measuring %d peers: %w", count, err)
	}
	b, err := s.browser(ctx)
	if err != nil {
		return o, err
	}
	defer b.close()
	if o.PeerComes, err = b.peerComes(ctx, joins); err != nil {
		return o, fmt.Errorf("measuring the first frame of a peer that comes: %w", err)
	}
	if o.PageComes, err = b.pageComes(ctx, joins); err != nil {
		return o, fmt.Errorf("measuring the first frame for a page that comes: %w", err)
	}
	if o.KeyFrame, err = b.keyFrames(ctx, joins); err != nil {
		return o, fmt.Errorf("measuring key frames: %w", err)
	}
	return o, nil
}
