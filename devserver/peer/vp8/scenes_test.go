package vp8

import (
	"crypto/sha256"
	"encoding/binary"
	"image"
	"math/rand/v2"
	"testing"
)

// ivf puts frames into the file format that ffmpeg reads, 25 each second.
func ivf(width, height int, frames [][]byte) []byte {
	out := append([]byte("DKIF\x00\x00\x20\x00VP80"), make([]byte, 20)...)
	binary.LittleEndian.PutUint16(out[12:], uint16(width))
	binary.LittleEndian.PutUint16(out[14:], uint16(height))
	binary.LittleEndian.PutUint32(out[16:], 25)
	binary.LittleEndian.PutUint32(out[20:], 1)
	binary.LittleEndian.PutUint32(out[24:], uint32(len(frames)))
	for i, f := range frames {
		out = binary.LittleEndian.AppendUint32(out, uint32(len(f)))
		out = binary.LittleEndian.AppendUint64(out, uint64(i))
		out = append(out, f...)
	}
	return out
}

// A scene is a sequence of pictures and what is asked of the encoder for it.
type scene struct {
	name                     string
	width, height, quantizer int
	frames                   int
	keyEvery                 int // frames; 0 for the first frame only
	limit                    func(n int) int
	draw                     func(p *image.YCbCr, n int)
}

func scenes() []scene {
	r := rand.New(rand.NewPCG(6, 386))
	noise := func(p *image.YCbCr, _ int) {
		for _, pl := range planesOf(p) {
			for i := range pl.pix {
				pl.pix[i] = uint8(r.Uint32())
			}
		}
	}
	// Macroblocks here and there become flat, striped or noise, and so intra.
	patches := func(p *image.YCbCr, n int) {
		if n == 0 {
			movie(p, 0)
		}
		for range r.IntN(12) {
			x, y, kind, v := r.IntN(p.Rect.Dx()), r.IntN(p.Rect.Dy()), r.IntN(3), uint8(r.Uint32())
			for i, pl := range planesOf(p) {
				shift := min(i, 1)
				for dy := range min(24>>shift, pl.height-y>>shift) {
					for dx := range min(24>>shift, pl.width-x>>shift) {
						s := [3]uint8{v, v ^ uint8(dx&4*40), uint8(r.Uint32())}[kind]
						pl.pix[(y>>shift+dy)*pl.stride+x>>shift+dx] = s
					}
				}
			}
		}
	}
	unlimited := func(int) int { return 0 }
	return []scene{
		{"moving block", 192, 144, 20, 1100, 400, unlimited, movie},
		{"finest", 176, 144, 0, 100, 0, unlimited, movie},
		{"coarsest", 176, 144, 127, 100, 0, unlimited, movie},
		{"odd size", 93, 117, 30, 200, 60, unlimited, patches},
		{"patches", 160, 128, 12, 150, 0, unlimited, patches},
		{"noise", 65, 47, 5, 100, 10, unlimited, noise},
		{"one macroblock", 16, 16, 10, 100, 0, unlimited, patches},
		{"one pixel", 1, 1, 10, 20, 5, unlimited, noise},
		{"limited", 192, 144, 8, 300, 100, func(n int) int { return [4]int{800, 400, 2500, 0}[n/60%4] }, movie},
		{"limited patches", 160, 128, 4, 150, 50, func(n int) int { return 600 + n }, patches},
	}
}

// encodeScene returns the frames as a file, and the digests of what a decoder must
// show.
func encodeScene(t testing.TB, s scene) (file []byte, want [][sha256.Size]byte) {
	t.Helper()
	var frames [][]byte
	e := newEncoder(t, s.width, s.height, s.quantizer)
	p := image.NewYCbCr(image.Rect(0, 0, s.width, s.height), image.YCbCrSubsampleRatio420)
	intra, bytes := 0, 0
	for n := range s.frames {
		s.draw(p, n)
		e.SetLimit(s.limit(n))
		key := s.keyEvery > 0 && n%s.keyEvery == 0
		frames = append(frames, encode(t, e, nil, p, key))
		bytes += len(frames[n])
		want = append(want, sha256.Sum256(raw(e.reconstruction())))
		if n > 0 && !key {
			for _, m := range e.modes {
				if !m.inter {
					intra++
				}
			}
		}
	}
	t.Logf("%s: %d frames of %d bytes on average, %d intra macroblocks in inter frames, the last has %.1f dB",
		s.name, s.frames, bytes/s.frames, intra, psnr(p, e.reconstruction()))
	return ivf(s.width, s.height, frames), want
}
