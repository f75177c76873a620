package lan

import (
	"bufio"
	"bytes"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
)

// Flags of a route, of linux/route.h and linux/ipv6_route.h.
const (
	routeUp     = 0x1
	routeReject = 0x200
)

// noMetric is worse than every metric the kernel writes.
const noMetric = 1 << 33

// isWSL is whether this Linux runs below Windows, whose kernels have Microsoft's name.
func isWSL() bool {
	release, err := os.ReadFile("/proc/sys/kernel/osrelease")
	return err == nil && bytes.Contains(bytes.ToLower(release), []byte("microsoft"))
}

// device says what the kernel knows of an interface: its DEVTYPE, and whether there is no
// hardware behind it. What cannot be read is left out: the name then decides.
func device(name string) (devType string, virtual bool) {
	dir := filepath.Join("/sys/class/net", name)
	if target, err := filepath.EvalSymlinks(dir); err == nil {
		virtual = strings.HasPrefix(target, "/sys/devices/virtual/")
	}
	uevent, err := os.ReadFile(filepath.Join(dir, "uevent"))
	if err != nil {
		return "", virtual
	}
	for line := range strings.Lines(string(uevent)) {
		if value, ok := strings.CutPrefix(strings.TrimSpace(line), "DEVTYPE="); ok {
			devType = value
		}
	}
	return devType, virtual
}

// defaultLink is the one of the links that has the default route: IPv4's, or IPv6's where
// IPv4 has none. Empty when there is no such route. A route by an interface that has lost
// its cable stays in the kernel's table; it does not count.
func defaultLink(links []link) string {
	four, err4 := defaultIn("/proc/net/route", route4, links)
	if four != "" {
		return four
	}
	six, err6 := defaultIn("/proc/net/ipv6_route", route6, links)
	if six == "" && err4 != nil && err6 != nil {
		return defaultByConnect(links)
	}
	return six
}

// A routeParser reads the fields of a line of one of the kernel's tables. The metric is
// noMetric for what is no default route.
type routeParser func(fields []string) (iface string, metric uint64)

func defaultIn(path string, parse routeParser, links []link) (string, error) {
	f, err := os.Open(path)
	if err != nil {
		return "", err
	}
	defer f.Close()
	return bestDefault(f, parse, links), nil
}

// bestDefault is the link whose default route has the smallest metric.
func bestDefault(table io.Reader, parse routeParser, links []link) string {
	best, least := "", uint64(noMetric)
	for lines := bufio.NewScanner(table); lines.Scan(); {
		iface, metric := parse(strings.Fields(lines.Text()))
		if metric < least && slices.ContainsFunc(links, func(l link) bool { return l.name == iface }) {
			best, least = iface, metric
		}
	}
	return best
}

// route4 reads a line of /proc/net/route: Iface Destination Gateway Flags RefCnt Use
// Metric Mask …
func route4(f []string) (string, uint64) {
	if len(f) < 8 || f[1] != "00000000" || f[7] != "00000000" {
		return "", noMetric
	}
	metric, err := strconv.ParseUint(f[6], 10, 32)
	if err != nil || !usable(f[3]) {
		return "", noMetric
	}
	return f[0], metric
}

// route6 reads a line of /proc/net/ipv6_route: destination, its prefix length, source, its
// prefix length, next hop, metric, references, uses, flags, interface; numbers in hex.
func route6(f []string) (string, uint64) {
	if len(f) < 10 || strings.Trim(f[0], "0") != "" || f[1] != "00" || f[3] != "00" {
		return "", noMetric
	}
	metric, err := strconv.ParseUint(f[5], 16, 32)
	if err != nil || !usable(f[8]) {
		return "", noMetric
	}
	return f[9], metric
}

func usable(flags string) bool {
	n, err := strconv.ParseUint(flags, 16, 32)
	return err == nil && n&routeUp != 0 && n&routeReject == 0
}
