package main

import (
	"bytes"
	"encoding/binary"
	"encoding/json"
	"net"
	"os"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/pion/stun/v4"
	"go.uber.org/goleak"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

const password = "north of the wall"

// fakeTURN is as much of a TURN server as the load needs.
type fakeTURN struct {
	conn    *net.UDPConn
	clients []*net.UDPAddr                      // the relayed address of the n-th is 198.18.0.n
	peers   map[string]*net.UDPAddr             // by the client's address
	mangle  func(n int, packet []byte) [][]byte // what becomes of the n-th packet
	n       int
}

func serve(t *testing.T, mangle func(n int, packet []byte) [][]byte) (address string) {
	t.Helper()
	return serveAt(t, &net.UDPAddr{IP: net.IPv4(127, 0, 0, 1)}, mangle)
}

func serveAt(t *testing.T, at *net.UDPAddr, mangle func(n int, packet []byte) [][]byte) (address string) {
	t.Helper()
	conn, err := net.ListenUDP("udp4", at)
	if err != nil {
		t.Fatal(err)
	}
	_ = conn.SetReadBuffer(1 << 20)
	f := &fakeTURN{conn: conn, peers: make(map[string]*net.UDPAddr), mangle: mangle}
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		buf := make([]byte, 2048)
		for {
			n, from, err := conn.ReadFromUDP(buf)
			if err != nil {
				return
			}
			f.handle(append([]byte(nil), buf[:n]...), from)
		}
	}()
	t.Cleanup(func() { conn.Close(); <-ended })
	return conn.LocalAddr().String()
}

func (f *fakeTURN) handle(raw []byte, from *net.UDPAddr) {
	if raw[0] == channel>>8 {
		f.n++
		for _, packet := range f.mangle(f.n, raw) {
			f.conn.WriteToUDP(packet, f.peers[from.String()])
		}
		return
	}
	m := &stun.Message{Raw: raw}
	if m.Decode() != nil {
		return
	}
	class, realm := stun.ClassErrorResponse, stun.NewRealm("test")
	setters := []stun.Setter{stun.CodeUnauthorized, realm, stun.NewNonce("once")}
	var user stun.Username
	if user.GetFrom(m) == nil && stun.NewLongTermIntegrity(user.String(), "test", password).Check(m) == nil {
		class = stun.ClassSuccessResponse
		setters = []stun.Setter{f.relayed(m, from)}
	}
	answer := stun.MustBuild(append([]stun.Setter{stun.NewTransactionIDSetter(m.TransactionID), stun.NewType(m.Type.Method, class)}, setters...)...)
	f.conn.WriteToUDP(answer.Raw, from)
}

// relayed does what is asked for, and returns the attribute of an answer to Allocate.
func (f *fakeTURN) relayed(m *stun.Message, from *net.UDPAddr) stun.Setter {
	if m.Type.Method == stun.MethodChannelBind {
		var peer stun.XORMappedAddress
		if peer.GetFromAs(m, stun.AttrXORPeerAddress) == nil {
			f.peers[from.String()] = f.clients[peer.IP.To4()[3]]
		}
		return stun.NewSoftware("test")
	}
	f.clients = append(f.clients, from)
	return relayedAddress{IP: net.IPv4(198, 18, 0, byte(len(f.clients)-1)), Port: 50000}
}

type relayedAddress stun.XORMappedAddress

func (a relayedAddress) AddTo(m *stun.Message) error {
	return stun.XORMappedAddress(a).AddToAs(m, stun.AttrXORRelayedAddress)
}

func honest(_ int, packet []byte) [][]byte { return [][]byte{packet} }

func load(t *testing.T, address string, args ...string) (int, outcome, string) {
	t.Helper()
	var out, log bytes.Buffer
	code := run(append([]string{"-address", address, "-pid", strconv.Itoa(os.Getpid()), "-username", "test", "-password", password,
		"-pairs", "2", "-warm-up", "50ms", "-duration", "300ms"}, args...), &out, &log)
	var o outcome
	if code == 0 {
		if err := json.Unmarshal(out.Bytes(), &o); err != nil {
			t.Fatal(err)
		}
	}
	return code, o, log.String()
}

