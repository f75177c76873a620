package lan

import (
	"strings"
	"testing"
)

const (
	table4 = `Iface	Destination	Gateway 	Flags	RefCnt	Use	Metric	Mask		MTU	Window	IRTT
wlan0	00000000	0100A8C0	0003	0	0	600	00000000	0	0	0
eth0	00000000	0100000A	0003	0	0	100	00000000	0	0	0
down0	00000000	0100000A	0002	0	0	1	00000000	0	0	0
tun0	00000000	0100080A	0003	0	0	0	00000080	0	0	0
eth0	0000000A	00000000	0001	0	0	100	00FFFFFF	0	0	0
`
	table6 = `fd000000000000000000000000000000 40 00000000000000000000000000000000 00 00000000000000000000000000000000 00000100 00000001 00000000 00000001     eth0
00000000000000000000000000000000 00 00000000000000000000000000000000 00 fd000000000000000000000000000001 00000400 00000003 00000000 00000003     eth0
00000000000000000000000000000000 00 00000000000000000000000000000000 00 fe800000000000000000000000000001 00000258 00000003 00000000 00000003    wlan0
00000000000000000000000000000000 00 00000000000000000000000000000000 00 00000000000000000000000000000000 ffffffff 00000001 00000000 00200200       lo
00000000000000000000000000000000 00 00000000000000000000000000000000 00 00000000000000000000000000000000 00000001 00000001 00000000 00200200       lo
`
)

func TestDefaultRoute(t *testing.T) {
	links := []link{{name: "wlan0"}, {name: "eth0"}, {name: "down0"}, {name: "tun0"}}
	if got := bestDefault(strings.NewReader(table4), route4, links); got != "eth0" {
		t.Errorf("IPv4's default route is by %q, want eth0, which has the smallest metric", got)
	}
	if got := bestDefault(strings.NewReader(table6), route6, links); got != "wlan0" {
		t.Errorf("IPv6's default route is by %q, want wlan0, which has the smallest metric", got)
	}
	if got := bestDefault(strings.NewReader(table4), route4, links[:1]); got != "wlan0" {
		t.Errorf("without eth0 IPv4's default route is by %q, want wlan0", got)
	}
	for _, bad := range []string{"", "x", "eth0 00000000 0 zz 0 0 0 00000000\n", "eth0 00000000 0 0003 0 0 -1 00000000\n"} {
		if got := bestDefault(strings.NewReader(bad), route4, links); got != "" {
			t.Errorf("%q has a default route by %q", bad, got)
		}
	}
}

func FuzzDefaultRoute(f *testing.F) {
	f.Add(table4)
	f.Add(table6)
	f.Fuzz(func(t *testing.T, table string) {
		for _, parse := range []routeParser{route4, route6} {
			for line := range strings.Lines(table) {
				if iface, metric := parse(strings.Fields(line)); metric < noMetric && (iface == "" || !strings.Contains(line, iface)) {
					t.Errorf("%q is not in %q", iface, line)
				}
			}
		}
	})
}
