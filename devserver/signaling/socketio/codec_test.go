package socketio

import (
	"bytes"
	"encoding/json"
	"slices"
	"strings"
	"testing"
	"unicode/utf16"
	"unicode/utf8"
)

func split(s ...string) [][]byte {
	var out [][]byte
	for _, p := range s {
		out = append(out, []byte(p))
	}
	return out
}

func TestDecodePayload(t *testing.T) {
	octets := func(kind byte, text string, digits ...byte) string {
		return string(append(append([]byte{kind}, digits...), 255)) + text
	}
	tests := []struct {
		name    string
		version int
		octets  bool
		body    string
		want    []string // nil: an error
	}{
		{"3: two", 3, false, "2:403:2ab", []string{"40", "2ab"}},
		{"3: length in UTF-16 units", 3, false, "5:4\"한😀2:40", []string{`4"한😀`, "40"}},
		{"3: encoded twice by 1.x", 3, false, "6:4\"í\u0095\u009c\"", []string{`4"한"`}},
		{"3: Latin text encoded once by 2.x", 3, false, "4:4\"é\"", []string{`4"é"`}},
		{"3: inside a surrogate pair", 3, false, "3:4\"😀", nil},
		{"3: too short", 3, false, "9:40", nil},
		{"3: no length", 3, false, ":40", nil},
		{"3: no colon", 3, false, "40", nil},
		{"3: negative", 3, false, "-2:40", nil},
		{"3: enormous", 3, false, "99999999999999999999:40", nil},
		{"3: empty packet", 3, false, "0:", nil},
		{"3: base64", 3, false, "6:b4AAAA", nil},
		{"3: invalid UTF-8", 3, false, "2:4\xff", nil},
		{"3: octets", 3, true, octets(0, "40", 2) + octets(0, `4"한"....`, 1, 0), []string{"40", `4"한"....`}},
		{"3: octets, binary", 3, true, octets(1, "40", 2), nil},
		{"3: octets, short", 3, true, octets(0, "4", 2), nil},
		{"3: octets, no length", 3, true, octets(0, "40"), nil},
		{"3: octets, endless length", 3, true, "\x00" + strings.Repeat("\x01", 400), nil},
		{"4: two", 4, false, "40\x1e2", []string{"40", "2"}},
		{"4: text", 4, false, `42["한😀"]`, []string{`42["한😀"]`}},
		{"4: empty packet", 4, false, "40\x1e\x1e2", nil},
		{"4: base64", 4, false, "bAAAA", nil},
		{"4: invalid UTF-8", 4, false, "4\xff", nil},
		{"4: too many", 4, false, strings.Repeat("2\x1e", maxPackets) + "2", nil},
		{"empty", 4, false, "", nil},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			got, err := decodePayload(tt.version, []byte(tt.body), tt.octets)
			if (err != nil) != (tt.want == nil) {
				t.Fatalf("got %q, %v", got, err)
			}
			if !slices.EqualFunc(got, split(tt.want...), bytes.Equal) {
				t.Errorf("got %q, want %q", got, tt.want)
			}
		})
	}
}

func TestEncodePayload(t *testing.T) {
	if got := encodePayload(4, split("40", `42["한"]`)); string(got) != "40\x1e"+`42["한"]` {
		t.Errorf("version 4: %q", got)
	}
	if got, want := string(encodePayload(3, split("2", `4"한😀"`))), `1:221:4"\ud55c\ud83d\ude00"`; got != want {
		t.Errorf("version 3: %q, want %q", got, want)
	}
}

// Whatever a client sends is read without a fault, and what was read goes
// through our own encoder and back unchanged.
func FuzzPayload(f *testing.F) {
	f.Add(3, []byte("2:403:2ab"), false)
	f.Add(3, []byte("5:4\"한😀2:40"), false)
	f.Add(3, []byte("6:4\"í\u0095\u009c\""), false)
	f.Add(3, []byte("\x00\x02\xff40\x00\x01\x00\xff0123456789"), true)
	f.Add(4, []byte("40\x1e2\x1e42[\"a\",null]"), false)
	f.Fuzz(func(t *testing.T, version int, body []byte, octets bool) {
		if version != 3 {
			version = 4
		}
		packets, err := decodePayload(version, body, octets)
		if err != nil {
			return
		}
		if len(packets) == 0 || len(packets) > maxPackets {
			t.Fatalf("%d packets", len(packets))
		}
		for _, p := range packets {
			if len(p) == 0 || !utf8.Valid(p) {
				t.Fatalf("packet %q", p)
			}
		}
		again, err := decodePayload(version, encodePayload(version, packets), false)
		if err != nil {
			t.Fatalf("%q: %v", packets, err)
		}
		for i, p := range packets {
			if version == 3 {
				p = escapeNonASCII(p)
				if len(utf16.Encode([]rune(string(p)))) != len(p) {
					t.Fatalf("%q is not ASCII", p)
				}
			}
			if !bytes.Equal(p, again[i]) {
				t.Fatalf("%q came back as %q", p, again[i])
			}
		}
	})
}

