// Command barerelay is the limit that rtcdev's signaling is compared with: it puts
// two connections together and copies bytes between them, and nothing else.
//
//	barerelay ADDRESS [CERT KEY]
//
// A connection's first line is the name of its room, answered by a line with its
// place there: 1 or 2. What the second sends goes to the first, and the other way.
// Without a certificate it speaks plain TCP.
package main

import (
	"bufio"
	"crypto/tls"
	"net"
	"os"
	"sync"
)

// bufferSize holds the largest message that is measured, in one piece.
const bufferSize = 4 << 10

func main() { os.Exit(run(os.Args[1:])) }

// run serves until the process is ended and returns an exit code.
func run(args []string) int {
	if len(args) != 1 && len(args) != 3 {
		os.Stderr.WriteString("usage: barerelay ADDRESS [CERT KEY]\n")
		return 2
	}
	err := serve(args)
	os.Stderr.WriteString("barerelay: " + err.Error() + "\n")
	return 1
}

func serve(args []string) error {
	listener, err := net.Listen("tcp", args[0])
	if err != nil {
		return err
	}
	if len(args) == 3 {
		pair, err := tls.LoadX509KeyPair(args[1], args[2])
		if err != nil {
			return err
		}
		listener = tls.NewListener(listener, &tls.Config{
			Certificates: []tls.Certificate{pair}, MinVersion: tls.VersionTLS13,
			DynamicRecordSizingDisabled: true, // each write one record, from the first message on
		})
	}
	rooms := rooms{waiting: map[string]*member{}}
	for {
		conn, err := listener.Accept()
		if err != nil {
			return err
		}
		go rooms.serve(conn)
	}
}

type rooms struct {
	mu      sync.Mutex
	waiting map[string]*member // the first of a room, until the second comes
}

type member struct {
	conn   net.Conn
	other  net.Conn
	paired chan struct{} // closed when other is there
}

func (r *rooms) serve(conn net.Conn) {
	defer conn.Close()
	in := bufio.NewReaderSize(conn, 128)
	room, err := in.ReadString('\n')
	if err != nil {
		return
	}
	r.mu.Lock()
	first := r.waiting[room]
	if first != nil {
		delete(r.waiting, room)
		r.mu.Unlock()
		first.other = conn
		close(first.paired)
		if _, err := conn.Write([]byte("2\n")); err == nil {
			pipe(first.conn, conn)
		}
		return
	}
	m := &member{conn: conn, paired: make(chan struct{})}
	r.waiting[room] = m
	r.mu.Unlock()
	defer r.forget(room, m)
	if _, err := conn.Write([]byte("1\n")); err != nil {
		return
	}
	if _, err := in.Peek(1); err != nil { // gone, or the first byte for the second
		return
	}
	<-m.paired
	begun, _ := in.Peek(in.Buffered())
	if _, err := m.other.Write(begun); err == nil {
		pipe(m.other, conn)
	}
}

// forget takes a first peer that never met a second out again.
func (r *rooms) forget(room string, m *member) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.waiting[room] == m {
		delete(r.waiting, room)
	}
}

// pipe copies until either end closes, and then closes the other.
func pipe(to, from net.Conn) {
	defer to.Close()
	buffer := make([]byte, bufferSize)
	for {
		n, err := from.Read(buffer)
		if _, failed := to.Write(buffer[:n]); failed != nil || err != nil {
			return
		}
	}
}
