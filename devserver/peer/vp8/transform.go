package vp8

// The transforms of RFC 6386 section 14. The inverse ones are exact; a forward one
// is free to round, and these are the inverse's transposes, scaled to undo it.

// forwardDCT transforms the difference between a 4x4 block of the source and its
// prediction. The slices begin at the block's first sample.
func forwardDCT(out *[16]int32, source, prediction []byte, stride int) {
	const (
		cos = 5352 // 4096 * sqrt(2) * cos(pi/8)
		sin = 2217 // 4096 * sqrt(2) * sin(pi/8)
	)
	var rows [16]int32 // eight times too large, for the sake of the rounding
	for y := range 4 {
		s := source[y*stride : y*stride+4 : y*stride+4]
		p := prediction[y*stride : y*stride+4 : y*stride+4]
		d0, d1 := int32(s[0])-int32(p[0]), int32(s[1])-int32(p[1])
		d2, d3 := int32(s[2])-int32(p[2]), int32(s[3])-int32(p[3])
		outer, inner := d0+d3, d1+d2
		outerDiff, innerDiff := d0-d3, d1-d2
		rows[4*y] = (outer + inner) << 3
		rows[4*y+1] = (outerDiff*cos + innerDiff*sin) >> 9
		rows[4*y+2] = (outer - inner) << 3
		rows[4*y+3] = (outerDiff*sin - innerDiff*cos) >> 9
	}
	for x := range 4 {
		outer, inner := rows[x]+rows[x+12], rows[x+4]+rows[x+8]
		outerDiff, innerDiff := rows[x]-rows[x+12], rows[x+4]-rows[x+8]
		out[x] = (outer + inner + 8) >> 4
		out[x+4] = (outerDiff*cos + innerDiff*sin + 1<<15) >> 16
		out[x+8] = (outer - inner + 8) >> 4
		out[x+12] = (outerDiff*sin - innerDiff*cos + 1<<15) >> 16
	}
}

// addInverseDCT adds the inverse transform of section 14.3 to the prediction,
// which thereby becomes the reconstruction (section 14.5).
func addInverseDCT(in *[16]int32, prediction []byte, stride int) {
	const (
		cos = 85627 // 65536 * sqrt(2) * cos(pi/8)
		sin = 35468 // 65536 * sqrt(2) * sin(pi/8)
	)
	var columns [16]int32
	for x := range 4 {
		sum, diff := in[x]+in[x+8], in[x]-in[x+8]
		c := in[x+4]*sin>>16 - in[x+12]*cos>>16
		d := in[x+4]*cos>>16 + in[x+12]*sin>>16
		columns[x] = sum + d
		columns[x+4] = diff + c
		columns[x+8] = diff - c
		columns[x+12] = sum - d
	}
	for y := range 4 {
		r := columns[4*y : 4*y+4 : 4*y+4]
		sum, diff := r[0]+r[2]+4, r[0]-r[2]+4
		c := r[1]*sin>>16 - r[3]*cos>>16
		d := r[1]*cos>>16 + r[3]*sin>>16
		p := prediction[y*stride : y*stride+4 : y*stride+4]
		p[0] = clamp(int32(p[0]) + (sum+d)>>3)
		p[1] = clamp(int32(p[1]) + (diff+c)>>3)
		p[2] = clamp(int32(p[2]) + (diff-c)>>3)
		p[3] = clamp(int32(p[3]) + (sum-d)>>3)
	}
}

// addDC is addInverseDCT for a block that has no other coefficient than the first.
func addDC(dc int32, prediction []byte, stride int) {
	dc = (dc + 4) >> 3
	for y := range 4 {
		p := prediction[y*stride : y*stride+4 : y*stride+4]
		for x := range p {
			p[x] = clamp(int32(p[x]) + dc)
		}
	}
}

func clamp(v int32) uint8 {
	if uint32(v) <= 255 {
		return uint8(v)
	}
	return uint8(^(v >> 31)) // 0 below, 255 above
}

// forwardWHT is the transform whose inverse is inverseWHT.
func forwardWHT(b *[16]int32) {
	walsh(b)
	for i := range b {
		b[i] = (b[i] + 1) >> 1
	}
}

// inverseWHT is the inverse Walsh-Hadamard transform of section 14.3.
func inverseWHT(b *[16]int32) {
	walsh(b)
	for i := range b {
		b[i] = (b[i] + 3) >> 3
	}
}

// walsh is the part that both directions share: the matrix is its own transpose,
// and four times its own inverse.
func walsh(b *[16]int32) {
	for x := range 4 {
		b[x], b[x+4], b[x+8], b[x+12] = butterfly(b[x], b[x+4], b[x+8], b[x+12])
	}
	for y := 0; y < 16; y += 4 {
		b[y], b[y+1], b[y+2], b[y+3] = butterfly(b[y], b[y+1], b[y+2], b[y+3])
	}
}

func butterfly(a, b, c, d int32) (int32, int32, int32, int32) {
	return a + b + c + d, a + b - c - d, a - b - c + d, a - b + c - d
}
