package vp8

import "math/bits"

// A boolWriter is the boolean entropy encoder of RFC 6386 section 7. It writes one
// partition, from reset to finish.
type boolWriter struct {
	out []byte

	// low is the bottom of the interval. Its bits 0 to 7 are on the scale of width;
	// the pending bits above them are settled but for a carry.
	low     uint64
	width   uint32 // of the interval, 128 to 255 between two bits
	pending int    // bits of low that are not in out yet, less than flushAt
}

// flushAt is how many bits are taken from low at once.
const flushAt = 32

// reset begins a partition that is appended to out.
func (w *boolWriter) reset(out []byte) {
	*w = boolWriter{out: out, width: 255}
}

// bit writes one bit; prob/256 is the probability that it is false.
func (w *boolWriter) bit(prob uint8, v bool) {
	split := 1 + ((w.width-1)*uint32(prob))>>8
	if v {
		w.low += uint64(split)
		w.width -= split
	} else {
		w.width = split
	}
	shift := bits.LeadingZeros8(uint8(w.width))
	w.width <<= shift
	w.low <<= shift
	w.pending += shift
	if w.pending >= flushAt {
		w.flush()
	}
}

// flush moves the flushAt oldest bits to out.
func (w *boolWriter) flush() {
	rest := w.pending - flushAt + 8
	top := w.low >> rest
	w.low &= 1<<rest - 1
	w.pending -= flushAt
	if top>>flushAt != 0 {
		w.carry()
	}
	w.out = append(w.out, byte(top>>24), byte(top>>16), byte(top>>8), byte(top))
}

// carry adds one to the number that out is. The interval never passes 1, so that
// it stops within the partition.
func (w *boolWriter) carry() {
	i := len(w.out) - 1
	for w.out[i] == 255 {
		w.out[i] = 0
		i--
	}
	w.out[i]++
}

// finish ends the partition and returns out. It writes the bits that are settled
// and at least one more, as section 7.3 does: some decoders take a partition that
// ends exactly there for a damaged one.
func (w *boolWriter) finish() []byte {
	n := w.pending/8 + 2
	low := w.low << (8*n - 8 - w.pending)
	if low>>(8*n) != 0 {
		w.carry()
	}
	for i := n - 1; i >= 0; i-- {
		w.out = append(w.out, byte(low>>(8*i)))
	}
	return w.out
}

// flag writes a bit that is as likely as not.
func (w *boolWriter) flag(v bool) { w.bit(128, v) }

// literal writes the n low bits of v, the highest first: L(n) of section 19.
func (w *boolWriter) literal(n int, v int) {
	for n--; n >= 0; n-- {
		w.flag(v>>n&1 != 0)
	}
}
