package vp8

import (
	"bytes"
	"errors"
	"image"
	"slices"
	"testing"
)

func TestNewEncoderRefuses(t *testing.T) {
	for _, tt := range [][3]int{{0, 16, 20}, {16, 0, 20}, {-1, 16, 20}, {MaxSize + 1, 16, 20}, {16, MaxSize + 1, 20}, {16, 16, -1}, {16, 16, 128}} {
		if e, err := NewEncoder(tt[0], tt[1], tt[2]); err == nil || e != nil {
			t.Errorf("NewEncoder(%d, %d, %d): no error", tt[0], tt[1], tt[2])
		}
	}
}

func TestEncodeRefuses(t *testing.T) {
	good := func() *image.YCbCr { return newPicture(33, 18, drawings(0)["gradient"]) }
	change := func(f func(p *image.YCbCr)) *image.YCbCr {
		p := good()
		f(p)
		return p
	}
	e := newEncoder(t, 33, 18, 10)
	encode(t, e, nil, good(), true)
	before := raw(e.reconstruction())
	for name, p := range map[string]*image.YCbCr{
		"another size":   newPicture(32, 18, drawings(0)["black"]),
		"4:4:4":          image.NewYCbCr(image.Rect(0, 0, 33, 18), image.YCbCrSubsampleRatio444),
		"odd beginning":  newPicture(40, 40, drawings(0)["black"]).SubImage(image.Rect(1, 2, 34, 20)).(*image.YCbCr),
		"short luma":     change(func(p *image.YCbCr) { p.Y = p.Y[:len(p.Y)-1] }),
		"short chroma":   change(func(p *image.YCbCr) { p.Cr = p.Cr[:len(p.Cr)-1] }),
		"no chroma":      change(func(p *image.YCbCr) { p.Cb = nil }),
		"small stride":   change(func(p *image.YCbCr) { p.YStride = 32 }),
		"minus stride":   change(func(p *image.YCbCr) { p.CStride = -1 }),
		"nothing at all": {},
	} {
		out, err := e.Encode([]byte("kept"), p, false)
		if !errors.Is(err, ErrPicture) || string(out) != "kept" {
			t.Errorf("%s: error %v, %q", name, err, out)
		}
	}
	if got := encode(t, e, nil, good(), false); len(got) > 40 {
		t.Errorf("after the refusals the same picture takes %d bytes", len(got))
	}
	if !bytes.Equal(raw(e.reconstruction()), before) {
		t.Error("a refused picture has changed the encoder")
	}
}

func TestKindsOfFrames(t *testing.T) {
	p := newPicture(64, 64, drawings(0)["text"])
	e := newEncoder(t, 64, 64, 10)
	for i, tt := range []struct{ ask, key bool }{{false, true}, {false, false}, {true, true}, {false, false}} {
		frame := encode(t, e, []byte("before"), p, tt.ask)
		if !bytes.HasPrefix(frame, []byte("before")) || frame[6]&1 == 0 != tt.key {
			t.Errorf("frame %d begins with %q; key must be %v", i, frame[:10], tt.key)
		}
	}
}

// What a picture does not change costs hardly any bytes, and one macroblock not
// many more.
func TestUnchangedIsCheap(t *testing.T) {
	p := newPicture(640, 480, drawings(0)["text"])
	e := newEncoder(t, 640, 480, 20)
	encode(t, e, nil, p, true)
	if n := len(encode(t, e, nil, p, false)); n > 60 {
		t.Errorf("an unchanged picture takes %d bytes, want 60 at most", n)
	}
	p.Y[200*p.YStride+300] ^= 0x80
	if n := len(encode(t, e, nil, p, false)); n > 200 {
		t.Errorf("a picture with one changed sample takes %d bytes, want 200 at most", n)
	}
	if count := changed(e); count != 1 {
		t.Errorf("%d macroblocks were looked at, want 1", count)
	}
}

func changed(e *Encoder) (n int) {
	for _, m := range e.modes {
		if m.coded {
			n++
		}
	}
	return n
}

// A change of a single sample at the edge of the picture, or of chroma alone, is seen.
func TestEveryChangeIsSeen(t *testing.T) {
	p := newPicture(35, 21, drawings(0)["gradient"])
	e := newEncoder(t, 35, 21, 5)
	encode(t, e, nil, p, true)
	for i, pl := range planesOf(p) {
		for _, at := range [][2]int{{0, 0}, {pl.width - 1, 0}, {0, pl.height - 1}, {pl.width - 1, pl.height - 1}, {pl.width / 2, pl.height / 2}} {
			pl.pix[at[1]*pl.stride+at[0]] ^= 0x80
			encode(t, e, nil, p, false)
			if count := changed(e); count != 1 {
				t.Errorf("plane %d, sample %v: %d macroblocks were looked at, want 1", i, at, count)
			}
		}
	}
}

