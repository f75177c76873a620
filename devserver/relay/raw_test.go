package relay

import (
	"errors"
	"net"
	"net/netip"
	"testing"
	"time"

	"github.com/pion/stun/v4"
	"github.com/pion/turn/v5"
)

// rawClient sends STUN messages as a test wants them.
type rawClient struct {
	t     testing.TB
	conn  net.Conn // a message each, over UDP
	user  Credentials
	nonce stun.Nonce
	last  []byte // the last request
}

func (w *world) raw(user Credentials) *rawClient {
	w.t.Helper()
	conn, err := net.Dial("udp", w.udp.String())
	if err != nil {
		w.t.Fatal(err)
	}
	w.t.Cleanup(func() { conn.Close() })
	return &rawClient{t: w.t, conn: conn, user: user}
}

// requestedTransport is the attribute of an Allocate request.
func requestedTransport(protocol byte) stun.Setter {
	return stun.RawAttribute{Type: stun.AttrRequestedTransport, Value: []byte{protocol, 0, 0, 0}}
}

// to is XOR-PEER-ADDRESS. An IPv4 address that is mapped into IPv6 stays so.
func to(peer netip.AddrPort) stun.Setter { return peerAddress(peer) }

type peerAddress netip.AddrPort

func (p peerAddress) AddTo(m *stun.Message) error {
	ap := netip.AddrPort(p)
	if !ap.Addr().Is4In6() {
		return stun.XORMappedAddress{IP: ap.Addr().AsSlice(), Port: int(ap.Port())}.AddToAs(m, stun.AttrXORPeerAddress)
	}
	value := []byte{0, 2, byte(ap.Port()>>8) ^ 0x21, byte(ap.Port()) ^ 0x12}
	key := append([]byte{0x21, 0x12, 0xa4, 0x42}, m.TransactionID[:]...)
	for i, b := range ap.Addr().AsSlice() {
		value = append(value, b^key[i])
	}
	m.Add(stun.AttrXORPeerAddress, value)
	return nil
}

// request sends a request and returns the answer's error code, or 0 for success. It
// authenticates when it is asked to.
func (c *rawClient) request(method stun.Method, attributes ...stun.Setter) (stun.ErrorCode, *stun.Message) {
	c.t.Helper()
	for range 3 {
		setters := append([]stun.Setter{stun.TransactionID, stun.NewType(method, stun.ClassRequest)}, attributes...)
		if c.nonce != nil {
			key := turn.GenerateAuthKey(c.user.Username, Realm, c.user.Password)
			setters = append(setters, stun.NewUsername(c.user.Username), stun.NewRealm(Realm), c.nonce, stun.MessageIntegrity(key))
		}
		m, err := stun.Build(setters...)
		if err != nil {
			c.t.Fatal(err)
		}
		c.last = m.Raw
		code, answer, err := c.exchange(m.Raw)
		if err != nil {
			c.t.Fatalf("%s: %v", method, err)
		}
		if code != stun.CodeUnauthorized && code != stun.CodeStaleNonce {
			return code, answer
		}
		if err := c.nonce.GetFrom(answer); err != nil {
			c.t.Fatal(err)
		}
	}
	return stun.CodeUnauthorized, nil
}

// exchange sends a request and reads the answer, again and again because it is UDP.
func (c *rawClient) exchange(raw []byte) (stun.ErrorCode, *stun.Message, error) {
	buf := make([]byte, 2000)
	for late := time.Now().Add(patience); time.Now().Before(late); {
		if _, err := c.conn.Write(raw); err != nil {
			return 0, nil, err
		}
		_ = c.conn.SetReadDeadline(time.Now().Add(time.Second))
		for {
			n, err := c.conn.Read(buf)
			if err != nil {
				break
			}
			answer := &stun.Message{Raw: append([]byte(nil), buf[:n]...)}
			if answer.Decode() != nil || answer.TransactionID != [12]byte(raw[8:20]) {
				continue
			}
			var code stun.ErrorCodeAttribute
			if answer.Type.Class == stun.ClassErrorResponse && code.GetFrom(answer) != nil {
				return 0, nil, errors.New("an error without a code")
			}
			return code.Code, answer, nil
		}
	}
	return 0, nil, errors.New("no answer")
}

// allocate makes an allocation and returns its relayed address.
func (c *rawClient) allocate() netip.AddrPort {
	c.t.Helper()
	code, answer := c.request(stun.MethodAllocate, requestedTransport(17))
	if code != 0 {
		c.t.Fatalf("Allocate: error %d", code)
	}
	var relayed stun.XORMappedAddress
	if err := relayed.GetFromAs(answer, stun.AttrXORRelayedAddress); err != nil {
		c.t.Fatal(err)
	}
	addr, _ := netip.AddrFromSlice(relayed.IP)
	return netip.AddrPortFrom(addr, uint16(relayed.Port))
}

// indicate sends a Send indication.
func (c *rawClient) indicate(peer netip.AddrPort, data string) {
	c.t.Helper()
	m, err := stun.Build(stun.TransactionID, stun.NewType(stun.MethodSend, stun.ClassIndication), to(peer),
		stun.RawAttribute{Type: stun.AttrData, Value: []byte(data)})
	if err != nil {
		c.t.Fatal(err)
	}
	if _, err := c.conn.Write(m.Raw); err != nil {
		c.t.Fatal(err)
	}
}
