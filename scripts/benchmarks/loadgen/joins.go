package main

import (
	"context"
	"fmt"
	"strconv"
	"sync"
	"sync/atomic"
)

// joins opens connections until they are welcomed, each in a room of its own, and
// closes them again as a browser does.
func joins(ctx context.Context, j job) (outcome, error) {
	var rooms atomic.Int64
	batch := func(count int) error {
		ctx, fail := context.WithCancelCause(ctx)
		defer fail(nil)
		var left atomic.Int64
		left.Store(int64(count))
		var workers sync.WaitGroup
		for range j.parallel {
			workers.Go(func() {
				for ctx.Err() == nil && left.Add(-1) >= 0 {
					if err := j.joinOnce(ctx, "j"+strconv.FormatInt(rooms.Add(1), 10)); err != nil {
						fail(err)
					}
				}
			})
		}
		workers.Wait()
		return context.Cause(ctx)
	}
	if err := batch(j.warmUp); err != nil {
		return outcome{}, err
	}
	return j.measure(j.count, func() error { return batch(j.count) })
}

func (j job) joinOnce(ctx context.Context, room string) error {
	p, err := j.protocol.Join(ctx, j.server, room)
	if err != nil {
		return fmt.Errorf("joining %s: %w", room, err)
	}
	stop := context.AfterFunc(ctx, func() { p.Drop(true) })
	defer stop()
	if err := p.Close(); err != nil {
		return fmt.Errorf("leaving %s: %w", room, err)
	}
	return nil
}
