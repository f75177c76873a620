package peer

import (
	"image"
	"math/bits"
	"time"
)

const (
	pictureWidth  = 640
	pictureHeight = 480
	frameRate     = 30

	// The bands of the picture, from above: bars, clock, block, time. All edges are
	// multiples of 16, so that no macroblock belongs to two.
	clockTop = 288
	blockTop = 368
	timeTop  = 432

	timeBlock = 16 // width of a block of the time in pixels
	timeBits  = 32
	sumBits   = 6

	black, white = 16, 235 // of Y (ITU-R BT.601 §2.5.3)
)

// A colour is Y, Cb and Cr.
type colour [3]byte

// bars are the colours of 75 % bars, from left to right: white, yellow, cyan, green,
// magenta, red, blue, black (ITU-R BT.471, the values of BT.601).
var bars = [8]colour{
	{180, 128, 128}, {162, 44, 142}, {131, 156, 44}, {112, 72, 58},
	{84, 184, 198}, {65, 100, 212}, {35, 212, 114}, {16, 128, 128},
}

// picture draws the test picture.
type picture struct {
	img   *image.YCbCr
	block image.Rectangle // where the moving block is
	shown string          // by the clock
}

func newPicture() *picture {
	p := &picture{img: image.NewYCbCr(image.Rect(0, 0, pictureWidth, pictureHeight), image.YCbCrSubsampleRatio420)}
	p.fill(p.img.Rect, colour{black, 128, 128})
	width := pictureWidth / len(bars)
	for i, c := range bars {
		p.fill(image.Rect(i*width, 0, (i+1)*width, clockTop), c)
	}
	return p
}

// draw brings the picture to the time t. Only what has changed is drawn.
func (p *picture) draw(t time.Time) {
	p.drawClock(t)
	p.drawBlock(t)
	p.drawTime(t)
}

// fill paints r, whose edges are even.
func (p *picture) fill(r image.Rectangle, c colour) {
	p.fillPlane(p.img.Y, p.img.YStride, r, c[0])
	half := image.Rect(r.Min.X/2, r.Min.Y/2, r.Max.X/2, r.Max.Y/2)
	p.fillPlane(p.img.Cb, p.img.CStride, half, c[1])
	p.fillPlane(p.img.Cr, p.img.CStride, half, c[2])
}

func (p *picture) fillPlane(plane []byte, stride int, r image.Rectangle, v byte) {
	for y := r.Min.Y; y < r.Max.Y; y++ {
		row := plane[y*stride+r.Min.X : y*stride+r.Max.X]
		for x := range row {
			row[x] = v
		}
	}
}

// drawBlock moves the block: across the picture in two seconds, and again.
func (p *picture) drawBlock(t time.Time) {
	const size, pause = 48, 2000 // pixels, milliseconds
	x := int(t.UnixMilli()%pause) * (pictureWidth - size) / pause &^ 1
	at := image.Rect(x, blockTop+8, x+size, blockTop+8+size)
	if at == p.block {
		return
	}
	p.fill(p.block, colour{black, 128, 128})
	p.fill(at, colour{white, 128, 128})
	p.block = at
}

// drawTime draws the time for machines; the package comment says how.
func (p *picture) drawTime(t time.Time) {
	ms := uint32(t.UnixMilli())
	code := uint64(2)<<(timeBits+sumBits) | uint64(ms)<<sumBits | uint64(bits.OnesCount32(ms))
	const blocks = 2 + timeBits + sumBits
	for i := range blocks {
		c := colour{black, 128, 128}
		if code>>(blocks-1-i)&1 == 1 {
			c[0] = white
		}
		p.fill(image.Rect(i*timeBlock, timeTop, (i+1)*timeBlock, pictureHeight), c)
	}
}

// ReadTimestamp reads the time out of a test picture of 640 by 480 pixels, as the
// package comment describes it. Of the times that the picture may mean, which are 49.7
// days apart, it returns the one closest to near. It returns false when there is none.
func ReadTimestamp(img *image.YCbCr, near time.Time) (time.Time, bool) {
	if img.Rect.Dx() != pictureWidth || img.Rect.Dy() != pictureHeight {
		return time.Time{}, false
	}
	const blocks = 2 + timeBits + sumBits
	var code uint64
	for i := range blocks {
		x, y := img.Rect.Min.X+i*timeBlock+timeBlock/2, img.Rect.Min.Y+(timeTop+pictureHeight)/2
		code <<= 1
		if img.Y[img.YOffset(x, y)] > (black+white)/2 {
			code |= 1
		}
	}
	ms := uint32(code >> sumBits)
	if code>>(timeBits+sumBits) != 2 || int(code&(1<<sumBits-1)) != bits.OnesCount32(ms) {
		return time.Time{}, false
	}
	n := near.UnixMilli()
	return time.UnixMilli(n + int64(int32(ms-uint32(n)))), true
}
