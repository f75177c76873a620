package main

import (
	"context"
	"time"

	"rtcdev/scripts/benchmarks/procstat"
)

// relay passes messages between pairs in a closed loop.
func relay(ctx context.Context, j job) (outcome, error) {
	f, ctx, err := open(ctx, j, answer)
	if err != nil {
		return outcome{}, err
	}
	defer f.close()
	each := max(1, j.count/j.pairs)
	if err := f.exchange(ctx, max(1, j.warmUp/j.pairs), j.window); err != nil {
		return outcome{}, err
	}
	return j.measure(each*j.pairs, func() error { return f.exchange(ctx, each, j.window) })
}

// measure runs the part of a load that counts, which is so many messages or joins.
func (j job) measure(count int, part func() error) (outcome, error) {
	before, err := procstat.CPU(j.pid)
	if err != nil {
		return outcome{}, err
	}
	begin := time.Now()
	if err := part(); err != nil {
		return outcome{}, err
	}
	wall := time.Since(begin)
	after, err := procstat.CPU(j.pid)
	return outcome{Count: count, Wall: wall.Seconds(), CPU: (after - before).Seconds()}, err
}
