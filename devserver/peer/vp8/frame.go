package vp8

import (
	"bytes"
	"fmt"
	"image"
)

// A plane is Y, Cb or Cr of a frame, as wide and high as whole macroblocks are.
type plane struct {
	pix    []byte
	stride int
}

// A frame is its planes Y, Cb and Cr.
type frame [3]plane

// side is how many samples of plane i a macroblock is wide and high.
func side(i int) int {
	if i == 0 {
		return 16
	}
	return 8
}

func newFrame(mbw, mbh int) frame {
	var f frame
	for i := range f {
		f[i] = plane{pix: make([]byte, mbw*mbh*side(i)*side(i)), stride: mbw * side(i)}
	}
	return f
}

func (f *frame) copyFrom(from *frame) {
	for i := range f {
		copy(f[i].pix, from[i].pix)
	}
}

// check says why a picture cannot be encoded.
func (e *Encoder) check(p *image.YCbCr) error {
	switch size := p.Rect.Size(); {
	case p.SubsampleRatio != image.YCbCrSubsampleRatio420:
		return fmt.Errorf("%w: its chroma is sampled as %v, but VP8 has 4:2:0 only", ErrPicture, p.SubsampleRatio)
	case size != image.Pt(e.width, e.height):
		return fmt.Errorf("%w: it has %dx%d pixels, but the encoder was made for %dx%d", ErrPicture, size.X, size.Y, e.width, e.height)
	case p.Rect.Min.X&1 != 0 || p.Rect.Min.Y&1 != 0:
		return fmt.Errorf("%w: it begins at %v, in the middle of a chroma sample; begin at even coordinates", ErrPicture, p.Rect.Min)
	}
	for i, have := range [3][]byte{p.Y, p.Cb, p.Cr} {
		w, h, stride := e.width, e.height, p.YStride
		if i > 0 {
			w, h, stride = (w+1)/2, (h+1)/2, p.CStride
		}
		if stride < w || len(have) < (h-1)*stride+w {
			return fmt.Errorf("%w: plane %d holds %d samples with a stride of %d, too few for %dx%d", ErrPicture, i, len(have), stride, w, h)
		}
	}
	return nil
}

// load takes the picture as the new source, and notes which macroblocks of it have
// changed. Beyond the picture's edges the last column and row are repeated.
func (e *Encoder) load(p *image.YCbCr) {
	pictures := [3]plane{{p.Y, p.YStride}, {p.Cb, p.CStride}, {p.Cr, p.CStride}}
	clear(e.changed)
	for i, from := range pictures {
		s := side(i)
		w, h := e.width, e.height
		if i > 0 {
			w, h = (w+1)/2, (h+1)/2
		}
		to := e.source[i]
		for y := 0; y < h; y += s {
			changed := e.changed[y/s*e.mbw:]
			for x := 0; x < w; x += s {
				if to.update(from, x, y, min(s, w-x), min(s, h-y), s) {
					changed[x/s] = true
				}
			}
		}
	}
}

// update copies w times h samples at x, y, and fills the macroblock up to s times
// s. It reports whether that changed anything.
func (p plane) update(from plane, x, y, w, h, s int) bool {
	row := 0
	for row < h && bytes.Equal(p.pix[(y+row)*p.stride+x:][:w], from.pix[(y+row)*from.stride+x:][:w]) {
		row++
	}
	if row == h {
		return false
	}
	for ; row < h; row++ {
		to := p.pix[(y+row)*p.stride+x:][:s]
		copy(to, from.pix[(y+row)*from.stride+x:][:w])
		for i := w; i < s; i++ {
			to[i] = to[w-1]
		}
	}
	last := p.pix[(y+h-1)*p.stride+x:][:s]
	for ; row < s; row++ {
		copy(p.pix[(y+row)*p.stride+x:][:s], last)
	}
	return true
}
