package relay

import (
	"encoding/binary"
	"fmt"
	"net"
	"net/netip"
	"os"
	"strconv"
	"syscall"
	"time"
	"unsafe"
)

// batchSize is how many datagrams one system call reads or writes at most.
const batchSize = 64

// batch reads many datagrams with one system call (recvmmsg(2)), handles them, and
// writes what comes of it: see runs. x/net's reading makes a net.Addr of each sender,
// which takes memory for each packet, so that is done here.
type batch struct {
	front *udpFront
	raw   syscall.RawConn
	out   *runs

	buffers [batchSize]buffer
	names   [batchSize]syscall.RawSockaddrInet6
	vectors [batchSize]syscall.Iovec
	headers [batchSize]mmsghdr
	recv    func(fd uintptr) bool // b.receive, made once
	n       int                   // how many receive read
	errno   syscall.Errno
}

// mmsghdr is the kernel's struct mmsghdr.
type mmsghdr struct {
	header syscall.Msghdr
	length uint32
}

// readBatches reads until the socket is closed, if it is the kernel's.
func (f *udpFront) readBatches() (tried bool, err error) {
	conn, ok := f.conn.(*net.UDPConn)
	if !ok {
		return false, nil
	}
	raw, err := conn.SyscallConn()
	if err != nil {
		return true, fmt.Errorf("reading UDP: %w", err)
	}
	var first buffer // a batch takes a quarter of a megabyte: only when somebody comes
	if err := f.readOne(&first); err != nil {
		return true, err
	}
	b := &batch{front: f, raw: raw, out: newRuns(f, conn, raw)}
	b.recv = b.receive
	for i := range b.headers {
		b.vectors[i].Base = &b.buffers[i][0]
		b.vectors[i].SetLen(maxFrame)
		h := &b.headers[i].header
		h.Name = (*byte)(unsafe.Pointer(&b.names[i]))
		h.Iov, h.Iovlen = &b.vectors[i], 1
	}
	var row readErrors
	for {
		err := b.read()
		if row.end(err, f.done) {
			return true, fmt.Errorf("reading UDP: %w", err)
		}
		if err != nil {
			continue
		}
		now := time.Now().UnixNano()
		for i := range b.n {
			f.take(b.sender(i), b.buffers[i][:b.headers[i].length], now, b.out)
		}
		b.out.flush()
	}
}

// read waits for datagrams and reads those that are there.
func (b *batch) read() error {
	for i := range b.headers {
		b.headers[i].header.Namelen = syscall.SizeofSockaddrInet6
	}
	if err := b.raw.Read(b.recv); err != nil {
		return err
	}
	if b.errno != 0 {
		return os.NewSyscallError("recvmmsg", b.errno)
	}
	return nil
}

// receive returns false where there is nothing to read yet.
func (b *batch) receive(fd uintptr) bool {
	for {
		n, _, errno := syscall.Syscall6(syscall.SYS_RECVMMSG, fd, uintptr(unsafe.Pointer(&b.headers[0])),
			batchSize, syscall.MSG_DONTWAIT, 0, 0)
		switch errno {
		case 0:
			b.n, b.errno = int(n), 0
			return true
		case syscall.EINTR:
		case syscall.EAGAIN:
			return false
		default:
			b.n, b.errno = 0, errno
			return true
		}
	}
}

// sender is who sent the i-th datagram, of IPv4 where it is mapped into IPv6.
func (b *batch) sender(i int) netip.AddrPort {
	name := &b.names[i]
	port := binary.BigEndian.Uint16((*[2]byte)(unsafe.Pointer(&name.Port))[:])
	if name.Family == syscall.AF_INET {
		v4 := (*syscall.RawSockaddrInet4)(unsafe.Pointer(name))
		return netip.AddrPortFrom(netip.AddrFrom4(v4.Addr), port)
	}
	addr := netip.AddrFrom16(name.Addr).Unmap()
	if name.Scope_id != 0 { // link-local
		addr = addr.WithZone(strconv.FormatUint(uint64(name.Scope_id), 10))
	}
	return netip.AddrPortFrom(addr, port)
}
