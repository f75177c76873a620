package relay

import (
	"fmt"
	"net/netip"
	"sync"
	"time"
)

// Reason says why something was refused.
type Reason string

// The reasons of a [Refusal].
const (
	ForeignAddress     Reason = "foreign-address"     // a peer that the relay must not reach
	TCPRelaying        Reason = "tcp-relaying"        // RFC 6062, by Connect, ConnectionBind or REQUESTED-TRANSPORT
	BadCredentials     Reason = "bad-credentials"     // not made by this server, or changed
	ExpiredCredentials Reason = "expired-credentials" // made by this server, too long ago
	ReplayedRequest    Reason = "replayed-request"    // another client's request, byte for byte
	QuotaReached       Reason = "quota-reached"       // too many allocations
	TooManyPeers       Reason = "too-many-peers"      // an allocation's 257th peer or channel
	Unsupported        Reason = "unsupported"         // EVEN-PORT or RESERVATION-TOKEN
	BadFraming         Reason = "bad-framing"         // a TCP client sent what is too large or no STUN
)

// sentence completes "The relay refused …".
func (r Reason) sentence() string {
	switch r {
	case ForeignAddress:
		return "to reach an address outside of it"
	case TCPRelaying:
		return "to relay TCP (RFC 6062), which it never does"
	case BadCredentials:
		return "credentials that it did not make"
	case ExpiredCredentials:
		return "credentials that have expired; the page must ask for new ones"
	case ReplayedRequest:
		return "a request that another client had sent before"
	case QuotaReached:
		return "one more allocation, because there are too many"
	case TooManyPeers:
		return "one more peer or channel, because the allocation has too many"
	case Unsupported:
		return "to reserve a pair of ports, which it never does"
	case BadFraming:
		return "a connection that sent something other than STUN, or too much at once"
	}
	return string(r)
}

// Refusal says what a client was not allowed to do.
type Refusal struct {
	Reason    Reason
	Session   string         // of the credentials or the allocation; empty if neither is known
	Client    netip.AddrPort // who asked
	Transport string         // "udp" or "tcp" (TLS is "tcp", too)
	Peer      netip.AddrPort // for ForeignAddress, TooManyPeers and Connect: where to; port 0 for every port
}

// String is a sentence for people.
func (r Refusal) String() string {
	if r.Reason == ForeignAddress && r.Peer.IsValid() {
		to := r.Peer.String()
		if r.Peer.Port() == 0 {
			to = r.Peer.Addr().String()
		}
		return fmt.Sprintf("The relay refused to reach %s, which %s (%s) asked for.", to, r.Client, r.Transport)
	}
	return fmt.Sprintf("The relay refused %s: %s (%s).", r.Reason.sentence(), r.Client, r.Transport)
}

// reporter calls OnRefused, not more often than it says there.
type reporter struct {
	to func(Refusal)

	mu     sync.Mutex
	second int64
	count  int
}

const reportsPerSecond = 1000

func (r *reporter) report(refusal Refusal) {
	if r.to == nil {
		return
	}
	now := time.Now().Unix()
	r.mu.Lock()
	if now != r.second {
		r.second, r.count = now, 0
	}
	r.count++
	ok := r.count <= reportsPerSecond
	r.mu.Unlock()
	if ok {
		r.to(refusal)
	}
}