func TestParsePacket(t *testing.T) {
	tests := []struct {
		in   string
		want packet
		ok   bool
	}{
		{`0`, packet{kind: '0', namespace: "/"}, true},
		{`0{"token":1}`, packet{kind: '0', namespace: "/", data: []byte(`{"token":1}`)}, true},
		{`0/admin?a=1,{}`, packet{kind: '0', namespace: "/admin", data: []byte(`{}`)}, true},
		{`0/admin`, packet{kind: '0', namespace: "/admin"}, true},
		{`2["a",1]`, packet{kind: '2', namespace: "/", data: []byte(`["a",1]`)}, true},
		{`217["a"]`, packet{kind: '2', namespace: "/", ack: "17", data: []byte(`["a"]`)}, true},
		{`2/n,17["a"]`, packet{kind: '2', namespace: "/n", ack: "17", data: []byte(`["a"]`)}, true},
		{`1`, packet{kind: '1', namespace: "/"}, true},
		{``, packet{}, false},
		{`7`, packet{}, false},
		{`51-["a",{"_placeholder":true,"num":0}]`, packet{}, false},
		{`21234567890123456["a"]`, packet{}, false},
		{`0/` + strings.Repeat("n", maxNamespace), packet{}, false},
		{`0/né,`, packet{}, false},
		{`0/n"`, packet{}, false},
	}
	for _, tt := range tests {
		got, err := parsePacket([]byte(tt.in))
		if (err == nil) != tt.ok {
			t.Errorf("%s: %v", tt.in, err)
			continue
		}
		if tt.ok && (got.kind != tt.want.kind || got.namespace != tt.want.namespace || got.ack != tt.want.ack || !bytes.Equal(got.data, tt.want.data)) {
			t.Errorf("%s: got %+v", tt.in, got)
		}
	}
}

func TestParseEvent(t *testing.T) {
	for in, name := range map[string]string{
		`["a"]`:                   "a",
		` [ "a\u0062" , null ] `:  "ab",
		`["message",{"x":[1,2]}]`: "message",
	} {
		if e, err := parseEvent([]byte(in)); err != nil || e.name != name {
			t.Errorf("%s: %+v, %v", in, e, err)
		}
	}
	for _, in := range []string{``, `[]`, `{}`, `[1]`, `[null]`, `["a"`, `["a"]]`, `["connect"]`, `["disconnect",1]`,
		`["` + strings.Repeat("n", maxEventName+1) + `"]`, `["a",` + strings.Repeat("[", 100_000)} {
		if e, err := parseEvent([]byte(in)); err == nil {
			t.Errorf("%.40s: %+v", in, e)
		}
	}
}

// What one client emits is what the other hears, through the data of the hub.
func TestWrap(t *testing.T) {
	for in, data := range map[string]string{
		`["message",{"type":"offer"}]`:        `{"type":"offer"}`,
		`["message",null]`:                    `null`,
		`["message"]`:                         `{"socket.io":["message"]}`,
		`["message",1,2]`:                     `{"socket.io":["message",1,2]}`,
		`["chat","hi",{"a":1}]`:               `{"socket.io":["chat","hi",{"a":1}]}`,
		`["message",{"socket.io":["ready"]}]`: `{"socket.io":["message",{"socket.io":["ready"]}]}`,
		`["message",{"socket.io":"x"}]`:       `{"socket.io":"x"}`,
	} {
		e, err := parseEvent([]byte(in))
		if err != nil {
			t.Fatal(err)
		}
		got := wrap(e)
		if string(got) != data {
			t.Errorf("%s: data %s, want %s", in, got, data)
		}
		if packet := relayPacket(got); string(packet) != "42"+in {
			t.Errorf("%s came back as %s", in, packet)
		}
	}
	// A native peer's attempt at a name that would break a client is a message.
	if got := relayPacket([]byte(`{"socket.io":["disconnect"]}`)); string(got) != `42["message",{"socket.io":["disconnect"]}]` {
		t.Errorf("got %s", got)
	}
}

// A packet from outside is read without a fault; an event that was accepted can
// be relayed, and arrives as the same event.
func FuzzPacket(f *testing.F) {
	for _, s := range []string{`0`, `0/admin?a=1,{}`, `217["message",{"type":"offer"}]`, `2["chat",1,null]`, `3`, `51-["a"]`,
		`2["message",{"socket.io":["x"]}]`, `2["message",{"socket.io":["x"],"socket.io":["y"]}]`, `2 [ "a" ] `} {
		f.Add([]byte(s))
	}
	f.Fuzz(func(t *testing.T, text []byte) {
		if !utf8.Valid(text) {
			return // turned away before
		}
		p, err := parsePacket(text)
		if err != nil || p.kind != packetEvent {
			return
		}
		e, err := parseEvent(p.data)
		if err != nil {
			return
		}
		data := wrap(e)
		if !json.Valid(data) {
			t.Fatalf("data %s", data)
		}
		isOffer(data)
		heard, err := parseEvent(relayPacket(data)[len(eventHead):])
		if err != nil {
			t.Fatalf("%s: %v", data, err)
		}
		if heard.name != e.name || !slices.EqualFunc(heard.args, e.args, func(a, b json.RawMessage) bool { return bytes.Equal(a, b) }) {
			t.Fatalf("%s came as %s", e.all, heard.all)
		}
	})
}
