package peerjs

import (
	"bufio"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"
)

// counterparts is where npm ci puts the programs of others.
const counterparts = "../../../scripts/counterparts"

// expiry is short, for a test has to wait for it.
const expiry = 400 * time.Millisecond

// peerServers starts two PeerServers of the npm package peer: one at /peerjs that
// lists its peers, and one at / that does not. It returns their addresses.
func peerServers(t *testing.T) (listing, plain string) {
	t.Helper()
	missing := func(what, way string) {
		if os.Getenv("CI") == "true" {
			t.Fatalf("%s is missing: %s", what, way)
		}
		t.Skipf("%s is missing: %s", what, way)
	}
	node, err := exec.LookPath("node")
	if err != nil {
		missing("node", "apt-get install nodejs")
	}
	if _, err := os.Stat(filepath.Join(counterparts, "node_modules", "peer")); err != nil {
		missing("PeerServer", "npm ci --prefix scripts/counterparts")
	}
	cmd := exec.Command(node, "--input-type=module", "-e", fmt.Sprintf(`
		import { PeerServer } from "peer";
		const start = options => new Promise(started => PeerServer(
			{ host: "127.0.0.1", port: 0, expire_timeout: %d, cleanup_out_msgs: 50, ...options },
			server => started("http://127.0.0.1:" + server.address().port)));
		console.log(JSON.stringify([await start({ path: "/peerjs", allow_discovery: true }), await start({ path: "/" })]));
		process.stdin.on("end", () => process.exit()).resume();`, expiry.Milliseconds()))
	cmd.Dir = counterparts
	cmd.Stderr = os.Stderr
	stdin, err := cmd.StdinPipe() // its end is the program's
	if err != nil {
		t.Fatal(err)
	}
	stdout, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		stdin.Close()
		_ = cmd.Wait() // how it ends is not what the test is about
	})
	line, err := bufio.NewReader(stdout).ReadBytes('\n')
	var addresses [2]string
	if err == nil {
		err = json.Unmarshal(line, &addresses)
	}
	if err != nil {
		t.Fatalf("starting PeerServer: %v", err)
	}
	return addresses[0], addresses[1]
}

// stage is where an exchange is played.
type stage struct {
	t     *testing.T
	base  string
	pages []*page // in the order of their coming
	log   []string
}

// play does what the lines say and returns them with what was received.
func play(t *testing.T, base string, lines []string) []string {
	t.Helper()
	s := &stage{t: t, base: base}
	for _, line := range lines {
		if s.act(line) {
			s.sync()
		}
	}
	for _, p := range s.pages {
		if !p.over {
			p.drop()
		}
	}
	s.waitForPeers("[]") // the next exchange begins alone
	return s.log
}

// act does what a line says, or reports that it is about what was received.
func (s *stage) act(line string) bool {
	s.t.Helper()
	verb, rest, _ := strings.Cut(line, " ")
	did := line
	switch verb {
	case "open":
		s.open(rest)
	case "drop":
		s.page(rest).drop()
		s.waitUntilGone(s.page(rest).id)
	case "quit":
		s.page(rest).send(`{"type":"LEAVE"}`)
		s.page(rest).over = true
		s.waitUntilGone(s.page(rest).id)
	case "peers":
		did = "peers " + s.peers()
	default:
		what, frame, _ := strings.Cut(rest, " ")
		switch what {
		case ">":
			s.page(verb).send(frame)
		case "waits":
			s.log = append(s.log, line)
			s.receive(s.page(verb), first(s.page(verb)))
			return true
		default:
			return false
		}
	}
	s.log = append(s.log, did)
	return true
}

func (s *stage) open(rest string) {
	s.t.Helper()
	name, query, _ := strings.Cut(rest, " ")
	for _, more := range []string{"key=peerjs", "token=t"} {
		if field, _, _ := strings.Cut(more, "="); !strings.Contains(query, field+"=") {
			query += "&" + more
		}
	}
	s.pages = append(s.pages, openPage(s.t, name, s.base+"/peerjs", query))
}

func (s *stage) page(name string) *page {
	s.t.Helper()
	for _, p := range s.pages {
		if p.name == name {
			return p
		}
	}
	s.t.Fatalf("there is no page %q", name)
	return nil
}

func first(p *page) []string {
	p.t.Helper()
	frame, err := p.read()
	if err != nil {
		return nil
	}
	return []string{frame}
}

// sync notes what every page has received. It asks twice: what one page has sent is
// sure to have reached the other once its own barrier is back.
func (s *stage) sync() {
	s.t.Helper()
	frames := make(map[*page][]string)
	for range 2 {
		for _, p := range s.pages {
			if !p.over {
				frames[p] = append(frames[p], p.received()...)
			}
		}
	}
	for _, p := range s.pages {
		if got, ok := frames[p]; ok {
			s.receive(p, got)
		}
	}
}

func (s *stage) receive(p *page, frames []string) {
	s.t.Helper()
	for _, f := range frames {
		s.log = append(s.log, p.name+" < "+canonical(s.t, f))
	}
	if p.over {
		s.log = append(s.log, p.name+" closed")
	}
}

func (s *stage) peers() string {
	s.t.Helper()
	status, body := get(s.t, s.base+"/peerjs/peers")
	var ids []string
	if err := json.Unmarshal([]byte(body), &ids); err != nil || status != http.StatusOK {
		s.t.Fatalf("the list of peers is %d %s, %v", status, body, err)
	}
	slices.Sort(ids)
	sorted, _ := json.Marshal(ids)
	return string(sorted)
}

func (s *stage) waitForPeers(list string) {
	s.t.Helper()
	eventually(s.t, "the peers are "+list, func() bool { return s.peers() == list })
}

func (s *stage) waitUntilGone(id string) {
	s.t.Helper()
	eventually(s.t, id+" is gone", func() bool { return !strings.Contains(s.peers(), `"`+id+`"`) })
}

func eventually(t *testing.T, what string, check func() bool) {
	t.Helper()
	for deadline := time.Now().Add(testPatience); !check(); {
		if time.Now().After(deadline) {
			t.Fatalf("waiting in vain until %s", what)
		}
		time.Sleep(5 * time.Millisecond) // between two looks at what tells nobody when it changes
	}
}

func get(t *testing.T, address string) (status int, body string) {
	t.Helper()
	resp, err := http.Get(address)
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	b, err := io.ReadAll(resp.Body)
	if err != nil {
		t.Fatal(err)
	}
	return resp.StatusCode, string(b)
}
