//go:build unix

package main

import (
	"net"
	"testing"
	"time"

	"rtcdev/devserver/peer"
)

// A TURN server that takes connections and keeps silent does not keep the server, or a
// peer, from ending.
func TestPeerAtASilentTURNServer(t *testing.T) {
	silent, err := net.Listen("tcp4", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer silent.Close()
	a := newAccount(t)
	s := a.serve(a.emptyFolder("empty"), "--port", "0", "--with-peer", "--ice-server", "turn:u:p@"+silent.Addr().String()+"?transport=tcp")
	p := a.peer(s.ready.Room)
	p.until("a call", func(s peer.Stats) bool { return s.Connections == 1 })
	if took := s.interrupt(); took > stopLimit {
		t.Errorf("the server took %v to stop", took)
	}
	begun := time.Now()
	p.interrupt()
	if took := time.Since(begun); took > stopLimit {
		t.Errorf("the peer took %v to stop", took)
	}
}
