package devserver

import (
	"crypto/x509"
	"net/netip"
	"slices"
	"testing"

	"rtcdev/devserver/lan"
)

// What other devices are told, by what the server listens on and what addresses there are.
func TestNetworks(t *testing.T) {
	wifi := lan.Address{IP: netip.MustParseAddr("192.168.0.5"), Interface: "wlan0", Kind: lan.WiFi, DefaultRoute: true}
	six := lan.Address{IP: netip.MustParseAddr("fd77::1"), Interface: "wlan0", Kind: lan.WiFi}
	docker := lan.Address{IP: netip.MustParseAddr("172.17.0.1"), Interface: "docker0", Kind: lan.Virtual, Product: "Docker"}
	unknown := lan.Address{IP: netip.MustParseAddr("10.0.0.9"), Interface: "en0"}
	public := lan.Address{IP: netip.MustParseAddr("198.51.100.7"), Interface: "eth0", Kind: lan.Ethernet, Public: true}
	known := []lan.Address{wifi, six, docker, unknown, public}
	root := &x509.Certificate{}
	for _, tt := range []struct {
		name string
		own  string
		cfg  Config
		want []Network
	}{
		{"loopback", "127.0.0.1", Config{Root: root}, nil},
		{"loopback of IPv6", "::1", Config{Root: root}, nil},
		{"all", "::", Config{Root: root}, []Network{
			{"https://192.168.0.5:8443/", "http://192.168.0.5:8443/", "wlan0", "Wi-Fi"},
			{"https://[fd77::1]:8443/", "http://[fd77::1]:8443/", "wlan0", "Wi-Fi"},
			{"https://172.17.0.1:8443/", "http://172.17.0.1:8443/", "docker0", "Docker"},
			{"https://10.0.0.9:8443/", "http://10.0.0.9:8443/", "en0", ""},
		}},
		{"one", "172.17.0.1", Config{Root: root}, []Network{{"https://172.17.0.1:8443/", "http://172.17.0.1:8443/", "docker0", "Docker"}}},
		{"a public one, for which the authority does not sign", "198.51.100.7", Config{Root: root}, []Network{{"https://198.51.100.7:8443/", "", "eth0", lan.Ethernet.String()}}},
		{"a public one", "198.51.100.7", Config{}, []Network{{"https://198.51.100.7:8443/", "", "eth0", lan.Ethernet.String()}}},
		{"one that is not listed", "169.254.3.4", Config{Root: root}, []Network{{"https://169.254.3.4:8443/", "http://169.254.3.4:8443/", "", ""}}},
		{"with a secret", "192.168.0.5", Config{Root: root, RoomToken: "an-open-secret"}, []Network{
			{"https://192.168.0.5:8443/", "http://192.168.0.5:8443/#room-token=an-open-secret", "wlan0", "Wi-Fi"},
		}},
	} {
		if got := networks(&tt.cfg, netip.MustParseAddr(tt.own), known, 8443); !slices.Equal(got, tt.want) {
			t.Errorf("%s:\n%+v\nwant\n%+v", tt.name, got, tt.want)
		}
	}
}
