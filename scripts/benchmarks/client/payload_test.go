package client

import (
	"encoding/json"
	"testing"
)

func TestPayload(t *testing.T) {
	for _, size := range []int{200, 999, 1000, 1200, 3000, 20_000} {
		p, other := NewPayload(size), NewPayload(size)
		for _, n := range []int{1, 9, 10, 123_456} {
			data := p.Numbered(n)
			if len(data) != size || !json.Valid(data) {
				t.Fatalf("%d bytes, wanted %d: %s", len(data), size, data)
			}
			if appended := other.Append([]byte("x"), n); string(appended) != "x"+string(data) {
				t.Errorf("appended: %s", appended)
			}
			message := append(append([]byte(`{"type":"signal","data":`), data...), '}')
			if got, ok, err := other.Number(message); got != n || !ok || err != nil {
				t.Errorf("number %d, %v, %v", got, ok, err)
			}
			if got, ok := NumberOf(message); got != n || !ok {
				t.Errorf("number of any kind: %d, %v", got, ok)
			}
			for _, at := range []int{len(opening) + 3, size / 2, size - 1} { // counted from where the data begins
				changed := append([]byte(nil), message...)
				changed[len(`{"type":"signal","data":`)+at] ^= 0x40
				if got, ok, err := other.Number(changed); ok && err == nil && got == n {
					t.Errorf("a change at %d went unseen", at)
				}
			}
		}
	}
	if _, ok, err := NewPayload(200).Number([]byte(`{"type":"peer-joined","peer":"p1"}`)); ok || err != nil {
		t.Errorf("%v, %v", ok, err)
	}
}
