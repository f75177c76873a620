package main

import (
	"context"
	"runtime"
	"runtime/debug"
	"slices"
	"sync/atomic"
	"time"
)

// latency sends a message of each pair in turns, at fixed times, and measures from
// those times until each has arrived: a server that stalls is late for everything
// that was due meanwhile, and not only for one message.
func latency(ctx context.Context, j job) (outcome, error) {
	total := j.warmUp + j.count
	interval := time.Second / time.Duration(j.rate)
	took := make([]time.Duration, total)
	base := time.Now()
	var start, arrived atomic.Int64 // start is when the first message is due, in nanoseconds after base
	all := make(chan struct{})
	f, ctx, err := open(ctx, j, func(p *pair, _ *end, n int) error {
		i := (n-1)*j.pairs + p.index
		took[i] = time.Since(base) - time.Duration(start.Load()) - time.Duration(i)*interval
		if arrived.Add(1) == int64(total) {
			close(all)
		}
		return nil
	})
	if err != nil {
		return outcome{}, err
	}
	defer f.close()
	defer debug.SetGCPercent(debug.SetGCPercent(-1)) // no pause of ours is the server's
	// The thread that keeps the time does not leave its place to the readers.
	defer runtime.GOMAXPROCS(runtime.GOMAXPROCS(2))
	begin := time.Now()
	start.Store(int64(begin.Sub(base)))
	sent := make(chan error, 1)
	go func() {
		sent <- pace(ctx, begin, interval, total, func(i int) error { return f.pairs[i%j.pairs].ends[0].send() })
	}()
	o, err := j.measure(total, func() error {
		if err := <-sent; err != nil {
			return why(ctx, err)
		}
		select {
		case <-all:
			return nil
		case <-ctx.Done():
			return context.Cause(ctx)
		}
	})
	if err != nil {
		return outcome{}, err
	}
	counted := took[j.warmUp:]
	slices.Sort(counted)
	o.P50, o.P99 = microseconds(counted, 0.50), microseconds(counted, 0.99)
	return o, f.settled()
}

// microseconds is the value below which the share of the sorted times lies.
func microseconds(sorted []time.Duration, share float64) float64 {
	return float64(sorted[int(share*float64(len(sorted)-1))]) / float64(time.Microsecond)
}
