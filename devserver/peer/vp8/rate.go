package vp8

// The kinds of frames, whose sizes have nothing to do with each other.
const (
	interFrame = 0
	keyFrame   = 1
)

// A rate chooses the quantizer of each frame so that it fits.
type rate struct {
	finest int    // the finest index that may be used
	limit  int    // bytes for each frame, 0 for as many as it takes
	next   [2]int // the index to try first, by the kind of frame
}

// first is the index to try for a frame.
func (r *rate) first(kind int) int {
	if r.limit == 0 {
		return r.finest
	}
	return max(r.finest, r.next[kind])
}

// fits reports whether a frame of size bytes may be sent.
func (r *rate) fits(size int) bool { return r.limit == 0 || size <= r.limit }

// coarser is the index to try after q gave too large a frame: the step grows as
// the size has to shrink, which is a little less than enough, and by 4 indices at
// least, so that a few tries do.
func (r *rate) coarser(q, size int) int {
	step := int64(acStep(q)) * int64(size) / int64(r.limit)
	q += 4
	for q < MaxQuantizer && int64(acStep(q)) < step {
		q++
	}
	return min(q, MaxQuantizer)
}

// settle learns from the frame that was taken: the next one begins as coarse, or
// finer if there was room.
func (r *rate) settle(kind, q, size int) {
	if size < r.limit*3/4 {
		q -= 4
	}
	r.next[kind] = q
}
