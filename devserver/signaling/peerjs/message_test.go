package peerjs

import (
	"bytes"
	"encoding/json"
	"maps"
	"slices"
	"strings"
	"testing"
	"unicode/utf8"
)

func TestParse(t *testing.T) {
	for _, c := range []struct{ frame, kind, dst, payload string }{
		{`{"type":"HEARTBEAT"}`, "HEARTBEAT", "", ""},
		{`{"type":"OFFER","payload":{"sdp":{"type":"offer","sdp":"a\r\n\"q\" \\"}},"dst":"b"}`,
			"OFFER", `"b"`, `{"sdp":{"type":"offer","sdp":"a\r\n\"q\" \\"}}`},
		{" { \"dst\" : \"b c\" ,\n\t\"type\":\"ANSWER\" , \"payload\" : 1e5 } ", "ANSWER", `"b c"`, "1e5"},
		{`{"type":"LEAVE","type":"EXPIRE","payload":1,"payload":[]}`, "EXPIRE", "", "[]"}, // the last counts, as in JavaScript
		{`{"\u0074ype":"L\u0045AVE"}`, "LEAVE", "", ""},
		{`{"Type":"LEAVE","payload":{"type":"x","dst":"y"}}`, "", "", `{"type":"x","dst":"y"}`},
		{`{"type":5,"dst":5,"payload":null}`, "", "5", "null"},
		{`{"type":"OFFER","dst":{"a":["}"]},"payload":true}`, "OFFER", `{"a":["}"]}`, "true"},
		{`{"payload":{"a":"\"}","\\":"\\\""},"dst":"b","type":"\"\\"}`, `"\`, `"b"`, `{"a":"\"}","\\":"\\\""}`},
		{`{"dst":null}`, "", "", ""}, {`{"dst":""}`, "", "", ""}, {`{"dst":0}`, "", "", ""}, {`{"dst":false}`, "", "", ""},
		{`{}`, "", "", ""},
	} {
		m, err := parse([]byte(c.frame))
		if err != nil || m.kind != c.kind || string(m.dst) != c.dst || string(m.payload) != c.payload {
			t.Errorf("%s: %q %s %s, %v", c.frame, m.kind, m.dst, m.payload, err)
		}
	}
	for _, frame := range []string{"", " ", "null", "5", `"x"`, "[]", `[{"type":"OFFER"}]`, "{", `{"type"}`, `{"type":"OFFER",}`,
		`{"type":"OFFER"} {}`, "{'type':1}", strings.Repeat("[", 100_000), strings.Repeat(`{"a":`, 100_000) + "1" + strings.Repeat("}", 100_000)} {
		if m, err := parse([]byte(frame)); err == nil {
			t.Errorf("%.40s: read as %+v", frame, m)
		}
	}
}

// Two ids that are not the same to JavaScript are not the same here.
func TestTo(t *testing.T) {
	seen := map[string]string{}
	for _, dst := range []string{`"5"`, `5`, `5.0`, `true`, `"true"`, `{"a":1}`, `[5]`} {
		to := (&message{dst: []byte(dst)}).to()
		if other, ok := seen[to]; ok {
			t.Errorf("%s and %s are the same peer", dst, other)
		}
		seen[to] = dst
		if dst[0] != '"' && checkID(to) == nil {
			t.Errorf("%s could be somebody's id", dst)
		}
	}
	if to := (&message{dst: []byte(`"\u0061-b"`)}).to(); to != "a-b" {
		t.Errorf("escaped: %q", to)
	}
}

func TestCheckID(t *testing.T) {
	for _, id := range []string{"a", "Z9", "a-b", "a_b c-d", "3f2504e0-4f89-41d3-9a0c-0305e82c3301", strings.Repeat("x", maxID)} {
		if err := checkID(id); err != nil {
			t.Errorf("%q: %v", id, err)
		}
	}
	for _, id := range []string{"-", "-a", "a-", "a--b", "a _b", " a", "é", "a\x00b", `a"b`, "a/b", "a.b", strings.Repeat("x", maxID+1)} {
		if checkID(id) == nil {
			t.Errorf("%q is taken for an id", id)
		}
	}
}

func TestFrames(t *testing.T) {
	m := message{kind: "OFFER", dst: []byte(`"b"`), payload: []byte(`{"x": 1}`)}
	for _, c := range []struct{ got, want string }{
		{string(relayed(m, "a")), `{"type":"OFFER","src":"a","dst":"b","payload":{"x": 1}}`},
		{string(relayed(message{kind: "LEAVE", dst: []byte(`"b"`)}, "a")), `{"type":"LEAVE","src":"a","dst":"b"}`},
		{string(expired([]byte(`"b"`), "a")), `{"type":"EXPIRE","src":"b","dst":"a"}`},
		{string(opened()), `{"type":"OPEN"}`},
		{string(refused(typeError, `a "b"`)), `{"type":"ERROR","payload":{"msg":"a \"b\""}}`},
	} {
		if c.got != c.want {
			t.Errorf("got %s, want %s", c.got, c.want)
		}
	}
}

// The scan finds what encoding/json finds, byte for byte, and what is made of it
// says the same to the receiver.
func FuzzParse(f *testing.F) {
	for _, seed := range []string{
		`{"type":"HEARTBEAT"}`,
		`{"type":"OFFER","payload":{"sdp":{"type":"offer","sdp":"v=0\r\no=- 1 1 IN IP4 0.0.0.0\r\n"},"type":"data","connectionId":"dc_x","label":"dc_x","reliable":false,"serialization":"binary"},"dst":"b"}`,
		`{"type":"CANDIDATE","payload":{"candidate":{"candidate":"candidate:1 1 udp 1 10.0.0.1 9 typ host","sdpMLineIndex":0}},"dst":"b","src":"forged"}`,
		`{"type":"LEAVE"}`, ` {"dst" : 0.5e+1 , "a\"\\":"\\\\\""}`, `{"\u0064st":"\ud800","payload":[[[]]]}`, `[1]`, `{"a":{"}":"{"}}`, "{", "nul", "\"\\\"",
		`{"type":"OFFER","type":null,"dst":{},"dst":"x y"}`,
	} {
		f.Add([]byte(seed))
	}
	f.Fuzz(func(t *testing.T, frame []byte) {
		if !utf8.Valid(frame) {
			return // never comes this far
		}
		m, err := parse(frame)
		var members map[string]json.RawMessage
		wrong := json.Unmarshal(frame, &members)
		if (err == nil) != (wrong == nil && members != nil) {
			t.Fatalf("%v, but encoding/json says %v", err, wrong)
		}
		if err != nil {
			return
		}
		var kind string
		_ = json.Unmarshal(members["type"], &kind)
		if kind != m.kind || !bytes.Equal(members["payload"], m.payload) || m.dst != nil && !bytes.Equal(members["dst"], m.dst) {
			t.Fatalf("%q %s %s, but encoding/json says %q %s %s", m.kind, m.dst, m.payload, kind, members["dst"], members["payload"])
		}
		if m.dst == nil {
			return
		}
		m.to()
		m.kind = typeOffer // only known ones are relayed
		var out map[string]json.RawMessage
		if err := json.Unmarshal(relayed(m, "me"), &out); err != nil {
			t.Fatalf("%s: %v", relayed(m, "me"), err)
		}
		want := map[string]json.RawMessage{"type": []byte(`"OFFER"`), "src": []byte(`"me"`), "dst": m.dst, "payload": m.payload}
		if m.payload == nil {
			delete(want, "payload")
		}
		if !maps.EqualFunc(out, want, func(a, b json.RawMessage) bool { return slices.Equal(a, b) }) {
			t.Fatalf("%s", relayed(m, "me"))
		}
	})
}
