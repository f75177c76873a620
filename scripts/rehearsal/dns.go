package rehearsal

import (
	"net"
	"net/netip"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"

	"github.com/miekg/dns"
)

// A zone is a DNS server that speaks for the whole world: the last two labels of any name
// are a zone.
type zone struct {
	addr   string // host:port, TCP and UDP
	folder string // of the hook

	mu        sync.Mutex
	addresses map[string]netip.Addr // by name; not valid: the name is not there
	caa       map[string][]string
}

// ttl is short, for resolvers that keep what they hear.
const ttl = 1 // second

// startZone starts a server that ends with the test.
func startZone(t testing.TB) *zone {
	t.Helper()
	z := &zone{folder: t.TempDir(), addresses: map[string]netip.Addr{}, caa: map[string][]string{}}
	tcp, udp := listenBoth(t)
	z.addr = tcp.Addr().String()
	handler := dns.HandlerFunc(func(w dns.ResponseWriter, r *dns.Msg) { _ = w.WriteMsg(z.answer(r)) })
	for _, s := range []*dns.Server{{Listener: tcp, Handler: handler}, {PacketConn: udp, Handler: handler}} {
		started, done := make(chan struct{}), make(chan struct{})
		s.NotifyStartedFunc = func() { close(started) }
		go func() {
			defer close(done)
			_ = s.ActivateAndServe()
		}()
		select {
		case <-started:
		case <-done:
			t.Fatal("the DNS server ended at once")
		}
		t.Cleanup(func() {
			_ = s.Shutdown()
			<-done
		})
	}
	return z
}

// listenBoth opens a port that is free for TCP and for UDP.
func listenBoth(t testing.TB) (net.Listener, net.PacketConn) {
	t.Helper()
	const tries = 20
	var err error
	for range tries {
		var tcp net.Listener
		if tcp, err = net.Listen("tcp", "127.0.0.1:0"); err != nil {
			continue
		}
		var udp net.PacketConn
		if udp, err = net.ListenPacket("udp", tcp.Addr().String()); err == nil {
			return tcp, udp
		}
		_ = tcp.Close()
	}
	t.Fatalf("opening a port for DNS: %v", err)
	return nil, nil
}

// answer answers the first question of a query (there is never another).
func (z *zone) answer(query *dns.Msg) *dns.Msg {
	reply := new(dns.Msg).SetReply(query)
	reply.Authoritative, reply.RecursionAvailable = true, true
	if len(query.Question) != 1 {
		return reply.SetRcode(query, dns.RcodeFormatError)
	}
	q := query.Question[0]
	name := normal(q.Name)
	txt := z.txt(name)
	header := func(kind uint16) dns.RR_Header {
		return dns.RR_Header{Name: q.Name, Rrtype: kind, Class: dns.ClassINET, Ttl: ttl}
	}

	z.mu.Lock()
	defer z.mu.Unlock()
	ip, isThere := z.lookup(name)
	if !isThere && len(txt) == 0 {
		reply.Rcode = dns.RcodeNameError
	}
	apex := apexOf(name)
	soa := &dns.SOA{Hdr: dns.RR_Header{Name: dns.Fqdn(apex), Rrtype: dns.TypeSOA, Class: dns.ClassINET, Ttl: ttl},
		Ns: dns.Fqdn("ns." + apex), Mbox: dns.Fqdn("hostmaster." + apex), Serial: 1, Refresh: ttl, Retry: ttl, Expire: ttl, Minttl: ttl}
	switch {
	case q.Qtype == dns.TypeTXT:
		for _, value := range txt {
			reply.Answer = append(reply.Answer, &dns.TXT{Hdr: header(dns.TypeTXT), Txt: []string{value}})
		}
	case !isThere:
	case q.Qtype == dns.TypeA && ip.Is4():
		reply.Answer = append(reply.Answer, &dns.A{Hdr: header(dns.TypeA), A: ip.AsSlice()})
	case q.Qtype == dns.TypeAAAA && ip.Is6():
		reply.Answer = append(reply.Answer, &dns.AAAA{Hdr: header(dns.TypeAAAA), AAAA: ip.AsSlice()})
	case q.Qtype == dns.TypeCAA:
		for _, issuer := range z.caa[name] {
			reply.Answer = append(reply.Answer, &dns.CAA{Hdr: header(dns.TypeCAA), Tag: "issue", Value: issuer})
		}
	case q.Qtype == dns.TypeSOA && name == apex:
		reply.Answer = append(reply.Answer, soa)
	case q.Qtype == dns.TypeNS && name == apex:
		reply.Answer = append(reply.Answer, &dns.NS{Hdr: header(dns.TypeNS), Ns: soa.Ns})
	}
	if len(reply.Answer) == 0 {
		reply.Ns = append(reply.Ns, soa) // RFC 2308 §2
	}
	return reply
}

// lookup returns the address of a name, unless it or one above it is set to be none.
func (z *zone) lookup(name string) (ip netip.Addr, isThere bool) {
	for above := name; above != ""; _, above, _ = strings.Cut(above, ".") {
		if ip, ok := z.addresses[above]; ok && (above == name || !ip.IsValid()) {
			return ip, ip.IsValid()
		}
	}
	return netip.AddrFrom4([4]byte{127, 0, 0, 1}), true
}

// has tells whether a name is there.
func (z *zone) has(name string) bool {
	z.mu.Lock()
	defer z.mu.Unlock()
	_, isThere := z.lookup(normal(name))
	return isThere
}

// forbids returns the name whose CAA records keep the authority from a name, or nothing: the
// closest one that has some decides (RFC 8659 §3).
func (z *zone) forbids(name string) string {
	z.mu.Lock()
	defer z.mu.Unlock()
	for above := normal(name); above != ""; _, above, _ = strings.Cut(above, ".") {
		issuers := z.caa[above]
		switch {
		case slices.Contains(issuers, CAAIdentity):
			return ""
		case len(issuers) > 0:
			return above
		}
	}
	return ""
}

// txt returns the values that the hook has put there: the names of files.
func (z *zone) txt(name string) []string {
	if name == "" || strings.ContainsAny(name, `/\`) {
		return nil
	}
	entries, _ := os.ReadDir(filepath.Join(z.folder, recordFolder, name)) // not there: no values
	var values []string
	for _, e := range entries {
		values = append(values, e.Name())
	}
	return values
}

// apexOf returns the name of the zone that a name is in.
func apexOf(name string) string {
	labels := strings.Split(name, ".")
	return strings.Join(labels[max(0, len(labels)-2):], ".")
}

// normal is a name in lower case and without the dot at its end.
func normal(name string) string { return strings.ToLower(strings.TrimSuffix(name, ".")) }

// SetAddress says which address a name has. All others have 127.0.0.1.
func (a *Authority) SetAddress(name string, ip netip.Addr) {
	a.zone.mu.Lock()
	defer a.zone.mu.Unlock()
	a.zone.addresses[normal(name)] = ip.Unmap()
}

// SetNoName says that there is no such name, nor any below it, but for those with TXT records.
func (a *Authority) SetNoName(name string) { a.SetAddress(name, netip.Addr{}) }

// SetCAA adds a CAA record (RFC 8659) to a name: certificates for it, and for names below it
// that have none of their own, come from this issuer, of which [CAAIdentity] is one.
func (a *Authority) SetCAA(name, issuer string) {
	a.zone.mu.Lock()
	defer a.zone.mu.Unlock()
	name = normal(name)
	a.zone.caa[name] = append(a.zone.caa[name], issuer)
}
