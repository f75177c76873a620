package archtest

// A new package is first a new row here and in DESIGN §1. A row says which of
// our packages it may import; its tests may import no others, but for those of testRows.
var rows = map[string][]string{
	"certs":                        {},
	"certs/acmecert":               {},
	"certs/trust":                  {},
	"cmd/rtcdev":                   {anyLibrary},
	"devserver":                    {"devserver/lan", "devserver/relay", "devserver/peer", "devserver/portmux", "devserver/web", "devserver/signaling", "devserver/signaling/socketio", "devserver/signaling/peerjs"},
	"devserver/lan":                {},
	"devserver/peer":               {"devserver/peer/vp8", "devserver/signaling"},
	"devserver/peer/vp8":           {},
	"devserver/relay":              {},
	"devserver/portmux":            {},
	"devserver/signaling":          {},
	"devserver/signaling/peerjs":   {"devserver/signaling"},
	"devserver/signaling/socketio": {"devserver/signaling"},
	"devserver/web":                {},
	"scripts/archtest":             {},
	"scripts/benchmarks": {"scripts/benchmarks/client", "scripts/benchmarks/procstat",
		"scripts/benchmarks/soak"},
	"scripts/benchmarks/bareserver": {},
	"scripts/benchmarks/barerelay":  {},
	"scripts/benchmarks/client":     {},
	"scripts/benchmarks/loadgen":    {"scripts/benchmarks/client", "scripts/benchmarks/procstat"},
	"scripts/benchmarks/peers":      {"scripts/benchmarks/procstat"},
	"scripts/benchmarks/plainhub":   {"devserver/signaling"},
	"scripts/benchmarks/procstat":   {},
	"scripts/benchmarks/relayload":  {"scripts/benchmarks/procstat"},
	"scripts/benchmarks/soak":       {"devserver/signaling", "scripts/benchmarks/client"},
	"scripts/rehearsal":             {},
	"templates":                     {},
}

// testRows say which further packages a package's _test.go files may import.
var testRows = map[string][]string{
	"certs/acmecert": {"scripts/rehearsal"},
	"cmd/rtcdev":     {"scripts/rehearsal"},
}

// anyLibrary stands for every package that is not below cmd or scripts.
const anyLibrary = "*"

// islands never import each other, whatever a row says.
var islands = []string{"certs", "devserver", "templates"}

// A home is where a library may be imported. A path covers what is below it.
type home struct {
	packages []string
	testOnly bool // in _test.go files and below scripts, anywhere
}

var homes = map[string]home{
	"github.com/caddyserver/certmagic": {packages: []string{"certs/acmecert"}},
	"github.com/letsencrypt/pebble":    {testOnly: true},
	"github.com/libdns/libdns":         {packages: []string{"certs/acmecert"}},
	"github.com/miekg/dns":             {testOnly: true},
	"go.uber.org/zap":                  {packages: []string{"certs/acmecert"}},
	"github.com/fatih/color":           {packages: []string{"cmd/rtcdev"}},
	"github.com/fsnotify/fsnotify":     {packages: []string{"devserver"}},
	"github.com/gorilla/websocket": {packages: []string{"devserver/signaling", "devserver/signaling/socketio",
		"devserver/signaling/peerjs", "devserver/peer"}, testOnly: true},
	"github.com/mholt/acmez":             {packages: []string{"certs/acmecert"}, testOnly: true},
	"github.com/pion/logging":            {packages: []string{"devserver/lan", "devserver/relay", "devserver/peer"}},
	"github.com/pion/mdns":               {packages: []string{"devserver/lan"}},
	"github.com/pion/rtcp":               {packages: []string{"devserver/peer"}},
	"github.com/pion/rtp":                {packages: []string{"devserver/peer"}},
	"github.com/pion/transport":          {packages: []string{"devserver/peer"}},
	"github.com/pion/turn":               {packages: []string{"devserver/relay"}, testOnly: true},
	"github.com/pion/webrtc":             {packages: []string{"devserver/peer"}},
	"github.com/skip2/go-qrcode":         {packages: []string{"cmd/rtcdev"}},
	"github.com/smallstep/truststore":    {packages: []string{"certs/trust"}},
	"github.com/spf13/cobra":             {packages: []string{"cmd/rtcdev"}},
	"github.com/spf13/pflag":             {packages: []string{"cmd/rtcdev"}},
	"go.yaml.in/yaml/v3":                 {packages: []string{"cmd/rtcdev"}},
	"github.com/pion/stun":               {packages: []string{"devserver/relay", "scripts/benchmarks/relayload"}, testOnly: true},
	"golang.org/x/image":                 {testOnly: true},
	"golang.org/x/net":                   {packages: []string{"certs/acmecert", "devserver/lan", "devserver/relay", "scripts/benchmarks/relayload"}},
	"golang.org/x/term":                  {packages: []string{"cmd/rtcdev"}},
	"software.sslmate.com/src/go-pkcs12": {packages: []string{"certs"}},
	"github.com/chromedp/cdproto":        {testOnly: true},
	"github.com/chromedp/chromedp":       {testOnly: true},
	"github.com/creack/pty":              {testOnly: true},
	"github.com/makiuchi-d/gozxing":      {testOnly: true},
	"github.com/rogpeppe/go-internal":    {testOnly: true},
	"go.uber.org/goleak":                 {testOnly: true},
}

