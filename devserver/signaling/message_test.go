package signaling

import (
	"bytes"
	"encoding/json"
	"testing"
)

// The scan accepts what encoding/json accepts and passes the data's own bytes.
func FuzzClientMessage(f *testing.F) {
	for _, s := range []string{
		`{"type":"signal","to":"p1","data":{"description":{"type":"offer","sdp":"v=0\r\n"}}}`,
		`{"type":"signal","data":null}`, `{"type":"leave"}`, `{}`, `[]`, ``, `null`, `{"type":1}`,
		`{"type":"signal","data":"\ud800"}`, "{\"type\":\"signal\",\"data\":\"\xff\"}", `{"TYPE":"leave"}`,
	} {
		f.Add([]byte(s))
	}
	f.Fuzz(func(t *testing.T, frame []byte) {
		m, err := parseClientMessage(frame)
		if err != nil {
			return
		}
		if !json.Valid(frame) {
			t.Fatalf("accepted invalid JSON %q", frame)
		}
		if m.Type != typeSignal {
			return
		}
		if !bytes.Contains(frame, m.Data) {
			t.Fatalf("data %q is not in %q", m.Data, frame)
		}
		if out := signalMessage("p1", m.Data); !json.Valid(out) {
			t.Fatalf("relayed as invalid JSON %q", out)
		}
	})
}

func FuzzRoomName(f *testing.F) {
	for _, s := range []string{"", "lobby", "방", "\xff", "a\tb"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, name string) {
		got, err := roomName(name)
		if err == nil && name != "" && got != name {
			t.Fatalf("%q became %q", name, got)
		}
	})
}
