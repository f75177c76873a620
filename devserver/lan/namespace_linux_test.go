package lan

import (
	"strings"
	"testing"
	"time"
)

// TestWatchNamespace changes a real network, and sees each change told.
func TestWatchNamespace(t *testing.T) {
	t.Parallel()
	n := newNetwork(t)
	watch := start(t, n.host, "watch")
	watch.want("10.77.0.1 h0 virtual;")

	n.onHost("address add 10.77.0.5/24 dev h0")
	watch.want("10.77.0.1 h0 virtual;10.77.0.5 h0 virtual;")
	n.onHost("address del 10.77.0.1/24 dev h0")
	if got := watch.next(); got != "10.77.0.5 h0 virtual;" && got != "" { // the kernel removes secondary addresses too
		t.Errorf("after the removal: %q", got)
	}
	n.onHost("address replace 10.77.0.5/24 dev h0")
	n.onHost("address add fd77::1/64 dev h0 nodad")
	watch.want("10.77.0.5 h0 virtual;fd77::1 h0 virtual;")

	n.onHost("link add tun7 type veth peer name tun7p") // as a VPN is called
	n.onHost("link add eth7 type veth peer name eth7p")
	for _, name := range []string{"tun7", "tun7p", "eth7", "eth7p"} {
		n.onHost("link set " + name + " up")
	}
	n.onHost("address add 10.8.0.1/24 dev tun7")
	n.onHost("address add 10.9.0.1/24 dev eth7")
	watch.want("10.8.0.1 tun7 VPN;10.77.0.5 h0 virtual;fd77::1 h0 virtual;10.9.0.1 eth7 virtual;")

	n.onHost("route add default via 10.9.0.2 dev eth7")
	watch.want("10.9.0.1 eth7 virtual default;10.8.0.1 tun7 VPN;10.77.0.5 h0 virtual;fd77::1 h0 virtual;")
	n.onHost("route add default via 10.8.0.2 dev tun7 metric 5") // a worse one
	n.onHost("route replace default via 10.77.0.2 dev h0")
	watch.want("10.77.0.5 h0 virtual default;fd77::1 h0 virtual default;10.8.0.1 tun7 VPN;10.9.0.1 eth7 virtual;")

	n.onPhone("link set p0 down") // the cable is pulled
	watch.want("10.8.0.1 tun7 VPN default;10.9.0.1 eth7 virtual;")
	n.onPhone("link set p0 up") // the kernel has kept its route
	watch.want("10.77.0.5 h0 virtual default;fd77::1 h0 virtual default;10.8.0.1 tun7 VPN;10.9.0.1 eth7 virtual;")
	n.onHost("link del tun7")
	watch.want("10.77.0.5 h0 virtual default;fd77::1 h0 virtual default;10.9.0.1 eth7 virtual;")
	watch.end()
}

// TestWatchRoute changes nothing but a route, on a network that is otherwise still: no
// IPv6 address is being tried out, of which the kernel would tell too.
func TestWatchRoute(t *testing.T) {
	t.Parallel()
	n := newNetwork(t)
	n.onHost("link set h0 addrgenmode none")
	n.onHost("-6 address flush dev h0")
	watch := start(t, n.host, "watch")
	watch.want("10.77.0.1 h0 virtual;")
	n.onHost("route add default via 10.77.0.2 dev h0")
	watch.want("10.77.0.1 h0 virtual default;")
	n.onHost("route del default")
	watch.want("10.77.0.1 h0 virtual;")
}

// TestDefaultRoute6 has a default route in IPv6 only, then one in IPv4 too, which counts.
func TestDefaultRoute6(t *testing.T) {
	t.Parallel()
	n := newNetwork(t)
	n.onHost("address add fd77::1/64 dev h0 nodad")
	n.onHost("link add eth7 type veth peer name eth7p")
	n.onHost("link set eth7 up")
	n.onHost("link set eth7p up")
	n.onHost("address add 10.9.0.1/24 dev eth7")
	n.onHost("-6 route add default via fd77::2 dev h0")
	watch := start(t, n.host, "watch")
	watch.want("10.77.0.1 h0 virtual default;fd77::1 h0 virtual default;10.9.0.1 eth7 virtual;")
	start(t, n.host, "connect").want("h0 <nil>") // as other systems find it
	n.onHost("route add default via 10.9.0.2 dev eth7")
	watch.want("10.9.0.1 eth7 virtual default;10.77.0.1 h0 virtual;fd77::1 h0 virtual;")
	start(t, n.host, "connect").want("eth7 <nil>")
}

