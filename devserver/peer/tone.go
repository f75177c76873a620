package peer

import (
	"math"
	"math/bits"
)

const (
	toneRate   = 8000          // samples a second (RFC 3551 §4.5.14)
	toneHertz  = 440           // 11 periods in 200 samples
	toneVolume = 8192          // a quarter of full scale, -12 dB
	tonePacket = toneRate / 50 // samples in a packet of 20 ms (RFC 3551 §4.2)
)

// muLaw encodes one sample of 16 bits (ITU-T G.711 table 2). The law has 14 bits of
// magnitude and sign; 33 is its bias there, 132 here, and 32635 the largest magnitude
// that the bias leaves room for. All bits are inverted on the line.
func muLaw(sample int16) byte {
	const bias, clip = 132, 32635
	magnitude, sign := int(sample), byte(0)
	if magnitude < 0 {
		magnitude, sign = -magnitude, 0x80
	}
	magnitude = min(magnitude, clip) + bias
	segment := bits.Len(uint(magnitude)) - 8 // 0 to 7: the bias sets bit 7
	step := magnitude >> (segment + 3) & 0x0f
	return ^(sign | byte(segment<<4) | byte(step))
}

// makeTone returns one period of whole packets: 40 of them, 0.8 s, are 352 periods of
// the sine, so that it goes on without a click.
func makeTone() []byte {
	tone := make([]byte, 40*tonePacket)
	for i := range tone {
		tone[i] = muLaw(int16(toneVolume * math.Sin(2*math.Pi*toneHertz*float64(i)/toneRate)))
	}
	return tone
}