// In an inter frame a macroblock is predicted by what is nearer to it: by its
// neighbours where the picture has become flat, else by the last frame.
func TestNearerPrediction(t *testing.T) {
	p := newPicture(64, 64, drawings(0)["text"])
	e := newEncoder(t, 64, 64, 10)
	encode(t, e, nil, p, true)
	for i := range p.Y[:32*p.YStride] { // the upper half
		p.Y[i] = 130
	}
	for i := 32 * p.YStride; i < len(p.Y); i++ {
		p.Y[i] ^= 2
	}
	encode(t, e, nil, p, false)
	for i, m := range e.modes {
		if want := i >= len(e.modes)/2; m.inter != want {
			t.Errorf("macroblock %d: inter is %v, want %v", i, m.inter, want)
		}
	}
}

// What is beyond the picture's edges is as they are, because that costs least.
func TestBeyondTheEdges(t *testing.T) {
	p := newPicture(35, 21, drawings(1)["random"])
	e := newEncoder(t, 35, 21, 20)
	encode(t, e, nil, p, true)
	for i, pl := range planesOf(p) {
		source := e.source[i]
		for at, v := range source.pix {
			x, y := min(at%source.stride, pl.width-1), min(at/source.stride, pl.height-1)
			if want := pl.pix[y*pl.stride+x]; v != want {
				t.Fatalf("plane %d, sample %d,%d is %d, want %d", i, at%source.stride, at/source.stride, v, want)
			}
		}
	}
}

func TestLimit(t *testing.T) {
	const limit = 3000
	e := newEncoder(t, 320, 240, 4)
	e.SetLimit(limit)
	p := image.NewYCbCr(image.Rect(0, 0, 320, 240), image.YCbCrSubsampleRatio420)
	var dst []byte
	for n := range 300 {
		movie(p, n)
		dst = encode(t, e, dst[:0], p, n%50 == 0)
		if len(dst) > limit {
			t.Errorf("frame %d has %d bytes with quantizer %d, limit %d", n, len(dst), e.q, limit)
		}
	}
}

func TestEveryLimitIsKept(t *testing.T) {
	p := newPicture(160, 120, drawings(0)["text"])
	for limit := 4000; limit < 14000; limit += 50 {
		e := newEncoder(t, 160, 120, 4)
		e.SetLimit(limit)
		if n := len(encode(t, e, nil, p, true)); n > limit {
			t.Errorf("%d bytes with quantizer %d, limit %d", n, e.q, limit)
		}
	}
}

// A limit that not even the coarsest quantizer keeps ends the tries there.
func TestImpossibleLimit(t *testing.T) {
	e := newEncoder(t, 160, 120, 0)
	e.SetLimit(10)
	encode(t, e, nil, newPicture(160, 120, drawings(0)["random"]), true)
	if e.q != MaxQuantizer {
		t.Errorf("quantizer %d was taken, want %d", e.q, MaxQuantizer)
	}
}

// A picture that stands still becomes as good as the encoder's quantizer makes it,
// within the limit, and then costs nothing more.
func TestLimitedPictureIsRefined(t *testing.T) {
	const limit = 5000
	p := newPicture(160, 120, drawings(0)["text"])
	unlimited := newEncoder(t, 160, 120, 10)
	encode(t, unlimited, nil, p, true)
	e := newEncoder(t, 160, 120, 10)
	e.SetLimit(limit)
	var sizes []int
	var dbs []float64
	for range 60 {
		sizes = append(sizes, len(encode(t, e, nil, p, false)))
		dbs = append(dbs, psnr(p, e.reconstruction()))
	}
	want := psnr(p, unlimited.reconstruction())
	t.Logf("%.1f dB at first, %.1f dB at last, %.1f dB without a limit; sizes %d", dbs[0], dbs[59], want, sizes)
	if slices.Max(sizes) > limit {
		t.Errorf("a frame has %d bytes, limit %d", slices.Max(sizes), limit)
	}
	if dbs[0] > want-3 || dbs[59] < want-1 {
		t.Errorf("from %.1f to %.1f dB, want well below and then about %.1f", dbs[0], dbs[59], want)
	}
	if sizes[59] > 40 {
		t.Errorf("the last frame still has %d bytes", sizes[59])
	}
}

func TestNoAllocations(t *testing.T) {
	p := [2]*image.YCbCr{newPicture(160, 120, drawings(1)["text"]), newPicture(160, 120, drawings(2)["random"])}
	for _, limit := range []int{0, 2000} {
		e := newEncoder(t, 160, 120, 10)
		e.SetLimit(limit)
		var dst []byte
		n := 0
		step := func() {
			dst = encode(t, e, dst[:0], p[n/2%2], n%7 == 0)
			n++
		}
		for range 28 {
			step()
		}
		if allocs := testing.AllocsPerRun(100, step); allocs != 0 {
			t.Errorf("%g allocations for each frame with limit %d, want none", allocs, limit)
		}
	}
}
