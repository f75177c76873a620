package vp8

// An edge says which blocks at one edge of a macroblock have coefficients. They are
// the context of the next macroblock's (RFC 6386 section 13.3). Each is 0 or 1.
type edge struct {
	y  [4]uint8
	uv [2][2]uint8
	y2 uint8
}

// writeResidual writes the tokens of all blocks, in the order of section 13.
func (e *Encoder) writeResidual(mbx int) {
	above, left := &e.above[mbx], &e.left
	e.writeBlock(kindY2, blockY2, &above.y2, &left.y2)
	for n := range blockCb {
		e.writeBlock(kindY, n, &above.y[n%4], &left.y[n/4])
	}
	for n := blockCb; n < blockY2; n++ {
		plane := (n - blockCb) / 4
		e.writeBlock(kindUV, n, &above.uv[plane][n%2], &left.uv[plane][n/2%2])
	}
}

// writeBlock writes the tokens of one block and updates its neighbours' context.
func (e *Encoder) writeBlock(kind, n int, above, left *uint8) {
	// The band of each place in the scan; the last is never used.
	bands := [17]uint8{0, 1, 2, 3, 6, 4, 5, 6, 6, 6, 6, 6, 6, 6, 6, 7, 0}
	b, w, probs := &e.blocks[n], &e.tokens, &e.probs[kind]
	first := 0
	if kind == kindY {
		first = 1
	}
	p := &probs[bands[first]][*above+*left]
	*above, *left = 0, 0
	w.bit(p[0], b.end > 0)
	if b.end == 0 {
		return
	}
	*above, *left = 1, 1
	for i := first; i < b.end; i++ {
		level := int(b.levels[i])
		if level == 0 {
			// The end never follows a 0, and is not asked about.
			w.bit(p[1], false)
			p = &probs[bands[i+1]][0]
			continue
		}
		w.bit(p[1], true)
		size := max(level, -level)
		w.size(p, size)
		w.flag(level < 0)
		p = &probs[bands[i+1]][min(size, 2)]
		if i+1 < 16 {
			w.bit(p[0], i+1 < b.end)
		}
	}
}

// size writes a level without its sign, 1 or more: the lower part of the tokens'
// tree, and the extra bits (section 13.2).
func (w *boolWriter) size(p *[11]uint8, v int) {
	w.bit(p[2], v > 1)
	if v == 1 {
		return
	}
	w.bit(p[3], v > 4)
	if v <= 4 {
		w.bit(p[4], v > 2)
		if v > 2 {
			w.bit(p[5], v > 3)
		}
		return
	}
	w.bit(p[6], v > 10)
	if v <= 10 {
		w.bit(p[7], v > 6)
		if v <= 6 {
			w.bit(159, v == 6)
			return
		}
		w.bit(165, v > 8)
		w.bit(145, v&1 == 0)
		return
	}
	w.bit(p[8], v > 34)
	if v <= 34 {
		w.bit(p[9], v > 18)
	} else {
		w.bit(p[10], v > 66)
	}
	w.extra(v)
}

// extra writes how far a level of 11 or more is into its category.
func (w *boolWriter) extra(v int) {
	probs := [11]uint8{254, 254, 243, 230, 196, 177, 153, 140, 133, 130, 129}
	base, n := 67, 11
	switch {
	case v <= 18:
		probs, base, n = [11]uint8{173, 148, 140}, 11, 3
	case v <= 34:
		probs, base, n = [11]uint8{176, 155, 140, 135}, 19, 4
	case v <= 66:
		probs, base, n = [11]uint8{180, 157, 141, 134, 130}, 35, 5
	}
	for i := range n {
		w.bit(probs[i], (v-base)>>(n-1-i)&1 != 0)
	}
}
