package main

import (
	"bufio"
	"bytes"
	"encoding/binary"
	"encoding/json"
	"fmt"
	"io"
	"net"
	"os"
	"strconv"
	"strings"
	"sync"
	"testing"

	"go.uber.org/goleak"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// relayServer speaks the bare relay's protocol. Each message passes through mangle,
// with its number among those of its sender, which returns what to pass on.
func relayServer(t *testing.T, mangle func(n int, message []byte) [][]byte) (address string) {
	t.Helper()
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	var all sync.WaitGroup
	t.Cleanup(func() { listener.Close(); all.Wait() })
	var mu sync.Mutex
	rooms := map[string][2]chan net.Conn{}
	all.Go(func() {
		for {
			conn, err := listener.Accept()
			if err != nil {
				return
			}
			all.Go(func() {
				defer conn.Close()
				in := bufio.NewReader(conn)
				room, err := in.ReadString('\n')
				if err != nil {
					return
				}
				mu.Lock()
				seats, second := rooms[room]
				if !second {
					seats = [2]chan net.Conn{make(chan net.Conn, 1), make(chan net.Conn, 1)}
					rooms[room] = seats
				}
				mu.Unlock()
				place := 0
				if second {
					place = 1
				}
				seats[place] <- conn
				fmt.Fprintf(conn, "%d\n", place+1)
				var other net.Conn
				for n := 1; ; n++ {
					head := make([]byte, 4)
					if _, err := io.ReadFull(in, head); err != nil {
						return
					}
					body := make([]byte, binary.BigEndian.Uint32(head))
					if _, err := io.ReadFull(in, body); err != nil {
						return
					}
					if other == nil {
						other = <-seats[1-place]
					}
					for _, b := range mangle(n, body) {
						other.Write(append(binary.BigEndian.AppendUint32(nil, uint32(len(b))), b...))
					}
				}
			})
		}
	})
	return listener.Addr().String()
}

func load(t *testing.T, address string, args ...string) (int, outcome, string) {
	t.Helper()
	var out, log bytes.Buffer
	code := run(append([]string{"-protocol", "bare", "-address", address, "-pid", strconv.Itoa(os.Getpid()),
		"-pairs", "3", "-warm-up", "30", "-count", "90", "-limit", "10s", "-settle", "1ms"}, args...), &out, &log)
	var o outcome
	if code == 0 {
		if err := json.Unmarshal(out.Bytes(), &o); err != nil {
			t.Fatal(err)
		}
	}
	return code, o, log.String()
}

func honest(_ int, message []byte) [][]byte { return [][]byte{message} }

func TestLoads(t *testing.T) {
	for _, args := range [][]string{
		{"-load", "relay"}, {"-load", "relay", "-size", "200", "-window", "16"}, {"-load", "latency"}, {"-load", "joins"}, {"-load", "idle"},
	} {
		code, o, log := load(t, relayServer(t, honest), args...)
		if code != 0 {
			t.Errorf("%v: %s", args, log)
			continue
		}
		ok := o.Count == 90 && o.CPU > 0 && o.Wall > 0
		switch args[1] {
		case "latency":
			ok = o.Count == 120 && o.P50 > 0 && o.P99 >= o.P50
		case "idle":
			ok = o.Count == 6 && o.Base > 0 && o.Joined > 0 && o.Exchanged > 0
		}
		if !ok {
			t.Errorf("%v: %+v", args, o)
		}
	}
}

// Each kind of fault fails the run and is named.
func TestFaultsFailTheRun(t *testing.T) {
	for name, test := range map[string]struct {
		mangle func(n int, m []byte) [][]byte // of the sender's eighth message
		want   string
	}{
		"lost":     {func(int, []byte) [][]byte { return nil }, "lost, repeated or out of order"},
		"repeated": {func(_ int, m []byte) [][]byte { return [][]byte{m, m} }, "lost, repeated or out of order"},
		"changed":  {func(_ int, m []byte) [][]byte { m[150] ^= 1; return [][]byte{m} }, "not what was sent"},
	} {
		address := relayServer(t, func(n int, m []byte) [][]byte {
			if n == 8 {
				return test.mangle(n, m)
			}
			return honest(n, m)
		})
		if code, _, log := load(t, address, "-size", "200", "-window", "16"); code != 1 || !strings.Contains(log, test.want) {
			t.Errorf("%s: exit code %d, %s", name, code, log)
		}
	}
}

func TestReorderingFailsTheRun(t *testing.T) {
	var held []byte // the eighth message of whoever is first to send one
	var mu sync.Mutex
	address := relayServer(t, func(n int, m []byte) [][]byte {
		mu.Lock()
		defer mu.Unlock()
		switch {
		case n == 8 && held == nil:
			held = m
			return nil
		case n == 9:
			return [][]byte{m, held}
		}
		return honest(n, m)
	})
	if code, _, log := load(t, address, "-pairs", "1", "-window", "16"); code != 1 || !strings.Contains(log, "out of order") {
		t.Errorf("exit code %d, %s", code, log)
	}
}

// With a window of one, a lost message stops everything.
func TestSilenceFailsTheRun(t *testing.T) {
	address := relayServer(t, func(int, []byte) [][]byte { return nil })
	if code, _, log := load(t, address, "-limit", "300ms"); code != 1 || !strings.Contains(log, "waits for 10 of 10 messages") {
		t.Errorf("exit code %d, %s", code, log)
	}
}

func TestWrongUsage(t *testing.T) {
	for _, args := range [][]string{{"-load", "none"}, {"-protocol", "none"}, {"-window", "0"}, {"-root", "/no/such/file"}} {
		if code, _, log := load(t, "127.0.0.1:1", args...); code != 2 || log == "" {
			t.Errorf("%v: exit code %d, %s", args, code, log)
		}
	}
}
