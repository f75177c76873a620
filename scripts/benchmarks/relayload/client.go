package main

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"net"
	"os"
	"sync"
	"sync/atomic"
	"time"

	"golang.org/x/net/ipv4"
)

const (
	headerSize = 4 // of ChannelData (RFC 8656 §12.4)
	numberSize = 8 // of a packet's number, with which it begins
	maxSize    = 1500
	// batch is how many packets are read or written at once.
	batch = 32
	// pacing is how often a client of the paced load sends: browsers' pacers send
	// what is due every 5 ms.
	pacing = 5 * time.Millisecond
	// silence is how long nothing comes when all packets of a window are lost.
	silence = 50 * time.Millisecond
	// socketBuffer holds more than a window.
	socketBuffer = 1 << 20
)

// A client has an allocation and a channel to its peer.
type client struct {
	conn    *net.UDPConn
	batches *ipv4.PacketConn
	size    int
	in, out []ipv4.Message

	sent     uint64 // the number of the next packet
	expected uint64 // the number of the peer's next packet
	received atomic.Int64
	lost     atomic.Int64
}

func newClient(conn *net.UDPConn, size int) *client {
	c := &client{conn: conn, batches: ipv4.NewPacketConn(conn), size: size}
	_ = conn.SetReadBuffer(socketBuffer) // as much as there may be
	for range batch {
		frame := make([]byte, headerSize+size)
		binary.BigEndian.PutUint16(frame, channel)
		binary.BigEndian.PutUint16(frame[2:], uint16(size))
		c.out = append(c.out, ipv4.Message{Buffers: [][]byte{frame}})
		c.in = append(c.in, ipv4.Message{Buffers: [][]byte{make([]byte, headerSize+maxSize)}})
	}
	return c
}

// start has the clients send and receive until ctx is done; quiet gets what goes
// wrong. The function it returns waits for their end.
func start(ctx context.Context, quiet context.CancelCauseFunc, j job, clients []*client) (ended func()) {
	var all sync.WaitGroup
	run := func(f func() error) {
		all.Go(func() {
			if err := f(); err != nil && ctx.Err() == nil {
				quiet(err)
			}
		})
	}
	for i, c := range clients {
		if j.load == "most" {
			first := 0
			if i%2 == 0 {
				first = j.window
			}
			run(func() error { return c.answer(ctx, first) })
			continue
		}
		late := pacing * time.Duration(i) / time.Duration(len(clients)) // not all at the same time
		run(func() error { return c.pace(ctx, late, float64(j.rate)/float64(len(clients))) })
		run(func() error { return c.count(ctx) })
	}
	return func() {
		<-ctx.Done()
		for _, c := range clients {
			_ = c.conn.SetReadDeadline(time.Now()) // wakes those who read
		}
		all.Wait()
	}
}

// answer sends first packets, and then one for each that comes or is lost.
func (c *client) answer(ctx context.Context, first int) error {
	if err := c.send(first); err != nil {
		return err
	}
	for {
		_ = c.conn.SetReadDeadline(time.Now().Add(silence))
		n, err := c.receive()
		switch {
		case ctx.Err() != nil:
			return nil
		case errors.Is(err, os.ErrDeadlineExceeded):
			n = first
		case err != nil:
			return err
		}
		if err := c.send(n); err != nil {
			return err
		}
	}
}

// count receives what the peer sends.
func (c *client) count(ctx context.Context) error {
	for {
		if _, err := c.receive(); ctx.Err() != nil || err != nil {
			return err
		}
	}
}

// pace sends so many packets per second.
func (c *client) pace(ctx context.Context, late time.Duration, rate float64) error {
	if err := wait(ctx, late); err != nil {
		return err
	}
	begin := time.Now()
	ticker := time.NewTicker(pacing)
	defer ticker.Stop()
	for {
		select {
		case <-ticker.C:
		case <-ctx.Done():
			return nil
		}
		due := uint64(time.Since(begin).Seconds() * rate)
		if err := c.send(int(due - c.sent)); err != nil {
			return err
		}
	}
}

// send sends n packets.
func (c *client) send(n int) error {
	for n > 0 {
		some := c.out[:min(n, batch)]
		n -= len(some)
		for _, m := range some {
			binary.BigEndian.PutUint64(m.Buffers[0][headerSize:], c.sent)
			c.sent++
		}
		for len(some) > 0 {
			done, err := c.batches.WriteBatch(some, 0)
			if err != nil {
				return fmt.Errorf("sending: %w", err)
			}
			some = some[done:]
		}
	}
	return nil
}

// receive waits for packets, and returns how many of the peer's have come or are known
// to be lost.
func (c *client) receive() (int, error) {
	n, err := c.batches.ReadBatch(c.in, 0)
	if err != nil {
		return 0, fmt.Errorf("receiving: %w", err)
	}
	before := c.expected
	for _, m := range c.in[:n] {
		frame := m.Buffers[0][:m.N]
		if len(frame) != headerSize+c.size || binary.BigEndian.Uint16(frame) != channel || int(binary.BigEndian.Uint16(frame[2:])) != c.size {
			return 0, fmt.Errorf("%d bytes came that are no packet of %d bytes", len(frame), c.size)
		}
		number := binary.BigEndian.Uint64(frame[headerSize:])
		if number < c.expected {
			return 0, fmt.Errorf("packet %d came after %d: twice, or out of order", number, c.expected-1)
		}
		c.lost.Add(int64(number - c.expected))
		c.expected = number + 1
	}
	c.received.Add(int64(n))
	return int(c.expected - before), nil
}
