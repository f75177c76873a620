package lan

import (
	"errors"
	"net/netip"
	"strings"
	"testing"

	"golang.org/x/net/dns/dnsmessage"
)

func TestNameFor(t *testing.T) {
	for host, want := range map[string]string{
		"laptop":                "laptop.local",
		"Jun-MacBook-Pro.local": "jun-macbook-pro.local",
		"DESKTOP-7Q2":           "desktop-7q2.local",
		"db1.example.com":       "db1.local",
		"localhost":             "",
		"localhost.localdomain": "",
		"":                      "",
		"my_box":                "",
		"-a":                    "",
		"a-":                    "",
		"컴퓨터":                   "",
		strings.Repeat("a", 63): strings.Repeat("a", 63) + ".local",
		strings.Repeat("a", 64): "",
	} {
		got, err := nameFor(host)
		if got != want || want == "" && !errors.Is(err, ErrBadName) {
			t.Errorf("nameFor(%q) = %q, %v; want %q", host, got, err, want)
		}
	}
}

// TestAnswerBadName: nothing is asked or answered for what is no name of multicast DNS.
func TestAnswerBadName(t *testing.T) {
	for _, name := range []string{"", ".local", "laptop", "laptop.local.", "www.laptop.local", "example.com", "a b.local"} {
		err := Answer(t.Context(), name, func() []netip.Addr { t.Error("asked for addresses"); return nil }, nil)
		if !errors.Is(err, ErrBadName) {
			t.Errorf("Answer(%q) = %v", name, err)
		}
	}
}

func TestPointerName(t *testing.T) {
	for ip, want := range map[string]string{
		"192.168.0.23": "23.0.168.192.in-addr.arpa.",
		// The example of RFC 3596 section 2.5.
		"4321:0:1:2:3:4:567:89ab": "b.a.9.8.7.6.5.0.4.0.0.0.3.0.0.0.2.0.0.0.1.0.0.0.0.0.0.0.1.2.3.4.ip6.arpa.",
	} {
		if got := pointerName(netip.MustParseAddr(ip)); got != want {
			t.Errorf("pointerName(%s) = %s, want %s", ip, got, want)
		}
	}
}

func header(name string, class dnsmessage.Class) dnsmessage.ResourceHeader {
	return dnsmessage.ResourceHeader{Name: dnsmessage.MustNewName(name), Class: class, TTL: 10}
}

func packed(t testing.TB, m dnsmessage.Message) []byte {
	t.Helper()
	b, err := m.Pack()
	if err != nil {
		t.Fatal(err)
	}
	return b
}

func TestAnswers(t *testing.T) {
	record := dnsmessage.Resource{Header: header("Laptop.local.", dnsmessage.ClassINET|cacheFlush),
		Body: &dnsmessage.AResource{A: [4]byte{10, 0, 0, 1}}}
	message := dnsmessage.Message{Header: dnsmessage.Header{ID: 7, Response: true}, Answers: []dnsmessage.Resource{record, record}}
	whole := packed(t, message)
	if got := answers(whole, 7); len(got) != 2 {
		t.Errorf("%d answers, want 2", len(got))
	} else if ip, ok := (reply{record: got[0]}).address("laptop.LOCAL."); !ok || ip != netip.MustParseAddr("10.0.0.1") {
		t.Errorf("the address is %v, %v", ip, ok)
	}
	if got := answers(whole, 8); got != nil {
		t.Errorf("answers of another query: %v", got)
	}
	if got := answers(whole[:len(whole)-1], 7); len(got) != 1 {
		t.Errorf("%d answers of a packet whose second one is cut off, want 1", len(got))
	}
	message.Response = false
	if got := answers(packed(t, message), 7); got != nil {
		t.Errorf("answers of a query: %v", got)
	}
	other := reply{record: dnsmessage.Resource{Header: header("laptop.local.", dnsmessage.ClassCHAOS), Body: record.Body}}
	if _, ok := other.address("laptop.local."); ok {
		t.Error("an address of another class counts")
	}
}

func TestPointsTo(t *testing.T) {
	q, err := question(pointerName(netip.MustParseAddr("10.0.0.1")), dnsmessage.TypePTR)
	if err != nil {
		t.Fatal(err)
	}
	for _, tt := range []struct{ from, to, want string }{
		{"1.0.0.10.in-addr.arpa.", "Laptop-2.local.", "laptop-2.local"},
		{"2.0.0.10.in-addr.arpa.", "laptop-2.local.", ""},     // not asked for
		{"1.0.0.10.in-addr.arpa.", "router.example.com.", ""}, // no name of multicast DNS
		{"1.0.0.10.in-addr.arpa.", "a\x1b[2J.local.", ""},     // no name to print
	} {
		r := reply{record: dnsmessage.Resource{Header: header(tt.from, dnsmessage.ClassINET),
			Body: &dnsmessage.PTRResource{PTR: dnsmessage.MustNewName(tt.to)}}}
		if got := r.pointsTo([]dnsmessage.Question{q}); got != tt.want {
			t.Errorf("%s for %s: %q, want %q", tt.to, tt.from, got, tt.want)
		}
	}
}

// FuzzAnswers reads packets as anyone on the network may send them.
func FuzzAnswers(f *testing.F) {
	f.Add([]byte{}, uint16(0))
	f.Add(packed(f, dnsmessage.Message{Header: dnsmessage.Header{ID: 7, Response: true}, Answers: []dnsmessage.Resource{
		{Header: header("a.local.", dnsmessage.ClassINET), Body: &dnsmessage.AAAAResource{AAAA: [16]byte{0xfd, 15: 1}}},
		{Header: header("1.0.0.10.in-addr.arpa.", dnsmessage.ClassINET), Body: &dnsmessage.PTRResource{PTR: dnsmessage.MustNewName("a.local.")}},
	}}), uint16(7))
	q, err := question("1.0.0.10.in-addr.arpa.", dnsmessage.TypePTR)
	if err != nil {
		f.Fatal(err)
	}
	f.Fuzz(func(t *testing.T, packet []byte, id uint16) {
		for _, record := range answers(packet, id) {
			r := reply{record: record}
			if ip, ok := r.address("a.local."); ok && (!ip.IsValid() || ip.Is4In6()) {
				t.Errorf("the address %v", ip)
			}
			if name := r.pointsTo([]dnsmessage.Question{q}); name != "" && !isName(name) {
				t.Errorf("the name %q", name)
			}
		}
	})
}
