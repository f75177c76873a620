package peer

import (
	"bytes"
	"image"
	"testing"
	"time"

	xvp8 "golang.org/x/image/vp8"

	"rtcdev/devserver/peer/vp8"
)

// times are moments whose low 32 bits of milliseconds have everything in them.
func times() []time.Time {
	now := time.Date(2026, 11, 22, 9, 8, 7, 654e6, time.UTC)
	list := []time.Time{now, time.UnixMilli(0), time.UnixMilli(1<<32 - 1), time.UnixMilli(1 << 32)}
	for i := range 60 {
		list = append(list, now.Add(time.Duration(i)*33*time.Millisecond))
	}
	return list
}

func TestTimestamp(t *testing.T) {
	p := newPicture()
	for _, at := range times() {
		p.draw(at)
		got, ok := ReadTimestamp(p.img, at.Add(20*24*time.Hour))
		if !ok || !got.Equal(at.Truncate(time.Millisecond)) {
			t.Fatalf("%v was read back as %v, %v", at, got, ok)
		}
	}
}

// What a decoder that knows nothing of our encoder shows has the time in it.
func TestTimestampAfterCoding(t *testing.T) {
	for _, quantizer := range []int{quantizer, vp8.MaxQuantizer} {
		encoder, err := vp8.NewEncoder(pictureWidth, pictureHeight, quantizer)
		if err != nil {
			t.Fatal(err)
		}
		p := newPicture()
		for _, at := range times() {
			p.draw(at)
			frame, err := encoder.Encode(nil, p.img, true)
			if err != nil {
				t.Fatal(err)
			}
			got, ok := ReadTimestamp(decode(t, frame), at)
			if !ok || !got.Equal(at.Truncate(time.Millisecond)) {
				t.Fatalf("quantizer %d: %v was read back as %v, %v", quantizer, at, got, ok)
			}
		}
	}
}

// decode shows a key frame with golang.org/x/image/vp8.
func decode(t *testing.T, frame []byte) *image.YCbCr {
	t.Helper()
	d := xvp8.NewDecoder()
	d.Init(bytes.NewReader(frame), len(frame))
	if _, err := d.DecodeFrameHeader(); err != nil {
		t.Fatal(err)
	}
	img, err := d.DecodeFrame()
	if err != nil {
		t.Fatal(err)
	}
	return img
}

func TestNoTimestamp(t *testing.T) {
	p := newPicture()
	if got, ok := ReadTimestamp(p.img, time.Now()); ok {
		t.Errorf("a picture without the time says %v", got)
	}
	p.draw(time.UnixMilli(1234567890123))
	p.fill(image.Rect(5*timeBlock, timeTop, 6*timeBlock, pictureHeight), colour{130, 128, 128})
	p.img.Y[p.img.YOffset(5*timeBlock+timeBlock/2, 456)] = black
	p.fill(image.Rect(6*timeBlock, timeTop, 7*timeBlock, pictureHeight), colour{black, 128, 128})
	p.fill(image.Rect(7*timeBlock, timeTop, 8*timeBlock, pictureHeight), colour{black, 128, 128})
	if got, ok := ReadTimestamp(p.img, time.Now()); ok {
		t.Errorf("a damaged picture says %v", got)
	}
	small := image.NewYCbCr(image.Rect(0, 0, 320, 240), image.YCbCrSubsampleRatio420)
	if _, ok := ReadTimestamp(small, time.Now()); ok {
		t.Error("a picture of another size says a time")
	}
}

// What is drawn onto the picture of before is what is drawn onto a new one.
func TestDrawOnlyChanges(t *testing.T) {
	old := newPicture()
	for _, at := range times() {
		old.draw(at)
		fresh := newPicture()
		fresh.draw(at)
		if !bytes.Equal(old.img.Y, fresh.img.Y) || !bytes.Equal(old.img.Cb, fresh.img.Cb) || !bytes.Equal(old.img.Cr, fresh.img.Cr) {
			t.Fatalf("at %v the picture depends on the one before", at)
		}
	}
	// The bars, the block and the clock's colon are where they should be.
	for _, want := range []struct {
		x, y int
		c    colour
	}{{40, 10, bars[0]}, {120, 200, bars[1]}, {440, 287, bars[5]}, {0, clockTop, colour{black, 128, 128}}} {
		c := old.img.YCbCrAt(want.x, want.y)
		if got := (colour{c.Y, c.Cb, c.Cr}); got != want.c {
			t.Errorf("at %d,%d is %v, not %v", want.x, want.y, got, want.c)
		}
	}
	middle := old.block.Min.Add(image.Pt(24, 24))
	if got := old.img.YCbCrAt(middle.X, middle.Y).Y; got != white {
		t.Errorf("the block is %d, not white", got)
	}
}
