package peerjs

import (
	"slices"
	"strings"
	"testing"
)

// exchanges are what clients and a server say to each other, as it is here and at
// a PeerServer. A line is one of
//
//	open NAME QUERY      connects; key and token are added if the query has none
//	drop NAME            leaves without a word, and is gone once peers says so
//	quit NAME            gives its id up with LEAVE
//	NAME > FRAME         sends
//	NAME waits           for the next frame
//	peers                lists who is there
//	NAME < FRAME         is what NAME has got after the line before
//	NAME closed          is what has become of NAME after the line before
//
// The frames that are received are in the form of canonical.
var exchanges = map[string]string{
	"a call": `
		open a id=a
		a < {"type":"OPEN"}
		open b id=b
		b < {"type":"OPEN"}
		a > {"type":"OFFER","payload":{"sdp":{"type":"offer","sdp":"v=0\r\n"},"connectionId":"mc_1"},"dst":"b"}
		b < {"dst":"b","payload":{"connectionId":"mc_1","sdp":{"sdp":"v=0\r\n","type":"offer"}},"src":"a","type":"OFFER"}
		b > {"type":"ANSWER","payload":{"sdp":{"type":"answer"}},"dst":"a"}
		a < {"dst":"a","payload":{"sdp":{"type":"answer"}},"src":"b","type":"ANSWER"}
		a > {"type":"CANDIDATE","payload":1,"dst":"b"}
		b < {"dst":"b","payload":1,"src":"a","type":"CANDIDATE"}
		a > {"type":"LEAVE","dst":"b"}
		b < {"dst":"b","src":"a","type":"LEAVE"}
		a > {"type":"EXPIRE","dst":"b"}
		b < {"dst":"b","src":"a","type":"EXPIRE"}`,
	"the sender is who it is": `
		open a id=a
		a < {"type":"OPEN"}
		open b id=b
		b < {"type":"OPEN"}
		a > {"type":"OFFER","src":"c","payload":null,"dst":"b"}
		b < {"dst":"b","payload":null,"src":"a","type":"OFFER"}
		a > {"type":"OFFER","from":"c","more":{},"dst":"\u0062"}
		b < {"dst":"b","src":"a","type":"OFFER"}`,
	"what is passed over": `
		open a id=a
		a < {"type":"OPEN"}
		a > {"type":"HEARTBEAT"}
		a > {"type":"SURPRISE","dst":"a"}
		a > {"type":7,"dst":"a"}
		a > {"dst":"a"}
		a > {"type":"OPEN","dst":"a"}
		a > {"type":"ERROR","dst":"a","payload":{"msg":"forged"}}
		a > {"type":"ID-TAKEN","dst":"a"}
		a > {"type":"OFFER","payload":1}
		a > {"type":"OFFER","payload":1,"dst":null}
		a > {"type":"OFFER","payload":1,"dst":""}
		a > {"type":"EXPIRE"}`,
	"to oneself": `
		open a id=a
		a < {"type":"OPEN"}
		a > {"type":"OFFER","payload":1,"dst":"a"}
		a < {"dst":"a","payload":1,"src":"a","type":"OFFER"}`,
	"an id that is taken": `
		open a id=a&token=secret
		a < {"type":"OPEN"}
		open thief id=a&token=other
		thief < {"payload":{"msg":"ID is taken"},"type":"ID-TAKEN"}
		thief closed
		open b id=b
		b < {"type":"OPEN"}
		b > {"type":"OFFER","dst":"a"}
		a < {"dst":"a","src":"b","type":"OFFER"}
		drop a
		open heir id=a&token=other
		heir < {"type":"OPEN"}`,
	"what is missing": `
		open noid token=t
		noid < {"payload":{"msg":"…"},"type":"ERROR"}
		noid closed
		open notoken id=a&token=
		notoken < {"payload":{"msg":"…"},"type":"ERROR"}
		notoken closed
		open nokey id=a&key=
		nokey < {"payload":{"msg":"…"},"type":"ERROR"}
		nokey closed
		peers []`,
	"one who comes late": `
		open a id=a
		a < {"type":"OPEN"}
		a > {"type":"OFFER","payload":1,"dst":"late"}
		a > {"type":"LEAVE","dst":"late"}
		a > {"type":"CANDIDATE","payload":2,"dst":"late"}
		a > {"type":"EXPIRE","dst":"late"}
		a > {"type":"ANSWER","payload":3,"dst":"late"}
		open late id=late
		late < {"type":"OPEN"}
		late < {"dst":"late","payload":1,"src":"a","type":"OFFER"}
		late < {"dst":"late","payload":2,"src":"a","type":"CANDIDATE"}
		late < {"dst":"late","payload":3,"src":"a","type":"ANSWER"}
		a > {"type":"CANDIDATE","payload":4,"dst":"late"}
		late < {"dst":"late","payload":4,"src":"a","type":"CANDIDATE"}`,
	"one who never comes": `
		open a id=a
		a < {"type":"OPEN"}
		a > {"type":"LEAVE","dst":"nobody"}
		a > {"type":"OFFER","payload":1,"dst":"nobody"}
		a > {"type":"CANDIDATE","payload":2,"dst":"nobody"}
		a waits
		a < {"dst":"a","src":"nobody","type":"EXPIRE"}
		a > {"type":"OFFER","payload":1,"dst":5}
		a waits
		a < {"dst":"a","src":5,"type":"EXPIRE"}
		open nobody id=nobody
		nobody < {"type":"OPEN"}`,
	"coming back": `
		open a id=a
		a < {"type":"OPEN"}
		open b id=b&token=mine
		b < {"type":"OPEN"}
		drop b
		a > {"type":"OFFER","payload":1,"dst":"b"}
		open again id=b&token=mine
		again < {"type":"OPEN"}
		again < {"dst":"b","payload":1,"src":"a","type":"OFFER"}`,
	"its sender has gone": `
		open a id=a
		a < {"type":"OPEN"}
		a > {"type":"OFFER","payload":1,"dst":"late"}
		drop a
		open late id=late
		late < {"type":"OPEN"}
		late < {"dst":"late","payload":1,"src":"a","type":"OFFER"}`,
	"giving an id up": `
		open a id=a
		a < {"type":"OPEN"}
		open b id=b b
		b < {"type":"OPEN"}
		peers ["a","b b"]
		quit b
		peers ["a"]
		open b2 id=b b&token=other
		b2 < {"type":"OPEN"}`,
}

