package lan

import (
	"net/netip"
	"strings"
	"testing"
)

// row is an interface as a test writes it: its name, its addresses with spaces between.
func row(name, ips string) link {
	l := link{name: name}
	for s := range strings.FieldsSeq(ips) {
		l.ips = append(l.ips, netip.MustParseAddr(s))
	}
	return l
}

func (l link) mac(hardware string) link { l.hardware = hardware; return l }
func (l link) dev(devType string) link  { l.devType, l.virtual = devType, true; return l }
func (l link) wlan() link               { l.devType = "wlan"; return l }

// line is an address as the tests compare it.
func line(a Address) string {
	s := a.IP.String() + " " + a.Interface + " " + a.Kind.String()
	if a.Product != "" {
		s += " " + a.Product
	}
	if a.DefaultRoute {
		s += " default"
	}
	if a.Public {
		s += " public"
	}
	return s
}

func lines(list []Address) string {
	var b strings.Builder
	for _, a := range list {
		b.WriteString(line(a) + "\n")
	}
	return b.String()
}

func TestRank(t *testing.T) {
	tests := []struct {
		name string
		m    machine
		want []string
	}{
		{"nothing", machine{os: "linux"}, nil},
		{"a Linux laptop with Docker, libvirt, Tailscale and a cable that leads nowhere",
			machine{os: "linux", defaultLink: "wlp3s0", links: []link{
				row("enp0s31f6", "10.9.9.1"),
				row("virbr0", "192.168.122.1").dev("bridge"),
				row("docker0", "172.17.0.1").dev("bridge"),
				row("br-1a2b3c4d5e6f", "172.18.0.1 fe80::42:1").dev("bridge"),
				row("veth12ab34c", "fe80::1").dev(""),
				row("wlp3s0", "fe80::2 fd12::7 2001:db8:1::7 192.168.0.23").wlan(),
				row("tailscale0", "100.101.102.103 fd7a:115c:a1e0::1").dev(""),
			}},
			[]string{
				"192.168.0.23 wlp3s0 Wi-Fi default",
				"fd12::7 wlp3s0 Wi-Fi default",
				"10.9.9.1 enp0s31f6 Ethernet",
				"100.101.102.103 tailscale0 VPN Tailscale",
				"fd7a:115c:a1e0::1 tailscale0 VPN Tailscale",
				"192.168.122.1 virbr0 virtual libvirt",
				"172.17.0.1 docker0 virtual Docker",
				"172.18.0.1 br-1a2b3c4d5e6f virtual Docker",
				"2001:db8:1::7 wlp3s0 Wi-Fi default public",
			}},
		{"a Linux server whose cable is behind a bridge, with a VLAN and a bond",
			machine{os: "linux", defaultLink: "br0", links: []link{
				row("eth0.100", "10.1.0.5").dev("vlan"),
				row("bond0", "10.2.0.5").dev("bond"),
				row("br0", "10.0.0.5").dev("bridge"),
				row("ifb0", "10.3.0.5").dev(""),
				row("wwan0", "10.4.0.5"),
			}},
			[]string{
				"10.0.0.5 br0 virtual default",
				"10.1.0.5 eth0.100 Ethernet",
				"10.2.0.5 bond0 Ethernet",
				"10.4.0.5 wwan0 other",
				"10.3.0.5 ifb0 virtual",
			}},
		{"in a Docker container",
			machine{os: "linux", defaultLink: "eth0", links: []link{
				row("eth0", "172.17.0.2").mac("02:42:ac:11:00:02").dev(""),
			}},
			[]string{"172.17.0.2 eth0 virtual default"}},
		{"in WSL behind its NAT",
			machine{os: "linux", wsl: true, defaultLink: "eth0", links: []link{
				row("eth0", "172.29.208.5 fe80::215:5dff:fe01:1").mac("00:15:5d:8a:01:02"),
				row("docker0", "172.17.0.1").dev("bridge"),
			}},
			[]string{
				"172.29.208.5 eth0 virtual WSL default",
				"172.17.0.1 docker0 virtual Docker",
			}},
		{"in WSL that mirrors the network of Windows",
			machine{os: "linux", wsl: true, defaultLink: "eth1", links: []link{
				row("loopback0", "10.255.255.254").mac("00:15:5d:8a:01:02"),
				row("eth1", "192.168.0.23").mac("d8:bb:c1:00:00:01"),
			}},
			[]string{
				"192.168.0.23 eth1 Ethernet default",
				"10.255.255.254 loopback0 virtual WSL",
			}},
		{"in a Hyper-V machine, whose interface is the way to the real network",
			machine{os: "linux", defaultLink: "eth0", links: []link{
				row("eth0", "192.168.0.40").mac("00:15:5d:8a:01:02"),
			}},
			[]string{"192.168.0.40 eth0 Ethernet default"}},
		{"a Mac whose VPN takes everything",
			machine{os: "darwin", defaultLink: "utun4", links: []link{
				row("en0", "fe80::c17 192.168.0.31 2001:db8:2::31 fd34::31"),
				row("awdl0", "fe80::9"),
				row("utun0", "fe80::a"),
				row("utun4", "10.8.0.6"),
				row("bridge100", "192.168.64.1 fd65::1"),
				row("en7", "169.254.7.7"),
				row("feth1234", "10.147.17.3"),
			}},
			[]string{
				"192.168.0.31 en0 other",
				"fd34::31 en0 other",
				"10.8.0.6 utun4 VPN default",
				"10.147.17.3 feth1234 VPN ZeroTier",
				"192.168.64.1 bridge100 virtual",
				"fd65::1 bridge100 virtual",
				"2001:db8:2::31 en0 other public",
			}},
		{"Windows with WSL, Hyper-V, VirtualBox, VMware and a hotspot",
			machine{os: "windows", defaultLink: "Wi-Fi", links: []link{
				row("Ethernet 3", "192.168.56.1").mac("0a:00:27:00:00:11"),
				row("VMware Network Adapter VMnet8", "192.168.229.1"),
				row("Ethernet 5", "192.168.111.1").mac("00:50:56:c0:00:01"),
				row("vEthernet (Default Switch)", "172.24.64.1"),
				row("vEthernet (WSL (Hyper-V firewall))", "172.29.208.1"),
				row("Local Area Connection* 10", "192.168.137.1"),
				row("Bluetooth Network Connection", "169.254.1.1"),
				row("OpenVPN TAP-Windows6", "10.8.0.10"),
				row("Ethernet", "10.0.0.7"),
				row("Wi-Fi", "192.168.0.77 fe80::77"),
			}},
			[]string{
				"192.168.0.77 Wi-Fi Wi-Fi default",
				"10.0.0.7 Ethernet Ethernet",
				"10.8.0.10 OpenVPN TAP-Windows6 VPN OpenVPN",
				"192.168.56.1 Ethernet 3 virtual VirtualBox",
				"192.168.229.1 VMware Network Adapter VMnet8 virtual VMware",
				"192.168.111.1 Ethernet 5 virtual VMware",
				"172.24.64.1 vEthernet (Default Switch) virtual Hyper-V",
				"172.29.208.1 vEthernet (WSL (Hyper-V firewall)) virtual WSL",
				"192.168.137.1 Local Area Connection* 10 virtual Wi-Fi Direct",
			}},
		{"a Korean Windows whose Hyper-V switch has the cable",
			machine{os: "windows", defaultLink: "vEthernet (External)", links: []link{
				row("이더넷 2", "10.5.5.5"),
				row("무선 네트워크 연결", "10.6.6.6"),
				row("로컬 영역 연결* 2", "192.168.137.1"),
				row("vEthernet (External)", "192.168.0.9"),
			}},
			[]string{
				"192.168.0.9 vEthernet (External) virtual Hyper-V default",
				"10.5.5.5 이더넷 2 Ethernet",
				"10.6.6.6 무선 네트워크 연결 Wi-Fi",
				"192.168.137.1 로컬 영역 연결* 2 virtual Wi-Fi Direct",
			}},
		{"a hotspot of a telephone that gives shared addresses",
			machine{os: "linux", defaultLink: "usb0", links: []link{row("usb0", "100.64.3.4 100.128.0.1")}},
			[]string{"100.64.3.4 usb0 other default", "100.128.0.1 usb0 other default public"}},
		{"what no URL can use",
			machine{os: "linux", links: []link{row("eth0", "127.0.0.1 ::1 169.254.3.4 fe80::1 ff02::1 0.0.0.0 ::")}}, nil},
		{"an address twice", machine{os: "linux", links: []link{row("eth0", "10.0.0.1 10.0.0.1")}},
			[]string{"10.0.0.1 eth0 Ethernet"}},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			want := ""
			for _, w := range tt.want {
				want += w + "\n"
			}
			if got := lines(rank(tt.m)); got != want {
				t.Errorf("got\n%swant\n%s", got, want)
			}
		})
	}
}
