package peer

import (
	"math"
	"testing"
)

// Values of the µ-law with 16 bits, from its decision levels (ITU-T G.711 table 2a,
// columns 6 and 8): magnitudes below and at a level, both signs, and the ends.
func TestMuLaw(t *testing.T) {
	for sample, want := range map[int16]byte{
		0: 0xff, -1: 0x7f, 3: 0xff, 4: 0xfe, -4: 0x7e, 123: 0xf0, 124: 0xef, -124: 0x6f,
		379: 0xe0, 380: 0xdf, 891: 0xd0, 892: 0xcf, 1915: 0xc0, 1916: 0xbf, 3963: 0xb0, 3964: 0xaf,
		8059: 0xa0, 8060: 0x9f, 16251: 0x90, 16252: 0x8f, 31611: 0x81, 31612: 0x80,
		32767: 0x80, -32768: 0x00, -32767: 0x00,
	} {
		if got := muLaw(sample); got != want {
			t.Errorf("%d is %#02x, not %#02x", sample, got, want)
		}
	}
}

// decodeMuLaw is G.711's decoder.
func decodeMuLaw(b byte) int {
	b = ^b
	magnitude := (int(b&0x0f)<<3+132)<<(b>>4&7) - 132
	if b&0x80 != 0 {
		return -magnitude
	}
	return magnitude
}

// Every value decodes to what encodes to it again, and no sample is more than half a
// step of its segment off.
func TestMuLawDecodes(t *testing.T) {
	for b := range 256 {
		if v := decodeMuLaw(byte(b)); muLaw(int16(v)) != byte(b) && b != 0x7f { // -0 is +0
			t.Errorf("%#02x decodes to %d, which encodes to %#02x", b, v, muLaw(int16(v)))
		}
	}
	for s := math.MinInt16; s <= math.MaxInt16; s++ {
		v := decodeMuLaw(muLaw(int16(s)))
		if off := max(s-v, v-s); off > 4+max(s, -s)/31 && s > -32124 && s < 32124 {
			t.Fatalf("%d decodes to %d", s, v)
		}
	}
}

func TestTone(t *testing.T) {
	tone := makeTone()
	if len(tone)*toneHertz%toneRate != 0 || len(tone)%tonePacket != 0 {
		t.Errorf("the tone of %d samples does not go on without a click", len(tone))
	}
	crossings, peak := 0, 0
	for i := range tone {
		v, before := decodeMuLaw(tone[i]), decodeMuLaw(tone[(i+len(tone)-1)%len(tone)])
		if v > 0 && before <= 0 {
			crossings++
		}
		peak = max(peak, v)
	}
	if want := toneHertz * len(tone) / toneRate; crossings != want {
		t.Errorf("%d periods, not %d", crossings, want)
	}
	if peak < toneVolume*9/10 || peak > toneVolume*11/10 {
		t.Errorf("the peak is %d, not %d", peak, toneVolume)
	}
}
