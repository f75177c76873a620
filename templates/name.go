package templates

import (
	"slices"
	"strings"
)

// maxPackageName is the longest package name npm takes, in bytes.
// Source: the npm documentation of package.json, "name".
const maxPackageName = 214

// validPackageName makes a name that npm takes for a new package out of any
// text: lower-case ASCII letters, digits and . _ - only, at most 214 bytes,
// beginning and ending with a letter or digit, and not a name npm keeps for
// itself. Each run of other characters becomes one "-". Where nothing is left,
// as of a name in Korean, it is "my-" and the template's name.
func validPackageName(text, template string) string {
	var b strings.Builder
	gap := false
	for _, r := range strings.ToLower(text) {
		if r > 0x7f || !isNameByte(byte(r)) {
			gap = true
			continue
		}
		if gap && b.Len() > 0 {
			b.WriteByte('-')
		}
		gap = false
		b.WriteByte(byte(r))
	}
	name := strings.Trim(b.String(), "-._")
	if len(name) > maxPackageName {
		name = strings.Trim(name[:maxPackageName], "-._")
	}
	if name == "" {
		return "my-" + template
	}
	if isReserved(name) {
		return "my-" + name
	}
	return name
}

func isNameByte(c byte) bool {
	return c >= 'a' && c <= 'z' || c >= '0' && c <= '9' || strings.IndexByte("-._", c) >= 0
}

// isReserved tells the names npm refuses for a new package (two of its own, and
// the modules that are part of Node: npm's validate-npm-package-name), and the
// names of our own dependency and tool, which a project should not shadow.
func isReserved(name string) bool {
	return slices.Contains([]string{
		"node_modules", "favicon.ico", "webrtc-adapter", "rtcdev",
		"assert", "async_hooks", "buffer", "child_process", "cluster", "console",
		"constants", "crypto", "dgram", "diagnostics_channel", "dns", "domain",
		"events", "fs", "http", "http2", "https", "inspector", "module", "net",
		"os", "path", "perf_hooks", "process", "punycode", "querystring",
		"readline", "repl", "stream", "string_decoder", "sys", "timers", "tls",
		"trace_events", "tty", "url", "util", "v8", "vm", "wasi",
		"worker_threads", "zlib",
	}, name)
}
