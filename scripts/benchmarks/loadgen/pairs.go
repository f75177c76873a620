package main

import (
	"context"
	"fmt"
	"strconv"
	"sync"
	"sync/atomic"
	"time"

	"rtcdev/scripts/benchmarks/client"
)

// A field is all pairs of a load.
type field struct {
	pairs   []*pair
	arrived func(p *pair, e *end, n int) error // called for each message, by the reader of its receiver

	fail    context.CancelCauseFunc // ends the load with its first fault
	readers sync.WaitGroup
	closing atomic.Bool // what readers meet from now on is no fault
}

// A pair is two peers in a room.
type pair struct {
	index int
	ends  [2]*end

	unsent   atomic.Int64 // messages that are still to be sent in answer to others
	expected atomic.Int64 // messages that are still to arrive
	finished chan struct{}
}

// An end is one peer of a pair.
type end struct {
	*client.Peer
	other   *end
	in      *client.Payload
	got     int // the last number that arrived; of its reader
	sending sync.Mutex
	out     *client.Payload
	sent    int // the last number that was sent
}

// open brings all pairs together. The context that it returns ends with the first
// fault of any of them, or with ctx.
func open(ctx context.Context, j job, arrived func(*pair, *end, int) error) (*field, context.Context, error) {
	ctx, fail := context.WithCancelCause(ctx)
	f := &field{pairs: make([]*pair, j.pairs), arrived: arrived, fail: fail}
	next := make(chan int)
	var joining sync.WaitGroup
	for range min(j.parallel, j.pairs) {
		joining.Go(func() {
			for i := range next {
				p, err := meet(ctx, j, i)
				if err != nil {
					fail(fmt.Errorf("joining pair %d: %w", i, err))
					return
				}
				f.pairs[i] = p
				for _, e := range p.ends { // at once: who joined early has pings to answer
					f.readers.Go(func() { f.read(p, e) })
				}
			}
		})
	}
	for i := 0; i < j.pairs && ctx.Err() == nil; i++ {
		select {
		case next <- i:
		case <-ctx.Done():
		}
	}
	close(next)
	joining.Wait()
	if ctx.Err() != nil {
		err := context.Cause(ctx)
		f.close()
		return nil, nil, err
	}
	return f, ctx, nil
}

// meet joins both peers of a pair.
func meet(ctx context.Context, j job, index int) (*pair, error) {
	p := &pair{index: index, finished: make(chan struct{}, 1)}
	for i := range p.ends {
		peer, err := j.protocol.Join(ctx, j.server, "r"+strconv.Itoa(index))
		if err != nil {
			if i == 1 {
				p.ends[0].Drop(false)
			}
			return nil, err
		}
		p.ends[i] = &end{Peer: peer, in: client.NewPayload(j.size), out: client.NewPayload(j.size)}
	}
	p.ends[0].other, p.ends[1].other = p.ends[1], p.ends[0]
	client.Link(p.ends[0].Peer, p.ends[1].Peer)
	return p, nil
}

// read checks what arrives at one end, until it is closed.
func (f *field) read(p *pair, e *end) {
	for {
		n, err := e.NextData(e.in)
		if err == nil && n != e.got+1 {
			err = fmt.Errorf("message %d arrived after message %d: lost, repeated or out of order", n, e.got)
		}
		if err == nil {
			e.got = n
			err = f.arrived(p, e, n)
		}
		if err != nil {
			if !f.closing.Load() {
				f.fail(fmt.Errorf("pair %d: %w", p.index, err))
			}
			return
		}
	}
}

// send sends the end's next message.
func (e *end) send() error {
	e.sending.Lock()
	defer e.sending.Unlock()
	e.sent++
	return e.SendData(e.out.Numbered(e.sent))
}

// exchange relays exactly count messages in each pair, window of them on their way
// at once, and returns when all have arrived. It needs [answer] as arrived.
func (f *field) exchange(ctx context.Context, count, window int) error {
	window = min(window, count)
	for _, p := range f.pairs {
		p.unsent.Store(int64(count - window))
		p.expected.Store(int64(count))
	}
	for _, p := range f.pairs {
		for range window {
			if err := p.ends[0].send(); err != nil {
				return why(ctx, fmt.Errorf("pair %d: %w", p.index, err))
			}
		}
	}
	for _, p := range f.pairs {
		select {
		case <-p.finished:
		case <-ctx.Done():
			return fmt.Errorf("pair %d waits for %d of %d messages: %w", p.index, p.expected.Load(), count, context.Cause(ctx))
		}
	}
	return f.settled()
}

// why returns what a reader has to say about a line that cannot be written to,
// such as the server's close frame, or else the error of writing.
func why(ctx context.Context, err error) error {
	select {
	case <-ctx.Done():
		return context.Cause(ctx)
	case <-time.After(time.Second):
		return err
	}
}

// answer sends the next message for each that arrives.
func answer(p *pair, e *end, _ int) error {
	if p.unsent.Add(-1) >= 0 {
		if err := e.send(); err != nil {
			return err
		}
	}
	if p.expected.Add(-1) == 0 {
		p.finished <- struct{}{}
	}
	return nil
}

// settled looks that what was sent is what arrived, when all should have.
func (f *field) settled() error {
	for _, p := range f.pairs {
		for _, e := range p.ends {
			if e.other.sent != e.got {
				return fmt.Errorf("pair %d: %d messages were sent and %d arrived", p.index, e.other.sent, e.got)
			}
		}
	}
	return nil
}

// close ends all connections and waits for their readers.
func (f *field) close() {
	f.closing.Store(true)
	for _, p := range f.pairs {
		if p == nil {
			continue
		}
		for _, e := range p.ends {
			e.Drop(false)
		}
	}
	f.readers.Wait()
	f.fail(nil)
}