// resolved asks Avahi until it says the address, as it keeps older ones for a while.
func resolved(t *testing.T, resolve func(...string) (string, error), family, name, want string) {
	t.Helper()
	deadline := time.Now().Add(40 * time.Second)
	for {
		out, err := resolve(family, "-n", name)
		fields := strings.Fields(out)
		if err == nil && len(fields) == 2 && strings.EqualFold(fields[0], name) && fields[1] == want {
			return
		}
		if time.Now().After(deadline) {
			t.Fatalf("avahi-resolve %s -n %s: %q, %v; want %s", family, name, out, err, want)
		}
	}
}

// TestAnswerAvahi has another machine resolve the name with Avahi, while the address
// changes, and not once Answer has ended.
func TestAnswerAvahi(t *testing.T) {
	t.Parallel()
	n := newNetwork(t)
	n.onHost("address add fd77::1/64 dev h0 nodad")
	n.onPhone("address add fd77::2/64 dev p0 nodad")
	resolve := avahi(t, n.phone, "phone")
	answer := start(t, n.host, "answer Laptop.local")
	answer.want("ready")
	resolved(t, resolve, "-4", "laptop.local", "10.77.0.1")
	resolved(t, resolve, "-6", "laptop.local", "fd77::1")

	start(t, n.phone, "ask p0 laptop.local").want("10.77.0.1 fd77::1")
	start(t, n.phone, "ask p0 laptop2.local").want("")
	start(t, n.phone, "ask p0 phone.local").next() // asked of Avahi, so that the next is known to be about it
	n.onHost("address del 10.77.0.1/24 dev h0")
	n.onHost("address add 10.77.0.9/24 dev h0")
	resolved(t, resolve, "-4", "laptop.local", "10.77.0.9")
	start(t, n.phone, "ask p0 laptop.local").want("10.77.0.9 fd77::1")

	answer.end()
	start(t, n.phone, "ask p0 laptop.local").want("")
}

// TestAnswerTaken: another machine has the name already, or takes it later.
func TestAnswerTaken(t *testing.T) {
	t.Parallel()
	const taken = "end answering for laptop.local: another machine on this network has the name"
	n := newNetwork(t)
	first := start(t, n.host, "answer laptop.local")
	first.want("ready")
	avahi(t, n.phone, "laptop")
	first.want(taken)
	start(t, n.host, "answer laptop.local").want(taken)
	if got := start(t, n.phone, "ask p0 laptop.local").next(); !strings.Contains(got, "10.77.0.2") || strings.Contains(got, "10.77.0.1") {
		t.Errorf("afterwards the name has %s, want the other machine's 10.77.0.2 only", got)
	}
}

// TestAnswerTwice: two of this machine, or one beside Avahi, are not at odds; two of
// different machines are.
func TestAnswerTwice(t *testing.T) {
	t.Parallel()
	n := newNetwork(t)
	avahi(t, n.host, "laptop")
	first, second := start(t, n.host, "answer laptop.local"), start(t, n.host, "answer laptop.local")
	first.want("ready")
	second.want("ready")
	other := start(t, n.phone, "answer laptop.local")
	other.want("end answering for laptop.local: another machine on this network has the name")
	first.end()
	second.end()
}

// TestAnswerNowhere: multicast is switched off, or there is no network at all.
func TestAnswerNowhere(t *testing.T) {
	t.Parallel()
	n := newNetwork(t)
	n.onHost("link set h0 multicast off")
	start(t, n.host, "answer laptop.local").want("end answering for laptop.local: " + ErrNoMulticast.Error())
	n.onHost("link del h0")
	alone := start(t, n.host, "answer laptop.local")
	alone.want("ready")
	start(t, n.host, "ask lo laptop.local").want("127.0.0.1")
	alone.end()
}

// TestName: what the machine's own Avahi says, whether or not it is the host name.
func TestName(t *testing.T) {
	host, err := HostName()
	if err != nil {
		t.Skipf("this machine has no name to look for: %v", err)
	}
	label := strings.TrimSuffix(host, domain)
	for _, tt := range []struct{ name, onHost, onPhone, want string }{
		{"nobody answers", "", "", `"" <nil>`},
		{"Avahi has the host name", label, "phone", `"` + host + `" <nil>`},
		{"Avahi has another name", "kitchen-2", "phone", `"kitchen-2.local" <nil>`},
		{"another machine has the host name", "", label, `"" <nil>`},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			n := newNetwork(t)
			if tt.onHost != "" {
				avahi(t, n.host, tt.onHost)
			}
			if tt.onPhone != "" {
				avahi(t, n.phone, tt.onPhone)
			}
			start(t, n.host, "name").want(tt.want)
		})
	}
}
