//go:build unix

package main

import (
	"crypto/tls"
	"fmt"
	"net"
	"testing"
	"time"

	"github.com/pion/stun/v4"
	"github.com/pion/turn/v5"
)

// allocation is a relayed address, whose client speaks TLS with the server.
type allocation struct {
	t              *testing.T
	conn           *tls.Conn
	client         *turn.Client
	relayed        net.PacketConn
	user, password string
}

// allocate has the relay of the public name give an address, with what /_rtcdev/ice says of it.
func (h *publicHost) allocate(s *server) *allocation {
	h.t.Helper()
	servers := s.iceServers(h.web())
	secure := fmt.Sprintf("turns:%s:%d?transport=tcp", publicName, s.ready.Port)
	if len(servers) != 2 || len(servers[1].URLs) != 3 || servers[1].URLs[2] != secure {
		h.t.Fatalf("the servers are %+v, without %s", servers, secure)
	}
	a := &allocation{t: h.t, conn: h.secure(s, "stun.turn"), user: servers[1].Username, password: servers[1].Credential}
	at := a.conn.RemoteAddr().String()
	var err error
	a.client, err = turn.NewClient(&turn.ClientConfig{
		STUNServerAddr: at, TURNServerAddr: at, Conn: turn.NewSTUNConn(a.conn), Username: a.user, Password: a.password,
	})
	if err != nil {
		h.t.Fatal(err)
	}
	h.t.Cleanup(a.client.Close)
	if err := a.client.Listen(); err != nil {
		h.t.Fatal(err)
	}
	if a.relayed, err = a.client.Allocate(); err != nil {
		h.t.Fatalf("allocating at %s: %v\n%s", secure, err, &s.log)
	}
	h.t.Cleanup(func() { a.relayed.Close() })
	return a
}

// meets lets packets between the two relayed addresses pass.
func (a *allocation) meets(b *allocation) {
	a.t.Helper()
	for _, pair := range [][2]*allocation{{a, b}, {b, a}} {
		if err := pair[0].client.CreatePermission(pair[1].relayed.LocalAddr()); err != nil {
			a.t.Fatal(err)
		}
	}
}

// sends checks that a packet arrives at the other allocation.
func (a *allocation) sends(b *allocation, text string) {
	a.t.Helper()
	if err := b.relayed.SetReadDeadline(time.Now().Add(patience)); err != nil {
		a.t.Fatal(err)
	}
	if _, err := a.relayed.WriteTo([]byte(text), b.relayed.LocalAddr()); err != nil {
		a.t.Fatalf("through the relay: %v", err)
	}
	got := make([]byte, 100)
	if n, _, err := b.relayed.ReadFrom(got); err != nil || string(got[:n]) != text {
		a.t.Fatalf("through the relay comes %q, %v", got[:n], err)
	}
}

// refresh makes the allocation last longer: RFC 8656 §7.1.
func (a *allocation) refresh() {
	a.t.Helper()
	lifetime := stun.RawAttribute{Type: stun.AttrLifetime, Value: []byte{0, 0, 2, 88}} // 600 s
	request := func(more ...stun.Setter) *stun.Message {
		m, err := stun.Build(append([]stun.Setter{stun.TransactionID, stun.NewType(stun.MethodRefresh, stun.ClassRequest), lifetime}, more...)...)
		if err != nil {
			a.t.Fatal(err)
		}
		answer, err := a.client.PerformTransaction(m, a.conn.RemoteAddr(), false)
		if err != nil {
			a.t.Fatalf("refreshing the allocation: %v", err)
		}
		return answer.Msg
	}
	var nonce stun.Nonce
	if err := nonce.GetFrom(request()); err != nil { // RFC 8489 §9.2.4
		a.t.Fatal(err)
	}
	realm := a.client.Realm()
	answer := request(stun.NewUsername(a.user), realm, nonce, stun.NewLongTermIntegrity(a.user, realm.String(), a.password))
	if answer.Type.Class != stun.ClassSuccessResponse {
		a.t.Errorf("refreshing the allocation: %s", answer)
	}
}
