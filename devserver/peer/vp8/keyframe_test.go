package vp8

import (
	"bytes"
	"fmt"
	"image"
	"math/rand/v2"
	"testing"

	xvp8 "golang.org/x/image/vp8"
)

// decodeKey decodes a key frame with a decoder that is not ours.
func decodeKey(frame []byte) (*image.YCbCr, error) {
	d := xvp8.NewDecoder()
	d.Init(bytes.NewReader(frame), len(frame))
	if _, err := d.DecodeFrameHeader(); err != nil {
		return nil, err
	}
	return d.DecodeFrame()
}

// sameAs fails unless a decoder's picture is the encoder's reconstruction.
func sameAs(t testing.TB, e *Encoder, decoded *image.YCbCr) {
	t.Helper()
	if got, want := decoded.Rect.Size(), image.Pt(e.width, e.height); got != want {
		t.Fatalf("decoded size %v, want %v", got, want)
	}
	if !bytes.Equal(raw(decoded), raw(e.reconstruction())) {
		t.Fatalf("the decoder's picture is not the encoder's reconstruction (PSNR between them %.1f dB)", psnr(decoded, e.reconstruction()))
	}
}

func TestKeyFrames(t *testing.T) {
	sizes := []image.Point{{16, 16}, {1, 1}, {2, 3}, {15, 17}, {17, 15}, {31, 33}, {64, 48}, {127, 65}, {176, 144}, {321, 7}}
	for _, size := range sizes {
		for name, draw := range drawings(uint64(size.X)) {
			picture := newPicture(size.X, size.Y, draw)
			for _, q := range []int{0, 1, 7, 20, 45, 80, 127} {
				t.Run(fmt.Sprintf("%dx%d/%s/%d", size.X, size.Y, name, q), func(t *testing.T) {
					e := newEncoder(t, size.X, size.Y, q)
					decoded, err := decodeKey(encode(t, e, nil, picture, true))
					if err != nil {
						t.Fatal(err)
					}
					sameAs(t, e, decoded)
				})
			}
		}
	}
}

func TestLargestSizes(t *testing.T) {
	for _, size := range []image.Point{{MaxSize, 9}, {5, MaxSize}} {
		picture := newPicture(size.X, size.Y, drawings(0)["gradient"])
		e := newEncoder(t, size.X, size.Y, 20)
		decoded, err := decodeKey(encode(t, e, nil, picture, true))
		if err != nil {
			t.Fatal(err)
		}
		sameAs(t, e, decoded)
	}
}

// Every quantizer index has its own steps, and a decoder has its own table of them.
func TestEveryQuantizer(t *testing.T) {
	picture := newPicture(80, 64, drawings(3)["random"])
	for q := range MaxQuantizer + 1 {
		e := newEncoder(t, 80, 64, q)
		decoded, err := decodeKey(encode(t, e, nil, picture, true))
		if err != nil {
			t.Fatal(err)
		}
		sameAs(t, e, decoded)
	}
}

func TestQuality(t *testing.T) {
	picture := image.NewYCbCr(image.Rect(0, 0, 640, 480), image.YCbCrSubsampleRatio420)
	movie(picture, 7)
	for _, tt := range []struct {
		name    string
		picture *image.YCbCr
		q       int
		floor   float64 // dB
		most    int     // bytes
	}{
		{"bars", picture, 0, 70, 11000},
		{"bars", picture, 20, 50, 8000},
		{"bars", picture, 60, 43, 5500},
		{"gradient", newPicture(640, 480, drawings(0)["gradient"]), 20, 44, 100000},
		{"text", newPicture(640, 480, drawings(0)["text"]), 20, 40, 260000},
		{"random", newPicture(640, 480, drawings(0)["random"]), 0, 48, 1150000},
		{"random", newPicture(640, 480, drawings(0)["random"]), 127, 14, 110000},
	} {
		e := newEncoder(t, 640, 480, tt.q)
		size := len(encode(t, e, nil, tt.picture, true))
		db := psnr(tt.picture, e.reconstruction())
		t.Logf("%s, quantizer %d: %.1f dB, %d bytes", tt.name, tt.q, db, size)
		if db < tt.floor || size > tt.most {
			t.Errorf("%s, quantizer %d: %.1f dB and %d bytes; want at least %g dB and at most %d bytes", tt.name, tt.q, db, size, tt.floor, tt.most)
		}
	}
}

// A picture that is a part of a larger one has another stride.
func TestPartOfALargerPicture(t *testing.T) {
	whole := newPicture(100, 90, drawings(5)["random"])
	part := whole.SubImage(image.Rect(10, 20, 61, 73)).(*image.YCbCr)
	e := newEncoder(t, 51, 53, 10)
	decoded, err := decodeKey(encode(t, e, nil, part, true))
	if err != nil {
		t.Fatal(err)
	}
	sameAs(t, e, decoded)
	if db := psnr(part, decoded); db < 30 {
		t.Errorf("PSNR %.1f dB: it is another part", db)
	}
}

func FuzzKeyFrame(f *testing.F) {
	f.Add(uint8(16), uint8(16), uint8(20), []byte("some samples"))
	f.Add(uint8(1), uint8(70), uint8(0), []byte{0, 255})
	f.Add(uint8(33), uint8(5), uint8(127), []byte{})
	f.Fuzz(func(t *testing.T, width, height, q uint8, data []byte) {
		w, h := int(width)%80+1, int(height)%80+1
		e := newEncoder(t, w, h, int(q)%(MaxQuantizer+1))
		r := rand.New(rand.NewPCG(uint64(len(data)), uint64(q)))
		pictures := make([]*image.YCbCr, 3)
		for i := range pictures {
			pictures[i] = newPicture(w, h, func(plane, x, y int) uint8 {
				if len(data) == 0 {
					return 77
				}
				at := plane*7 + y*w + x
				return data[(at+i*(at%5))%len(data)] ^ uint8(r.Uint32()&1)*data[0]
			})
		}
		if len(data) > 1 && data[1]&1 != 0 {
			e.SetLimit(int(data[0]) + 1)
		}
		// The inter frame between is not decoded here, but must leave things in order.
		encode(t, e, nil, pictures[0], true)
		encode(t, e, nil, pictures[1], false)
		decoded, err := decodeKey(encode(t, e, nil, pictures[2], true))
		if err != nil {
			t.Fatal(err)
		}
		sameAs(t, e, decoded)
	})
}
