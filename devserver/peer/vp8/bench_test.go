package vp8

import (
	"image"
	"testing"
)

// pictures are n frames of the movie, so that drawing them is not measured.
func pictures(n int) []*image.YCbCr {
	all := make([]*image.YCbCr, n)
	for i := range all {
		all[i] = image.NewYCbCr(image.Rect(0, 0, 640, 480), image.YCbCrSubsampleRatio420)
		movie(all[i], i)
	}
	return all
}

func benchmark(b *testing.B, quantizer int, key bool, pictures []*image.YCbCr) {
	e := newEncoder(b, 640, 480, quantizer)
	dst := encode(b, e, nil, pictures[len(pictures)-1], true)
	size, n := 0, 0
	b.ReportAllocs()
	for b.Loop() {
		dst = encode(b, e, dst[:0], pictures[n%len(pictures)], key)
		size += len(dst)
		n++
	}
	b.ReportMetric(float64(size)/float64(n), "bytes/frame")
}

func BenchmarkInterFrame(b *testing.B)     { benchmark(b, 20, false, pictures(30)) }
func BenchmarkUnchanged(b *testing.B)      { benchmark(b, 20, false, pictures(1)) }
func BenchmarkKeyFrame(b *testing.B)       { benchmark(b, 20, true, pictures(30)) }
func BenchmarkKeyFrameOfText(b *testing.B) { benchmark(b, 20, true, text()) }

// Every macroblock of these has changed, and has much in it.
func BenchmarkInterFrameOfNoise(b *testing.B) {
	benchmark(b, 20, false, []*image.YCbCr{
		newPicture(640, 480, drawings(1)["random"]), newPicture(640, 480, drawings(2)["random"])})
}

func text() []*image.YCbCr {
	return []*image.YCbCr{newPicture(640, 480, drawings(0)["text"])}
}
