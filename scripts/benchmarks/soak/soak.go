// Package soak keeps many pairs of peers talking over rtcdev's native signaling
// while lines break, come back and the server restarts, and finds out whether any
// message was lost, repeated or put out of order.
//
// Each peer numbers what it says to the one it shares a room with, from 1 on. The
// numbers begin anew when either of the two is a new peer, which both learn from
// the server: from a welcome or a peer-joined. Whoever hears a number other than
// the next one has found a fault; so has, in the end, whoever has not heard all.
//
// Lines break as they do in life: closed without a word, reset, in the middle of a
// message, or left behind while the server still believes in them. The peer comes
// back within the time that the server holds its place, by devserver/signaling's
// rules of resuming, and says again what the server has not got.
package soak

import (
	"context"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"net"
	"sync"
	"sync/atomic"
	"time"

	"rtcdev/scripts/benchmarks/client"
)

// Config says what a soak does.
type Config struct {
	Server   client.Server
	Rooms    int           // with two peers each
	Duration time.Duration // of the talking; joining and leaving come on top
	Pause    time.Duration // between two messages of a peer, on average
	Line     time.Duration // until a line is broken, on average
	// Away is how long a peer stays away at most when its line is broken: less than
	// the server holds its place, by what connecting may take on a busy machine. What
	// is told it meanwhile, and between two pings, has to be within the server's bounds.
	Away time.Duration
	// Stop and Start end the server and start it again, at the same address. They are
	// called once, in the middle.
	Stop, Start func() error
	// Progress gets a line now and then.
	Progress io.Writer
}

// A Result counts what happened. Faults are what must not have.
type Result struct {
	Said     int64    // messages that peers have sent
	Heard    int64    // those that arrived: all but what was on its way when the server restarted
	Broken   int64    // lines
	Resumed  int64    // peers that took up a broken line where it ended
	Rejoined int64    // peers that had to join anew, because the server restarted
	Retried  int64    // connections that did not come about at the first try
	Replaced int64    // lines left behind that the server closed for that reason
	Faults   []string // the first few, in words
	Faulty   int64    // how many there were
}

const (
	// quiet is how long the last messages may take to arrive.
	quiet = time.Minute
	// addresses are how many the peers come from: the server bounds how many
	// connections one may have.
	addresses = 16
	// sayFaults is how many faults are told in words.
	sayFaults = 10
)

// soak is a running one.
type soak struct {
	cfg   Config
	kinds []*client.Payload
	pairs [][2]*peer

	restarts atomic.Int64 // how often the server was restarted
	excused  atomic.Bool  // what a restart explains is no fault now
	readers  sync.WaitGroup
	said     atomic.Int64
	heard    atomic.Int64
	broken   atomic.Int64
	resumed  atomic.Int64
	rejoined atomic.Int64
	retried  atomic.Int64
	replaced atomic.Int64

	mu     sync.Mutex
	faults []string
	faulty int64
}

// Run joins all peers, lets them talk, and has them leave. The error is about what
// kept it from being measured; faults of the server are in the result.
func Run(ctx context.Context, cfg Config) (Result, error) {
	s := &soak{cfg: cfg}
	for _, size := range []int{200, 1200, 3000, 6000} {
		s.kinds = append(s.kinds, client.NewPayload(size))
	}
	ctx, cancel := context.WithCancelCause(ctx)
	var running sync.WaitGroup
	defer s.readers.Wait()
	defer running.Wait()
	defer cancel(nil)
	for room := range cfg.Rooms {
		var pair [2]*peer
		for i := range pair {
			p := newPeer(s, fmt.Sprintf("soak-%d", room), net.IPv4(127, 0, 0, byte(2+room%addresses)))
			pair[i] = p
			running.Go(func() {
				if err := p.live(ctx); err != nil {
					cancel(err)
				}
			})
		}
		pair[0].other, pair[1].other = pair[1], pair[0]
		s.pairs = append(s.pairs, pair)
	}
	err := s.act(ctx)
	if err == nil {
		err = s.leave(ctx)
	}
	if cause := context.Cause(ctx); err != nil && cause != nil {
		err = cause
	}
	return s.result(), err
}

