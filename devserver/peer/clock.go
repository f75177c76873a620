package peer

import (
	"image"
	"time"
)

// segments tells which of the seven segments a digit lights: bit 0 is the top one (a),
// then clockwise (b to f), and bit 6 the middle one (g).
var segments = [10]byte{0x3f, 0x06, 0x5b, 0x4f, 0x66, 0x6d, 0x7d, 0x07, 0x7f, 0x6f}

const (
	digitWidth  = 32 // pixels, as are those below
	digitHeight = 60
	digitStep   = 48
	stroke      = 6
	clockWidth  = 10 * digitStep // of HH:MM:SS.t
)

// segmentRects are the seven segments of a digit at the origin.
var segmentRects = [7]image.Rectangle{
	image.Rect(0, 0, digitWidth, stroke),
	image.Rect(digitWidth-stroke, 0, digitWidth, digitHeight/2),
	image.Rect(digitWidth-stroke, digitHeight/2, digitWidth, digitHeight),
	image.Rect(0, digitHeight-stroke, digitWidth, digitHeight),
	image.Rect(0, digitHeight/2, stroke, digitHeight),
	image.Rect(0, 0, stroke, digitHeight/2),
	image.Rect(0, digitHeight/2-2, digitWidth, digitHeight/2+4),
}

// drawClock draws the time of day (UTC), to a tenth of a second.
func (p *picture) drawClock(t time.Time) {
	text := t.UTC().Format("15:04:05.0")
	for i := range len(text) {
		if i < len(p.shown) && p.shown[i] == text[i] {
			continue
		}
		at := image.Pt((pictureWidth-clockWidth)/2+i*digitStep, clockTop+10)
		p.fill(image.Rect(0, 0, digitStep, digitHeight).Add(at), colour{black, 128, 128})
		for _, r := range glyph(text[i]) {
			p.fill(r.Add(at), colour{white, 128, 128})
		}
	}
	p.shown = text
}

// glyph returns what a character of the clock lights.
func glyph(c byte) []image.Rectangle {
	lower := image.Rect(12, digitHeight-16, 20, digitHeight-8)
	switch c {
	case '.':
		return []image.Rectangle{lower}
	case ':':
		return []image.Rectangle{lower.Sub(image.Pt(0, 28)), lower}
	}
	var lit []image.Rectangle
	for i, r := range segmentRects {
		if segments[c-'0']>>i&1 == 1 {
			lit = append(lit, r)
		}
	}
	return lit
}
