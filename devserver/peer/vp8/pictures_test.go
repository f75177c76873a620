package vp8

import (
	"image"
	"math"
	"math/rand/v2"
	"testing"
)

// newPicture makes a picture whose luma and chroma are what draw says, for each
// sample by its place in the plane (0 is Y).
func newPicture(width, height int, draw func(plane, x, y int) uint8) *image.YCbCr {
	p := image.NewYCbCr(image.Rect(0, 0, width, height), image.YCbCrSubsampleRatio420)
	for i, pl := range planesOf(p) {
		for y := range pl.height {
			for x := range pl.width {
				pl.pix[y*pl.stride+x] = draw(i, x, y)
			}
		}
	}
	return p
}

type samples struct {
	pix                   []byte
	stride, width, height int
}

func planesOf(p *image.YCbCr) [3]samples {
	w, h := p.Rect.Dx(), p.Rect.Dy()
	return [3]samples{
		{p.Y, p.YStride, w, h},
		{p.Cb, p.CStride, (w + 1) / 2, (h + 1) / 2},
		{p.Cr, p.CStride, (w + 1) / 2, (h + 1) / 2},
	}
}

// drawings are the pictures that every size and quantizer is tried with.
func drawings(seed uint64) map[string]func(plane, x, y int) uint8 {
	r := rand.New(rand.NewPCG(seed, 1))
	return map[string]func(plane, x, y int) uint8{
		"flat":     func(plane, _, _ int) uint8 { return [3]uint8{200, 90, 160}[plane] },
		"black":    func(int, int, int) uint8 { return 0 },
		"white":    func(int, int, int) uint8 { return 255 },
		"gradient": func(plane, x, y int) uint8 { return uint8(3*x + 2*y + 40*plane) },
		"random":   func(int, int, int) uint8 { return uint8(r.Uint32()) },
		"extremes": func(int, int, int) uint8 { return uint8(r.Uint32()&1) * 255 },
		"checks":   func(_, x, y int) uint8 { return uint8((x^y)&1) * 255 },
		"blocks":   func(_, x, y int) uint8 { return uint8((x/4^y/4)&1) * 255 },
		"text": func(plane, x, y int) uint8 {
			if plane == 0 && y%12 < 9 && (x*7+y/3*5+x/6*11)%5 < 2 {
				return 16
			}
			return [3]uint8{235, 128, 128}[plane]
		},
	}
}

// movie draws frame n of colour bars with a moving block and a strip of changing
// marks into p, as the test peer's picture is.
func movie(p *image.YCbCr, n int) {
	w, h := p.Rect.Dx(), p.Rect.Dy()
	bx, by := n*5%max(w-w/8, 1), n*3%max(h-h/8, 1)
	bars := [8][3]uint8{{235, 128, 128}, {210, 16, 146}, {170, 166, 16}, {145, 54, 34},
		{106, 202, 222}, {81, 90, 240}, {41, 240, 110}, {16, 128, 128}}
	for i, pl := range planesOf(p) {
		shift := min(i, 1)
		for y := range pl.height {
			row := pl.pix[y*pl.stride:][:pl.width]
			for x := range row {
				px, py := x<<shift, y<<shift
				switch {
				case px >= bx && px < bx+w/8 && py >= by && py < by+h/8:
					row[x] = [3]uint8{uint8(60 + 2*(px-bx)), 200, 60}[i]
				case py >= h-h/16 && (n>>(px*16/w))&1 != 0:
					row[x] = [3]uint8{16, 128, 128}[i]
				default:
					row[x] = bars[px*8/w][i]
				}
			}
		}
	}
}

// reconstruction is the part of the last frame that a viewer sees.
func (e *Encoder) reconstruction() *image.YCbCr {
	return &image.YCbCr{
		Y: e.last[0].pix, Cb: e.last[1].pix, Cr: e.last[2].pix,
		YStride: e.last[0].stride, CStride: e.last[1].stride,
		SubsampleRatio: image.YCbCrSubsampleRatio420,
		Rect:           image.Rect(0, 0, e.width, e.height),
	}
}

// raw is the picture as ffmpeg's rawvideo has it: its planes without padding.
func raw(p *image.YCbCr) []byte {
	var out []byte
	for _, pl := range planesOf(p) {
		for y := range pl.height {
			out = append(out, pl.pix[y*pl.stride:][:pl.width]...)
		}
	}
	return out
}

// psnr compares two pictures over all their samples, in dB.
func psnr(a, b *image.YCbCr) float64 {
	ra, rb := raw(a), raw(b)
	sum := 0.0
	for i := range ra {
		d := float64(ra[i]) - float64(rb[i])
		sum += d * d
	}
	return 10 * math.Log10(255*255*float64(len(ra))/max(sum, 1e-9))
}

func newEncoder(t testing.TB, width, height, quantizer int) *Encoder {
	t.Helper()
	e, err := NewEncoder(width, height, quantizer)
	if err != nil {
		t.Fatal(err)
	}
	return e
}

func encode(t testing.TB, e *Encoder, dst []byte, p *image.YCbCr, key bool) []byte {
	t.Helper()
	out, err := e.Encode(dst, p, key)
	if err != nil {
		t.Fatal(err)
	}
	return out
}
