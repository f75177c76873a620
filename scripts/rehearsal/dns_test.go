package rehearsal_test

import (
	"net/netip"
	"os/exec"
	"slices"
	"strings"
	"testing"

	"github.com/miekg/dns"

	"rtcdev/scripts/rehearsal"
)

// ask asks the DNS server over UDP and over TCP, and returns the data of the answers.
func ask(t *testing.T, a *rehearsal.Authority, name string, kind uint16) (reply *dns.Msg, data []string) {
	t.Helper()
	query := new(dns.Msg).SetQuestion(dns.Fqdn(name), kind).SetEdns0(1232, false)
	var all [][]string
	for _, network := range []string{"udp", "tcp"} {
		var err error
		reply, _, err = (&dns.Client{Net: network}).ExchangeContext(t.Context(), query, a.DNSAddr)
		if err != nil {
			t.Fatalf("asking for %s over %s: %v", name, network, err)
		}
		data = nil
		for _, rr := range reply.Answer {
			data = append(data, strings.TrimPrefix(rr.String(), rr.Header().String()))
		}
		slices.Sort(data)
		all = append(all, data)
	}
	if !slices.Equal(all[0], all[1]) {
		t.Errorf("%s is %q over UDP and %q over TCP", name, all[0], all[1])
	}
	return reply, data
}

func TestNames(t *testing.T) {
	a := rehearsal.Start(t, rehearsal.Options{})
	a.SetAddress("Six.example.com.", netip.MustParseAddr("::1"))
	a.SetAddress("lan.example.com", netip.MustParseAddr("192.168.1.2"))
	a.SetNoName("nowhere.example.com")
	a.SetCAA("example.com", ";")
	for _, c := range []struct {
		name  string
		kind  uint16
		rcode int
		want  string
	}{
		{"any.example.com", dns.TypeA, dns.RcodeSuccess, "127.0.0.1"},
		{"any.example.com", dns.TypeAAAA, dns.RcodeSuccess, ""},
		{"any.example.com", dns.TypeTXT, dns.RcodeSuccess, ""},
		{"SIX.example.com", dns.TypeAAAA, dns.RcodeSuccess, "::1"},
		{"six.example.com", dns.TypeA, dns.RcodeSuccess, ""},
		{"lan.example.com", dns.TypeA, dns.RcodeSuccess, "192.168.1.2"},
		{"under.lan.example.com", dns.TypeA, dns.RcodeSuccess, "127.0.0.1"},
		{"nowhere.example.com", dns.TypeA, dns.RcodeNameError, ""},
		{"sub.nowhere.example.com", dns.TypeAAAA, dns.RcodeNameError, ""},
		{"example.com", dns.TypeCAA, dns.RcodeSuccess, `0 issue ";"`},
		{"localhost", dns.TypeA, dns.RcodeSuccess, "127.0.0.1"},
		{".", dns.TypeTXT, dns.RcodeSuccess, ""},
	} {
		reply, data := ask(t, a, c.name, c.kind)
		if got := strings.Join(data, " "); reply.Rcode != c.rcode || got != c.want {
			t.Errorf("%s %s: %s %q, not %q", c.name, dns.TypeToString[c.kind], dns.RcodeToString[reply.Rcode], got, c.want)
		}
		if soa := len(reply.Ns) == 1 && reply.Ns[0].Header().Rrtype == dns.TypeSOA; soa != (len(reply.Answer) == 0) {
			t.Errorf("%s %s: %d answers and %d SOA", c.name, dns.TypeToString[c.kind], len(reply.Answer), len(reply.Ns))
		}
	}
}

// TestApex looks for the zone of a name as ACME clients do: the first name above it with an
// SOA record of its own.
func TestApex(t *testing.T) {
	a := rehearsal.Start(t, rehearsal.Options{})
	for _, above := range []string{"_acme-challenge.call.example.com", "call.example.com"} {
		if _, data := ask(t, a, above, dns.TypeSOA); data != nil {
			t.Errorf("%s has the SOA %q", above, data)
		}
	}
	reply, _ := ask(t, a, "example.com", dns.TypeSOA)
	if len(reply.Answer) != 1 || reply.Answer[0].Header().Name != "example.com." {
		t.Errorf("the zone answers %v", reply)
	}
	if _, data := ask(t, a, "example.com", dns.TypeNS); !slices.Equal(data, []string{"ns.example.com."}) {
		t.Errorf("its servers are %q", data)
	}
}

func TestHook(t *testing.T) {
	a := rehearsal.Start(t, rehearsal.Options{})
	hook := a.WriteHook(t)
	if calls := a.HookCalls(); len(calls) != 0 {
		t.Errorf("before the first call there are %q", calls)
	}
	const name = "_acme-challenge.call.example.com"
	a.SetNoName("call.example.com")
	for _, step := range []struct {
		args  []string
		fails bool
		want  []string
	}{
		{[]string{"present", name, "-one"}, false, []string{`"-one"`}},
		{[]string{"present", name + ".", "two"}, false, []string{`"-one"`, `"two"`}},
		{[]string{"cleanup", strings.ToUpper(name), "-one"}, false, []string{`"two"`}},
		{[]string{"cleanup", name, "three"}, true, []string{`"two"`}},
		{[]string{"present", name, "../four"}, true, []string{`"two"`}},
		{[]string{"remove", name, "two"}, true, []string{`"two"`}},
		{[]string{"cleanup", name, "two"}, false, nil},
	} {
		out, err := exec.CommandContext(t.Context(), hook, step.args...).CombinedOutput()
		if (err != nil) != step.fails {
			t.Errorf("%q: %v: %s", step.args, err, out)
		}
		if reply, data := ask(t, a, name, dns.TypeTXT); !slices.Equal(data, step.want) || (reply.Rcode == dns.RcodeNameError) != (step.want == nil) {
			t.Errorf("after %q the record is %q (%s)", step.args, data, dns.RcodeToString[reply.Rcode])
		}
	}
	want := []string{"present " + name + " -one", "present " + name + ". two", "cleanup " + strings.ToUpper(name) + " -one", "cleanup " + name + " two"}
	if got := a.HookCalls(); !slices.Equal(got, want) {
		t.Errorf("the calls were %q", got)
	}
}
