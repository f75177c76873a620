package vp8

// A mode is how a macroblock is coded.
type mode struct {
	inter bool // predicted by the last frame (ZEROMV), not by its neighbours (DC_PRED)
	empty bool // its residual is all 0, and none of it is written (mb_skip_coeff)
	coded bool // its source was looked at, not just left as it was
}

// Where a macroblock's residual is in Encoder.blocks.
const (
	blockCb    = 16 // after 16 of Y
	blockCr    = 20
	blockY2    = 24 // the first coefficients of Y
	blockCount = 25
)

// macroblock chooses a prediction, writes the tokens of what is left, and makes the
// reconstruction. In an inter frame current holds the last frame's samples there.
func (e *Encoder) macroblock(mbx, mby int) {
	i := mby*e.mbw + mbx
	m := &e.modes[i]
	*m = mode{inter: !e.key, coded: e.key || e.changed[i] || e.refine(i)}
	m.empty = !m.coded
	if m.coded {
		e.predict(m, mbx, mby)
		m.empty = !e.residual(mbx, mby)
	}
	if m.empty {
		e.left, e.above[mbx] = edge{}, edge{}
		return
	}
	e.writeResidual(mbx)
	e.reconstruct(mbx, mby)
}

// refine reports whether a macroblock whose source has not changed is coded
// nevertheless, because a limit had made it coarse and half of this frame is free.
func (e *Encoder) refine(i int) bool {
	room := e.rate.limit == 0 || len(e.tokens.out) < e.rate.limit/2
	return room && int(e.fineness[i]) > e.q
}

// predict puts the macroblock's prediction into current: in an inter frame that of
// the two that is nearer to the source.
func (e *Encoder) predict(m *mode, mbx, mby int) {
	var mean [3]uint8
	var byMean, byLast int
	for i, p := range e.current {
		s := side(i)
		mean[i] = p.mean(mbx*s, mby*s, s)
		if m.inter {
			at := mby*s*p.stride + mbx*s
			source := e.source[i].pix[at:]
			byMean += distanceToMean(source, mean[i], p.stride, s)
			byLast += distance(source, p.pix[at:], p.stride, s)
		}
	}
	if m.inter && byLast <= byMean {
		return // it is there
	}
	m.inter = false
	for i, p := range e.current {
		s := side(i)
		for y := range s {
			row := p.pix[(mby*s+y)*p.stride+mbx*s:][:s]
			for x := range row {
				row[x] = mean[i]
			}
		}
	}
}

// mean is the prediction DC_PRED (RFC 6386 section 12.2) of the s times s samples
// at x, y: the mean of the row above and the column to the left, those that exist.
func (p plane) mean(x, y, s int) uint8 {
	sum, n := 0, 0
	if y > 0 {
		for _, v := range p.pix[(y-1)*p.stride+x:][:s] {
			sum += int(v)
		}
		n += s
	}
	if x > 0 {
		for i := range s {
			sum += int(p.pix[(y+i)*p.stride+x-1])
		}
		n += s
	}
	if n == 0 {
		return 128
	}
	return uint8((sum + n/2) / n)
}

// distance is the sum of the absolute differences of s times s samples.
func distance(a, b []byte, stride, s int) int {
	sum := 0
	for y := range s {
		rowA, rowB := a[y*stride:][:s], b[y*stride:][:s]
		for x := range rowA {
			d := int(rowA[x]) - int(rowB[x])
			sum += max(d, -d)
		}
	}
	return sum
}

// distanceToMean is distance where b is the same everywhere.
func distanceToMean(a []byte, mean uint8, stride, s int) int {
	sum := 0
	for y := range s {
		for _, v := range a[y*stride:][:s] {
			d := int(v) - int(mean)
			sum += max(d, -d)
		}
	}
	return sum
}

// residual fills blocks with what the prediction in current leaves of the source,
// quantized. It reports whether anything is left.
func (e *Encoder) residual(mbx, mby int) bool {
	any := false
	y2 := &e.blocks[blockY2]
	for n := range blockY2 {
		b := &e.blocks[n]
		p, source, stride := e.blockAt(n, mbx, mby)
		forwardDCT(&b.coeffs, source, p, stride)
		if n < blockCb {
			y2.coeffs[n] = b.coeffs[0]
			b.quantize(&e.steps.y, 1)
		} else {
			b.quantize(&e.steps.uv, 0)
		}
		any = any || b.end > 0
	}
	forwardWHT(&y2.coeffs)
	y2.quantize(&e.steps.y2, 0)
	return any || y2.end > 0
}

// reconstruct adds the residual in blocks, as a decoder has it, to the prediction.
func (e *Encoder) reconstruct(mbx, mby int) {
	y2 := &e.blocks[blockY2]
	inverseWHT(&y2.coeffs)
	for n := range blockY2 {
		b := &e.blocks[n]
		if n < blockCb {
			b.coeffs[0] = y2.coeffs[n]
		}
		p, _, stride := e.blockAt(n, mbx, mby)
		switch {
		case b.end > 1:
			addInverseDCT(&b.coeffs, p, stride)
		case b.coeffs[0] != 0:
			addDC(b.coeffs[0], p, stride)
		}
	}
}

// blockAt is where block n of a macroblock begins in current and in source.
func (e *Encoder) blockAt(n, mbx, mby int) (current, source []byte, stride int) {
	i, x, y := 0, 16*mbx+n%4*4, 16*mby+n/4*4
	if n >= blockCb {
		i, x, y = 1+(n-blockCb)/4, 8*mbx+n%2*4, 8*mby+n/2%2*4
	}
	stride = e.current[i].stride
	at := y*stride + x
	return e.current[i].pix[at:], e.source[i].pix[at:], stride
}
