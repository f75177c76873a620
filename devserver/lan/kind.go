package lan

import "strings"

// rule says what an interface is whose lower-case name begins with prefix or, where
// within is given, has that in it.
type rule struct {
	prefix, within string
	kind           Kind
	product        string
}

// nameRules are tried in order. Names with spaces are of Windows, where a person may
// change them; the others are what the named product's own interfaces are called.
func nameRules() []rule {
	return []rule{
		{within: "tailscale", kind: VPN, product: "Tailscale"},
		{within: "zerotier", kind: VPN, product: "ZeroTier"},
		{within: "wireguard", kind: VPN, product: "WireGuard"},
		{within: "openvpn", kind: VPN, product: "OpenVPN"},
		{within: "nordlynx", kind: VPN, product: "NordVPN"},
		{within: "hamachi", kind: VPN, product: "Hamachi"},
		{within: "vpn", kind: VPN},
		{within: "tap-windows", kind: VPN},
		{within: "wintun", kind: VPN},
		{within: "(wsl", kind: Virtual, product: "WSL"}, // vEthernet (WSL (Hyper-V firewall))
		{prefix: "vethernet", kind: Virtual, product: "Hyper-V"},
		{within: "virtualbox", kind: Virtual, product: "VirtualBox"},
		{within: "vmware", kind: Virtual, product: "VMware"},
		{within: "docker", kind: Virtual, product: "Docker"},
		{prefix: "local area connection*", kind: Virtual, product: "Wi-Fi Direct"},
		{prefix: "로컬 영역 연결*", kind: Virtual, product: "Wi-Fi Direct"},

		{prefix: "br-", kind: Virtual, product: "Docker"},
		{prefix: "veth", kind: Virtual, product: "container"},
		{within: "podman", kind: Virtual, product: "Podman"},
		{prefix: "virbr", kind: Virtual, product: "libvirt"},
		{prefix: "vnet", kind: Virtual, product: "libvirt"},
		{prefix: "vmnet", kind: Virtual, product: "VMware"},
		{prefix: "vboxnet", kind: Virtual, product: "VirtualBox"},
		{prefix: "lxcbr", kind: Virtual, product: "LXC"},
		{prefix: "lxdbr", kind: Virtual, product: "LXD"},
		{prefix: "incusbr", kind: Virtual, product: "Incus"},
		{prefix: "cni", kind: Virtual, product: "Kubernetes"},
		{prefix: "cali", kind: Virtual, product: "Kubernetes"},
		{prefix: "cilium", kind: Virtual, product: "Kubernetes"},
		{prefix: "flannel", kind: Virtual, product: "Kubernetes"},
		{prefix: "kube", kind: Virtual, product: "Kubernetes"},

		{prefix: "feth", kind: VPN, product: "ZeroTier"}, // macOS
		{prefix: "zt", kind: VPN, product: "ZeroTier"},
		{prefix: "wg", kind: VPN, product: "WireGuard"},
		{prefix: "wt0", kind: VPN, product: "NetBird"},
		{prefix: "utun", kind: VPN},
		{prefix: "tun", kind: VPN},
		{prefix: "tap", kind: VPN},
		{prefix: "ipsec", kind: VPN},
		{prefix: "ppp", kind: VPN},
		{prefix: "cscotun", kind: VPN, product: "Cisco"},
		{prefix: "gpd", kind: VPN, product: "GlobalProtect"},

		{prefix: "vmenet", kind: Virtual}, // macOS, as are the next two
		{prefix: "bridge", kind: Virtual},
		{prefix: "ap1", kind: Virtual},
		{prefix: "dummy", kind: Virtual},

		{prefix: "wi-fi", kind: WiFi},
		{prefix: "wifi", kind: WiFi},
		{prefix: "wireless", kind: WiFi},
		{prefix: "무선", kind: WiFi},
		{prefix: "이더넷", kind: Ethernet},
		{prefix: "로컬 영역 연결", kind: Ethernet},
		{prefix: "local area connection", kind: Ethernet},
		{prefix: "ethernet", kind: Ethernet},
	}
}

// classify says what sort of interface l is, and what product it is of, if any.
func classify(m machine, l link) (Kind, string) {
	if product := byHardware(m, l.hardware); product != "" {
		return Virtual, product
	}
	name := strings.ToLower(l.name)
	for _, r := range nameRules() {
		if r.prefix != "" && strings.HasPrefix(name, r.prefix) || r.within != "" && strings.Contains(name, r.within) {
			return r.kind, r.product
		}
	}
	if m.os == "linux" {
		return onLinux(l), ""
	}
	if m.os == "windows" && strings.HasPrefix(name, "wlan") {
		return WiFi, ""
	}
	return Other, ""
}

// byHardware is the product that gives the host's own side of its virtual networks such
// MAC addresses, whatever a person has called them. Hyper-V's say something in WSL only:
// elsewhere they are a virtual machine's way to the real network too.
func byHardware(m machine, hardware string) string {
	switch {
	case strings.HasPrefix(hardware, "0a:00:27"):
		return "VirtualBox"
	case strings.HasPrefix(hardware, "00:50:56:c0:00:"):
		return "VMware"
	case m.wsl && strings.HasPrefix(hardware, "00:15:5d"):
		return "WSL"
	}
	return ""
}

// onLinux goes by what the kernel says, then by the names that systemd and the kernel
// give (systemd.net-naming-scheme).
func onLinux(l link) Kind {
	switch l.devType {
	case "wlan":
		return WiFi
	case "wireguard", "ppp":
		return VPN
	case "vlan", "bond":
		return Ethernet
	}
	switch {
	case l.virtual:
		return Virtual
	case strings.HasPrefix(l.name, "wl"):
		return WiFi
	case strings.HasPrefix(l.name, "en"), strings.HasPrefix(l.name, "eth"):
		return Ethernet
	}
	return Other
}