func TestMost(t *testing.T) {
	code, o, log := load(t, serve(t, honest), "-load", "most", "-window", "4")
	if code != 0 || o.Delivered < 500 || o.Lost != 0 || o.CPU <= 0 || o.Own <= 0 || o.Wall < 0.3 {
		t.Errorf("exit code %d, %+v, %s", code, o, log)
	}
}

func TestPaced(t *testing.T) {
	code, o, log := load(t, serve(t, honest), "-load", "paced", "-rate", "2000", "-size", "200")
	if rate := float64(o.Delivered) / o.Wall; code != 0 || rate < 1600 || rate > 2400 || o.Lost != 0 {
		t.Errorf("exit code %d, %+v, %s", code, o, log)
	}
}

// What is lost is counted, and the load goes on: with other packets in place of those
// that are missing among others, and when nothing comes any more.
func TestLossIsCounted(t *testing.T) {
	for name, lost := range map[string]func(n int) bool{
		"one in ten": func(n int) bool { return n%10 == 0 },
		"a burst":    func(n int) bool { return n%500 < 20 },
	} {
		code, o, log := load(t, serve(t, func(n int, packet []byte) [][]byte {
			if lost(n) {
				return nil
			}
			return honest(n, packet)
		}), "-load", "most", "-window", "4")
		if code != 0 || o.Delivered < 500 || o.Lost < 10 {
			t.Errorf("%s: exit code %d, %+v, %s", name, code, o, log)
		}
	}
}

// Each kind of fault fails the run and is named.
func TestFaultsFailTheRun(t *testing.T) {
	for name, test := range map[string]struct {
		mangle func(n int, packet []byte) [][]byte
		want   string
	}{
		"repeated": {func(_ int, p []byte) [][]byte { return [][]byte{p, p} }, "twice, or out of order"},
		"shorter":  {func(_ int, p []byte) [][]byte { return [][]byte{p[:100]} }, "100 bytes came"},
		"changed": {func(_ int, p []byte) [][]byte {
			binary.BigEndian.PutUint16(p, channel+1)
			return [][]byte{p}
		}, "that are no packet"},
		"nothing": {func(int, []byte) [][]byte { return nil }, "no packet came through"},
	} {
		for _, kind := range []string{"most", "paced"} {
			if code, _, log := load(t, serve(t, test.mangle), "-load", kind); code != 1 || !strings.Contains(log, test.want) {
				t.Errorf("%s, %s: exit code %d, %s", name, kind, code, log)
			}
		}
	}
}

func TestRefusedCredentials(t *testing.T) {
	if code, _, log := load(t, serve(t, honest), "-password", "guess"); code != 1 || !strings.Contains(log, "refused: 401") {
		t.Errorf("exit code %d, %s", code, log)
	}
}

// A server that listens a little later is waited for.
func TestServerStarts(t *testing.T) {
	conn, err := net.ListenUDP("udp4", &net.UDPAddr{IP: net.IPv4(127, 0, 0, 1)})
	if err != nil {
		t.Fatal(err)
	}
	address := conn.LocalAddr().(*net.UDPAddr)
	conn.Close()
	result := make(chan string)
	go func() {
		code, _, log := load(t, address.String())
		result <- strconv.Itoa(code) + log
	}()
	<-time.After(100 * time.Millisecond)
	serveAt(t, address, honest)
	if got := <-result; got != "0" {
		t.Error(got)
	}
}

func TestWrongUsage(t *testing.T) {
	for _, args := range [][]string{{"-load", "none"}, {"-window", "0"}, {"-size", "3"}, {"-size", "9000"}, {"-nothing"}} {
		if code, _, log := load(t, "127.0.0.1:1", args...); code != 2 || log == "" {
			t.Errorf("%v: exit code %d, %s", args, code, log)
		}
	}
}