func TestSaysWhatPeerServerSays(t *testing.T) {
	theirs, _ := peerServers(t)
	for name, script := range exchanges {
		var want []string
		for line := range strings.Lines(script) {
			if line = strings.TrimSpace(line); line != "" {
				want = append(want, line)
			}
		}
		for server, address := range map[string]string{"theirs": theirs, "ours": serveDoor(t, Config{ExpireAfter: expiry, Discovery: true}).address} {
			t.Run(name+"/"+server, func(t *testing.T) {
				got := play(t, address+"/peerjs", want)
				if !slices.Equal(got, want) {
					t.Errorf("got\n%s\nwant\n%s", strings.Join(got, "\n"), strings.Join(want, "\n"))
				}
			})
		}
	}
}

// The addresses answer alike, wherever the client thinks the server is.
func TestAddressesAsPeerServer(t *testing.T) {
	listing, plain := peerServers(t)
	ours, oursPlain := serveDoor(t, Config{Discovery: true}).address, serveDoor(t, Config{}).address
	for _, c := range []struct {
		theirs, ours, path string
		status             int
	}{
		{listing, ours, "/peerjs/peerjs/id", 200},
		{listing, ours, "/peerjs/peerjs/peers", 200},
		{listing, ours, "/peerjs/other-key/id", 200},
		{listing, ours, "/peerjs/peerjs/what", 404},
		{listing, ours, "/peerjs", 200},
		{plain, oursPlain, "/peerjs/id", 200},
		{plain, oursPlain, "/peerjs/id?ts=17000.5&version=1.5.5", 200},
		{plain, oursPlain, "/peerjs/peers", 401},
	} {
		t.Run(c.path, func(t *testing.T) {
			for _, base := range []string{c.theirs, c.ours} {
				status, body := get(t, base+c.path)
				if status != c.status {
					t.Errorf("%s%s: %d", base, c.path, status)
				}
				if strings.Contains(c.path, "/id") && checkID(body) != nil || body == "" {
					t.Errorf("%s%s: %q", base, c.path, body)
				}
			}
		})
	}
	for _, base := range []string{plain, oursPlain} {
		p := openPage(t, "a", base+"/peerjs", "key=peerjs&id=a&token=t&version=1.5.5")
		p.want(`{"type":"OPEN"}`)
		p.drop()
	}
}