// drawers are names that say nothing about what is inside.
var drawers = []string{"util", "utils", "common", "helper", "helpers", "shared", "pkg", "misc", "lib"}

// takenNames are packages of pion and golang.org/x that a file here may import;
// those of the standard library are asked of the go command.
var takenNames = []string{
	"acme", "acmez", "autocert", "datachannel", "dtls", "ice", "interceptor", "logging", "mdns", "oauth2", "proxy",
	"rtcp", "rtp", "sctp", "sdp", "srtp", "stun", "term", "transport", "turn", "webrtc", "websocket",
}

// topLevel is everything that may be in the repository's root, besides what
// .gitignore names.
var topLevel = []string{
	"cmd", "certs", "devserver", "templates", "scripts", "go.mod", "go.sum", "README.md",
	"LICENSE", "CHANGELOG.md", "README.ko.md",
	".ci", ".git", ".gitattributes", ".gitignore", ".golangci.yml", ".goreleaser.yaml",
}

// A pin limits a module's version, or refuses the module altogether.
type pin struct {
	module string
	only   []string // these versions and no other
	max    string   // this one or an older one
	reason string
}

var pins = []pin{
	{module: "github.com/pion/webrtc/v4", only: []string{"v4.2.20"}, reason: "above it a dependency is refused by the module proxy"},
	{module: "github.com/pion/turn/v5", only: []string{"v5.1.1", "v5.1.2"}, reason: "above it a dependency is refused by the module proxy"},
	{module: "github.com/zmap/zlint/v3", max: "v3.6.1", reason: "newer ones are refused by the module proxy"},
	{module: "golang.org/x/vuln", max: "v1.8.0", reason: "newer ones are refused by the module proxy"},
	{module: "github.com/grandcat/zeroconf", reason: "refused by the module proxy; pion/mdns answers for mDNS"},
	{module: "github.com/libp2p/zeroconf", reason: "refused by the module proxy; pion/mdns answers for mDNS"},
	{module: "github.com/brutella/dnssd", reason: "refused by the module proxy; pion/mdns answers for mDNS"},
	{module: "github.com/Xuanwo/go-locale", reason: "refused by the module proxy; the environment says the language"},
	{module: "github.com/jsha/minica", reason: "refused by the module proxy; package certs is the authority"},
}

// An allowance excuses what a rule found in one place. One that excuses nothing
// is itself a finding, so that the list stays as short as it can be.
type allowance struct {
	rule   string
	where  string // file:name, the name of the function or variable around it
	reason string
}

var allowances = []allowance{
	{ruleExit, "cmd/rtcdev/main.go:main", "the one place where the program ends"},
	{ruleExit, "scripts/benchmarks/main.go:main", "the one place where that program ends"},
	{ruleExit, "scripts/benchmarks/bareserver/main.go:main", "the one place where that program ends"},
	{ruleExit, "scripts/benchmarks/barerelay/main.go:main", "the one place where that program ends"},
	{ruleExit, "scripts/benchmarks/peers/main.go:main", "the one place where that program ends"},
	{ruleExit, "scripts/benchmarks/plainhub/main.go:main", "the one place where that program ends"},
	{ruleExit, "scripts/benchmarks/loadgen/main.go:main", "the one place where that program ends"},
	{ruleExit, "scripts/benchmarks/relayload/main.go:main", "the one place where that program ends"},
	{ruleSleep, "scripts/benchmarks/server.go:dial", "the pause between two tries to connect is part of the measurement"},
	{ruleSleep, "cmd/rtcdev/process_test.go:eventually", "asks again until a deadline, about what tells nobody when it changes"},
	{ruleSleep, "devserver/signaling/abuse_test.go:eventually", "asks again until a deadline, about what tells nobody when it changes"},
	{ruleSleep, "devserver/signaling/peerjs/peerserver_test.go:eventually", "asks again until a deadline, about what tells nobody when it changes"},
	{ruleSleep, "devserver/signaling/socketio/wire_test.go:eventually", "asks again until a deadline, about what tells nobody when it changes"},
	{ruleInsecure, "scripts/archtest/code_test.go:insecureWords", "the words of the rule"},
	{ruleInsecure, "scripts/archtest/code_test.go:TestCheckBans", "shows that the rule finds them"},
	{ruleVar, "certs/trust/system_linux.go:hookName", "compiled once, never changed"},
	{ruleVar, "certs/trust/windowsscript.go:hresultForm", "compiled once, never changed"},
	{ruleVar, "certs/trust/nss_certutil.go:listLine", "compiled once, never changed"},
	{ruleVar, "certs/trust/nss.go:ourNick", "compiled once, never changed"},
	{ruleVar, "devserver/adapter.go:adapterAddress", "compiled once, never changed"},
	{ruleVar, "devserver/ice.go:iceHost", "compiled once, never changed"},
	{ruleVar, "devserver/peer/clock.go:segments", "a table, never changed"},
	{ruleVar, "devserver/peer/clock.go:segmentRects", "a table, never changed"},
	{ruleVar, "devserver/peer/picture.go:bars", "a table, never changed"},
	{ruleVar, "devserver/signaling/socketio/door.go:clientScript", "embedded, never changed"},
	{rulePanic, "devserver/signaling/message.go:encode", "our own structs of strings and valid JSON always encode"},
}
