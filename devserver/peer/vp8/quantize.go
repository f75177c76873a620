package vp8

// MaxQuantizer is the coarsest quantizer index (RFC 6386 section 9.6: y_ac_qi has
// seven bits). 0 is the finest.
const MaxQuantizer = 127

// A factor quantizes the coefficients of one kind of block, its first one (DC) and
// the others (AC).
type factor struct {
	step  [2]int32  // DC, AC
	scale [2]uint32 // 65536/step
	round [2]uint32 // what is added before the fraction is dropped, of 65536
}

// quantizers are the factors of one quantizer index.
type quantizers struct {
	y, y2, uv factor
}

// newQuantizers gives the factors of an index, as sections 9.6 and 14.1 have it.
func newQuantizers(q int) quantizers {
	dc, ac := dcStep(q), acStep(q)
	return quantizers{
		y:  newFactor(dc, ac),
		y2: newFactor(2*dc, max(ac*155/100, 8)),
		uv: newFactor(min(dc, 132), ac),
	}
}

// newFactor rounds the first coefficient to the nearest, because an eye sees a
// block's mean. The others need a little more than half a step to count, because
// small ones cost more bytes than they are worth.
func newFactor(dc, ac int32) factor {
	return factor{
		step:  [2]int32{dc, ac},
		scale: [2]uint32{uint32(65536 / dc), uint32(65536 / ac)},
		round: [2]uint32{65536 / 2, 65536 * 3 / 8},
	}
}

// A block is the residual of a 4x4 block on its way through the encoder.
type block struct {
	coeffs [16]int32 // in raster order: of the source, then as a decoder has them
	levels [16]int16 // quantized, in the order of the scan
	end    int       // how many levels up to the last that is not 0; 0 without one
}

// quantize makes the levels from the coefficients, and the coefficients from the
// levels, as a decoder does. The coefficients before first are left alone.
//
// A residual lies within ±255 and its coefficients within ±2040 (the ones of Y2
// ±16320, with a step of 8 or more), so that a level is within ±2040: a token can
// say it and a decoder's 16 bits hold what it multiplies.
func (b *block) quantize(f *factor, first int) {
	scan := [16]uint8{0, 1, 4, 8, 5, 2, 3, 6, 9, 12, 13, 10, 7, 11, 14, 15} // section 13
	b.end = 0
	kind := first // 0 for DC, then 1 for AC
	for i := first; i < 16; i++ {
		at := scan[i] & 15
		c := b.coeffs[at]
		sign := c >> 31
		level := int32((uint32((c^sign)-sign)*f.scale[kind] + f.round[kind]) >> 16)
		if level != 0 {
			level = (level ^ sign) - sign
			b.end = i + 1
		}
		b.levels[i] = int16(level)
		b.coeffs[at] = level * f.step[kind]
		kind = 1
	}
}
