package main

import (
	"context"
	"errors"
	"fmt"
	"net"
	"os"
	"time"

	"github.com/pion/stun/v4"
)

const (
	// channel is the number that each client has for its peer (RFC 8656 §12).
	channel = 0x4001
	// patience is how long a server may take for an answer, and again is after how long
	// it is asked again.
	patience = 5 * time.Second
	again    = 500 * time.Millisecond
	// starting is between two tries where nobody listens yet: coturn opens UDP last.
	starting = 20 * time.Millisecond
)

// connect makes the clients: those at 2n and 2n+1 are a pair. What it returns has to be
// closed, also with an error.
func connect(ctx context.Context, j job) (clients []*client, err error) {
	var relayed []stun.XORMappedAddress
	var dialogs []*dialog
	for range 2 * j.pairs {
		conn, err := net.Dial("udp4", j.address)
		if err != nil {
			return clients, err
		}
		c := newClient(conn.(*net.UDPConn), j.size)
		clients = append(clients, c)
		d := &dialog{conn: c.conn, job: j}
		at, err := d.allocate(ctx)
		if err != nil {
			return clients, fmt.Errorf("making an allocation at %s: %w", j.address, err)
		}
		relayed, dialogs = append(relayed, at), append(dialogs, d)
	}
	for i, d := range dialogs {
		if err := d.bind(ctx, relayed[i^1]); err != nil {
			return clients, fmt.Errorf("binding a channel to %s: %w", relayed[i^1], err)
		}
		_ = d.conn.SetReadDeadline(time.Time{})
	}
	return clients, nil
}

// A dialog is a client that makes its requests, with long-term credentials
// (RFC 8489 §9.2).
type dialog struct {
	conn  *net.UDPConn
	job   job
	realm stun.Realm
	nonce stun.Nonce
}

// allocate returns the relayed address.
func (d *dialog) allocate(ctx context.Context) (at stun.XORMappedAddress, err error) {
	const udp = 17
	answer, err := d.request(ctx, stun.MethodAllocate, stun.RawAttribute{Type: stun.AttrRequestedTransport, Value: []byte{udp, 0, 0, 0}})
	if err != nil {
		return at, err
	}
	return at, at.GetFromAs(answer, stun.AttrXORRelayedAddress)
}

// bind makes the channel.
func (d *dialog) bind(ctx context.Context, peer stun.XORMappedAddress) error {
	_, err := d.request(ctx, stun.MethodChannelBind,
		stun.RawAttribute{Type: stun.AttrChannelNumber, Value: []byte{channel >> 8, channel & 0xff, 0, 0}}, peerAddress(peer))
	return err
}

type peerAddress stun.XORMappedAddress

func (p peerAddress) AddTo(m *stun.Message) error {
	return stun.XORMappedAddress(p).AddToAs(m, stun.AttrXORPeerAddress)
}

// request sends a request until it is answered, and authenticates when it is told to.
func (d *dialog) request(ctx context.Context, method stun.Method, attributes ...stun.Setter) (*stun.Message, error) {
	for range 2 {
		setters := append([]stun.Setter{stun.TransactionID, stun.NewType(method, stun.ClassRequest)}, attributes...)
		if d.nonce != nil {
			setters = append(setters, stun.NewUsername(d.job.username), d.realm, d.nonce,
				stun.NewLongTermIntegrity(d.job.username, d.realm.String(), d.job.password))
		}
		m, err := stun.Build(setters...)
		if err != nil {
			return nil, err
		}
		answer, err := d.exchange(ctx, m)
		if err != nil || answer.Type.Class == stun.ClassSuccessResponse {
			return answer, err
		}
		var code stun.ErrorCodeAttribute
		if err := code.GetFrom(answer); err != nil {
			return nil, err
		}
		if code.Code != stun.CodeUnauthorized || d.nonce != nil {
			return nil, fmt.Errorf("%s is refused: %s", method, code)
		}
		if err := errors.Join(d.realm.GetFrom(answer), d.nonce.GetFrom(answer)); err != nil {
			return nil, err
		}
	}
	return nil, fmt.Errorf("%s: the credentials are not accepted", method)
}

func (d *dialog) exchange(ctx context.Context, m *stun.Message) (*stun.Message, error) {
	buf := make([]byte, 2048)
	for late := time.Now().Add(patience); time.Now().Before(late); {
		_, err := d.conn.Write(m.Raw)
		_ = d.conn.SetReadDeadline(time.Now().Add(again))
		for n := 0; err == nil; {
			if n, err = d.conn.Read(buf); err != nil {
				break
			}
			answer := &stun.Message{Raw: append([]byte(nil), buf[:n]...)}
			if stun.IsMessage(answer.Raw) && answer.Decode() == nil && answer.TransactionID == m.TransactionID {
				return answer, nil
			}
		}
		if !errors.Is(err, os.ErrDeadlineExceeded) {
			if err := wait(ctx, starting); err != nil {
				return nil, err
			}
		}
	}
	return nil, fmt.Errorf("no answer to %s in %v", m.Type.Method, patience)
}