// act is the whole play: all join, talk while lines break, and hear the rest.
func (s *soak) act(ctx context.Context) error {
	s.say("joining %d peers", 2*len(s.pairs))
	if err := s.until(ctx, quiet, "all peers to meet", (*peer).together); err != nil {
		return err
	}
	talking, hush := context.WithCancel(ctx)
	defer hush()
	var all sync.WaitGroup
	defer all.Wait()
	for _, pair := range s.pairs {
		for _, p := range pair {
			all.Go(func() { p.talk(talking) })
		}
	}
	all.Go(func() { s.breakLines(talking) })
	if err := s.wait(ctx, s.cfg.Duration/2); err != nil {
		return err
	}
	if err := s.restart(ctx); err != nil {
		return fmt.Errorf("restarting the server: %w", err)
	}
	if err := s.wait(ctx, s.cfg.Duration/2); err != nil {
		return err
	}
	hush()
	all.Wait()
	s.say("waiting for what is on its way")
	err := s.until(ctx, quiet, "all messages to arrive", (*peer).content)
	if err != nil && ctx.Err() == nil {
		s.fault("%v", err)
		err = nil
	}
	return err
}

// restart restarts the server.
func (s *soak) restart(ctx context.Context) error {
	s.say("restarting the server")
	s.excused.Store(true)
	if err := s.cfg.Stop(); err != nil {
		return err
	}
	s.restarts.Add(1)
	if err := s.cfg.Start(); err != nil {
		return err
	}
	// All come back within some seconds, and the longer the more there are.
	if err := s.wait(ctx, 5*time.Second+time.Duration(len(s.pairs))*10*time.Millisecond); err != nil {
		return err
	}
	s.excused.Store(false)
	return nil
}

// wait lets time pass, and tells now and then how it goes.
func (s *soak) wait(ctx context.Context, d time.Duration) error {
	end := time.After(d)
	tick := time.NewTicker(10 * time.Second)
	defer tick.Stop()
	for {
		select {
		case <-end:
			return nil
		case <-tick.C:
			r := s.result()
			s.say("%d of %d messages have arrived, %d lines broken, %d resumed, %d rejoined, %d faults",
				r.Heard, r.Said, r.Broken, r.Resumed, r.Rejoined, r.Faulty)
		case <-ctx.Done():
			return context.Cause(ctx)
		}
	}
}

// until waits for all peers to be as asked.
func (s *soak) until(ctx context.Context, limit time.Duration, what string, ready func(*peer) bool) error {
	end := time.After(limit)
	tick := time.NewTicker(50 * time.Millisecond)
	defer tick.Stop()
	for {
		missing, name := 0, ""
		for _, pair := range s.pairs {
			for _, p := range pair {
				if !ready(p) {
					missing, name = missing+1, p.String()
				}
			}
		}
		if missing == 0 {
			return nil
		}
		select {
		case <-tick.C:
		case <-end:
			return fmt.Errorf("waited %v for %s: %d peers are not there yet, such as %s", limit, what, missing, name)
		case <-ctx.Done():
			return context.Cause(ctx)
		}
	}
}

// breakLines breaks a line of somebody's now and then.
func (s *soak) breakLines(ctx context.Context) {
	pause := s.cfg.Line / time.Duration(2*len(s.pairs))
	for {
		select {
		case <-time.After(time.Duration(rand.ExpFloat64() * float64(pause))):
		case <-ctx.Done():
			return
		}
		s.pairs[rand.IntN(len(s.pairs))][rand.IntN(2)].breakLine(breakage(rand.IntN(breakages)))
	}
}

// leave has all peers say that they leave, and waits for the server's answers.
func (s *soak) leave(ctx context.Context) error {
	for _, step := range []func(*peer){(*peer).prepare, (*peer).leave} {
		for _, pair := range s.pairs {
			step(pair[0])
			step(pair[1])
		}
	}
	return s.until(ctx, quiet, "all peers to be let go", (*peer).gone)
}

func (s *soak) fault(format string, args ...any) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.faulty++
	if len(s.faults) < sayFaults {
		text := fmt.Sprintf(format, args...)
		s.faults = append(s.faults, text)
		s.say("FAULT: %s", text)
	}
}

func (s *soak) say(format string, args ...any) {
	fmt.Fprintf(s.cfg.Progress, "soak: "+format+"\n", args...)
}

func (s *soak) result() Result {
	s.mu.Lock()
	defer s.mu.Unlock()
	return Result{
		Said: s.said.Load(), Heard: s.heard.Load(), Broken: s.broken.Load(), Resumed: s.resumed.Load(),
		Rejoined: s.rejoined.Load(), Retried: s.retried.Load(), Replaced: s.replaced.Load(),
		Faults: append([]string(nil), s.faults...), Faulty: s.faulty,
	}
}

// closeCode is the code of the close frame that ended a line; 0 when there was none.
func closeCode(err error) int {
	var frame *client.CloseError
	if errors.As(err, &frame) {
		return frame.Code
	}
	return 0
}
