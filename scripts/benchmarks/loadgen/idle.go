package main

import (
	"context"
	"time"

	"rtcdev/scripts/benchmarks/procstat"
)

// idle reads the server's memory before the first connection, with all of them
// open, and after each pair has exchanged one message each way: when the server
// was left alone for a while each time.
func idle(ctx context.Context, j job) (outcome, error) {
	var o outcome
	var err error
	if o.Base, err = j.memory(ctx, min(j.settle, 2*time.Second)); err != nil {
		return o, err
	}
	f, ctx, err := open(ctx, j, answer)
	if err != nil {
		return o, err
	}
	defer f.close()
	if o.Joined, err = j.memory(ctx, j.settle); err != nil {
		return o, err
	}
	if err := f.exchange(ctx, 2, 1); err != nil {
		return o, err
	}
	o.Count = 2 * j.pairs
	o.Exchanged, err = j.memory(ctx, j.settle)
	return o, err
}

// memory is what the server has in memory after a while of rest.
func (j job) memory(ctx context.Context, rest time.Duration) (int64, error) {
	select {
	case <-time.After(rest):
	case <-ctx.Done():
		return 0, context.Cause(ctx)
	}
	m, err := procstat.ReadMemory(j.pid)
	return m.Now, err
}
