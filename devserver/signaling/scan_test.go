package signaling

import (
	"bytes"
	"encoding/json"
	"strings"
	"testing"
	"unicode/utf8"
)

// reference reads an envelope with encoding/json.
func reference(frame []byte) (e envelope, ok bool) {
	var members map[string]json.RawMessage
	if err := json.Unmarshal(frame, &members); err != nil || members == nil {
		return e, false
	}
	var to string
	for name, field := range map[string]*string{"type": &e.kind, "to": &to} {
		if value, there := members[name]; there && json.Unmarshal(value, field) != nil {
			return e, false
		}
	}
	e.to, e.data = []byte(to), members["data"]
	return e, true
}

// hasTwice tells whether an object has two members called "type" or "to", of which the
// reference sees only the last.
func hasTwice(frame []byte) bool {
	d := json.NewDecoder(bytes.NewReader(frame))
	seen := map[string]int{}
	for depth, name := 0, false; ; {
		token, err := d.Token()
		if err != nil {
			return seen["type"] > 1 || seen["to"] > 1
		}
		switch t := token.(type) {
		case json.Delim:
			if t == '{' || t == '[' {
				depth++
			} else {
				depth--
			}
			name = depth == 1
		case string:
			if depth == 1 && name {
				seen[t]++
				name = false
				continue
			}
			name = depth == 1
		default:
			name = depth == 1
		}
	}
}

// The scan accepts exactly what encoding/json does, and finds the same in it.
func FuzzScanEnvelope(f *testing.F) {
	for _, s := range []string{
		`{"type":"signal","to":"p1","data":{"description":{"type":"offer","sdp":"v=0\r\n"}}}`,
		`{"type":"signal","data":null}`, `{"type":"leave"}`, `{}`, `[]`, ``, `null`, `{"type":1}`, `{"type":null,"to":null}`,
		`{"type":"signal","data":"\ud800"}`, "{\"type\":\"signal\",\"data\":\"\xff\"}", `{"TYPE":"leave"}`,
		`{"t\u0079pe":"l\u0065ave","to":"\n"}`, ` { "data" : [ 1 , { } , [ ] , -0.5e+10 , true , false ] , "data" : 2 } `,
		`{"data":01}`, `{"data":1.}`, `{"data":-}`, `{"data":1e}`, `{"data":tru}`, `{"data":"\x"}`, `{"data":"\u12g4"}`, "{\"data\":\"a\tb\"}",
		`{"data":[1,]}`, `{"data":{"a"}}`, `{"data":{"a":1,}}`, `{"data":[}`, `{"data":{]`, `{"a":1}x`, `{"a":1,}`, `{a:1}`, "{\"data\":\"\u007f\u0080 안녕\"}",
		`{"data":"0123456\"789\\"}`, `{"data":"` + strings.Repeat("x", 40) + "\x1f" + `"}`, "\ufeff{}",
		`{"data":` + strings.Repeat("[", 70) + strings.Repeat("]", 70) + `}`,
		`{"data":` + strings.Repeat("[", 9_999) + strings.Repeat("]", 9_999) + `}`,
		`{"data":` + strings.Repeat("[", 10_000) + strings.Repeat("]", 10_000) + `}`,
	} {
		f.Add([]byte(s))
	}
	f.Fuzz(func(t *testing.T, frame []byte) {
		if !utf8.Valid(frame) {
			return // seen to before
		}
		got, err := scanEnvelope(frame)
		want, ok := reference(frame)
		if hasTwice(frame) { // the first of two is checked here and not there
			ok = err == nil
			want.kind, want.to = got.kind, got.to
		}
		if (err == nil) != ok {
			t.Fatalf("accepted: %v (%v), by encoding/json: %v: %.200q", err == nil, err, ok, frame)
		}
		if err != nil {
			return
		}
		if got.kind != want.kind || !bytes.Equal(got.to, want.to) || !bytes.Equal(got.data, want.data) {
			t.Fatalf("found %+v, want %+v in %.200q", got, want, frame)
		}
		if (got.data == nil) != (want.data == nil) {
			t.Fatalf("data: %v, %v in %.200q", got.data, want.data, frame)
		}
	})
}

func TestDepthHasALimit(t *testing.T) {
	for _, frame := range []string{
		`{"data":` + strings.Repeat(`{"a":[`, 100_000), `{"data":` + strings.Repeat(`[`, 100_000) + strings.Repeat(`]`, 100_000) + `}`,
	} {
		if _, err := scanEnvelope([]byte(frame)); err != errDeep {
			t.Errorf("%.20q…: %v", frame, err)
		}
	}
}

func BenchmarkScanEnvelope(b *testing.B) {
	frame := []byte(`{"type":"signal","to":"pabcdefghijklmnopqrstuvwxyz","data":{"description":{"type":"offer","sdp":"` +
		strings.Repeat(`a=rtpmap:111 opus/48000/2\r\n`, 40) + `"}}}`)
	b.SetBytes(int64(len(frame)))
	b.ReportAllocs()
	for b.Loop() {
		if _, err := scanEnvelope(frame); err != nil {
			b.Fatal(err)
		}
	}
}
