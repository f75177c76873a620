package vp8

// appendHeader appends the frame's tag, its header and the modes of its
// macroblocks: all but the tokens.
func (e *Encoder) appendHeader(dst []byte) []byte {
	tag := len(dst)
	dst = append(dst, 0, 0, 0)
	if e.key {
		// The start code, then both sizes without upscaling (section 9.1).
		dst = append(dst, 0x9d, 0x01, 0x2a, byte(e.width), byte(e.width>>8), byte(e.height), byte(e.height>>8))
	}
	first := len(dst)
	var w boolWriter
	w.reset(dst)
	e.writeFrameHeader(&w)
	e.writeModes(&w)
	dst = w.finish()

	// An inter frame or not, version 0, shown, and the first partition's size.
	v := (len(dst)-first)<<5 | 1<<4
	if !e.key {
		v |= 1
	}
	dst[tag], dst[tag+1], dst[tag+2] = byte(v), byte(v>>8), byte(v>>16)
	return dst
}

// writeFrameHeader writes the frame header of RFC 6386 section 9.2 and on (as a
// whole in section 19.2) up to the probabilities of the tokens.
func (e *Encoder) writeFrameHeader(w *boolWriter) {
	if e.key {
		w.literal(1, 0) // color_space: the only one there is
		w.literal(1, 0) // clamping_type: samples must be clamped
	}
	w.literal(1, 0)   // segmentation_enabled
	w.literal(1, 0)   // filter_type
	w.literal(6, 0)   // loop_filter_level: none
	w.literal(3, 0)   // sharpness_level
	w.literal(1, 0)   // loop_filter_adj_enable
	w.literal(2, 0)   // log2_nbr_of_dct_partitions
	w.literal(7, e.q) // y_ac_qi
	w.literal(5, 0)   // none of the five other indices differs from it
	if !e.key {
		w.literal(2, 0) // refresh_golden_frame, refresh_alternate_frame
		w.literal(4, 0) // nothing is copied to them either
		w.literal(2, 0) // sign_bias_golden, sign_bias_alternate
	}
	w.literal(1, 1) // refresh_entropy_probs: nothing ever changes them
	if !e.key {
		w.literal(1, 1) // refresh_last
	}
	stay := coeffUpdateProbs()
	for i := range stay {
		for j := range stay[i] {
			for k := range stay[i][j] {
				for _, p := range stay[i][j][k] {
					w.bit(p, false)
				}
			}
		}
	}
}

// writeModes writes the rest of the frame header, which is about the macroblocks,
// and the header of each (section 19.3).
func (e *Encoder) writeModes(w *boolWriter) {
	full, intra := 0, 0
	for _, m := range e.modes {
		if !m.empty {
			full++
		}
		if !m.inter {
			intra++
		}
	}
	probFull, probIntra := e.share(full), e.share(intra)
	w.literal(1, 1) // mb_no_coeff_skip
	w.literal(8, int(probFull))
	if e.key {
		for _, m := range e.modes {
			w.bit(probFull, m.empty)
			w.bit(145, true) // key_frame_ymode: DC_PRED, by the probabilities of section 11.2
			w.bit(156, false)
			w.bit(163, false)
			w.bit(142, false) // uv_mode: DC_PRED
		}
		return
	}
	w.literal(8, int(probIntra))
	w.literal(8, probLast)
	w.literal(8, 128) // prob_gf, never used
	w.literal(2, 0)   // the probabilities of the intra modes stay, those of Y and of chroma
	keepVectorProbs(w)
	for i, m := range e.modes {
		w.bit(probFull, m.empty)
		w.bit(probIntra, m.inter)
		if m.inter {
			w.bit(probLast, false)        // the reference is the last frame
			w.bit(e.probZeroMV(i), false) // ZEROMV
		} else {
			w.bit(112, false) // ymode: DC_PRED, by the probabilities of section 16.1
			w.bit(162, false) // uv_mode: DC_PRED
		}
	}
}

// probLast is the probability that the reference is the last frame: it always is.
const probLast = 255

// share is n of all macroblocks as a probability.
func (e *Encoder) share(n int) uint8 {
	return uint8(min(max(256*n/len(e.modes), 1), 255))
}

// keepVectorProbs leaves the probabilities of motion vectors as they are (section
// 17.2, mv_update_probs).
func keepVectorProbs(w *boolWriter) {
	for _, p := range [2 * 19]uint8{
		237, 246, 253, 253, 254, 254, 254, 254, 254, 254, 254, 254, 254, 254, 250, 250, 252, 254, 254,
		231, 243, 245, 253, 254, 254, 254, 254, 254, 254, 254, 254, 254, 254, 251, 251, 254, 254, 254,
	} {
		w.bit(p, false)
	}
}

// probZeroMV is the probability of ZEROMV for macroblock i. It depends on how many of
// its neighbours above, to the left and diagonally are without motion (section 16.3,
// vp8_mode_contexts). Intra ones do not count, nor those beyond the edges.
func (e *Encoder) probZeroMV(i int) uint8 {
	count := 0
	if i >= e.mbw && e.modes[i-e.mbw].inter {
		count += 2
	}
	if i%e.mbw > 0 {
		if e.modes[i-1].inter {
			count += 2
		}
		if i >= e.mbw && e.modes[i-e.mbw-1].inter {
			count++
		}
	}
	return [6]uint8{7, 14, 135, 60, 159, 234}[count]
}
