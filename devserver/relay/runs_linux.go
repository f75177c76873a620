package relay

import (
	"encoding/binary"
	"errors"
	"net"
	"syscall"
	"unsafe"

	"golang.org/x/net/ipv4"
)

// What package syscall does not have (udp(7), linux/udp.h).
const (
	solUDP     = 17
	udpSegment = 103
	// maxSegments is what a kernel takes at least (UDP_MAX_SEGMENTS before Linux 6.9).
	maxSegments = 64
	// maxRun is what one datagram could hold (65,507 bytes), and a bit less.
	maxRun = 65_000
)

// runs are the messages that one batch makes, written with one system call
// (sendmmsg(2)). Those of the same size for the same client go down the network stack
// as one, which cuts it up at the end (UDP_SEGMENT): most of what a packet costs is
// that way. On the wire they are as if sent one by one.
type runs struct {
	front *udpFront
	conn  *ipv4.PacketConn
	merge bool // the kernel can cut up

	list     [batchSize]run
	messages [batchSize]ipv4.Message // the i-th is list[i]'s
	n        int                     // how many there are
}

// run is one client's messages, all of one size, but for the last, which may be shorter.
type run struct {
	to       *client
	messages [][]byte
	size     int // of all but the last
	total    int // bytes of all
	control  [segmentControl]byte
}

// segmentControl is the size of a control message with a uint16, as cmsg(3) lays it out.
const segmentControl = syscall.SizeofCmsghdr + 8

func newRuns(front *udpFront, conn *net.UDPConn, raw syscall.RawConn) *runs {
	r := &runs{front: front, conn: ipv4.NewPacketConn(conn)}
	// Kernels without it, before Linux 4.18, overlook it in a control message.
	_ = raw.Control(func(fd uintptr) {
		_, err := syscall.GetsockoptInt(int(fd), solUDP, udpSegment)
		r.merge = err == nil
	})
	for i := range r.list {
		r.list[i].messages = make([][]byte, 0, batchSize)
	}
	return r
}

// collect keeps a message for a client of this socket until flush.
func (r *runs) collect(to *client, message []byte) bool {
	if to.out != r.front {
		return false
	}
	if r.merge {
		for i := r.n - 1; i >= 0; i-- {
			if r.list[i].to != to {
				continue
			}
			if r.list[i].takes(message) {
				return true
			}
			break // only the newest one, so that they stay in order
		}
	}
	if r.n == batchSize {
		r.flush()
	}
	run := &r.list[r.n]
	r.n++
	run.to, run.size, run.total = to, len(message), len(message)
	run.messages = append(run.messages[:0], message)
	return true
}

// takes adds a message, if it fits.
func (r *run) takes(message []byte) bool {
	whole := r.total == r.size*len(r.messages)
	if !whole || len(message) > r.size || len(r.messages) == maxSegments || r.total+len(message) > maxRun {
		return false
	}
	r.messages = append(r.messages, message)
	r.total += len(message)
	return true
}

// flush writes what was collected. A datagram that the system does not take is lost.
func (r *runs) flush() {
	for i := range r.n {
		run := &r.list[i]
		r.messages[i] = ipv4.Message{Buffers: run.messages, Addr: run.to.net, OOB: run.segments()}
	}
	for done := 0; done < r.n; {
		n, err := r.conn.WriteBatch(r.messages[done:r.n], 0)
		done += max(n, 0)
		if (err != nil || n < 1) && done < r.n {
			r.failed(&r.list[done], err)
			done++
		}
	}
	r.n = 0
}

// segments is the control message that has the kernel cut a run up; nil for one message.
func (r *run) segments() []byte {
	if len(r.messages) == 1 {
		return nil
	}
	header := (*syscall.Cmsghdr)(unsafe.Pointer(&r.control[0]))
	header.Level, header.Type = solUDP, udpSegment
	header.SetLen(syscall.CmsgLen(2))
	binary.NativeEndian.PutUint16(r.control[syscall.CmsgLen(0):], uint16(r.size))
	return r.control[:syscall.CmsgSpace(2)]
}

// failed sends a run's messages one by one: for one that is longer than the network's
// packets, the system refuses all. EIO is for an interface that cannot cut up.
func (r *runs) failed(run *run, err error) {
	if errors.Is(err, syscall.EIO) {
		r.merge = false
	}
	if len(run.messages) == 1 {
		r.front.server.counts.dropped.Add(1)
		return
	}
	for _, m := range run.messages {
		r.front.send(run.to, m)
	}
}
