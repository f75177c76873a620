package vp8

import (
	"errors"
	"fmt"
	"image"
)

// ErrPicture is returned for a picture that an Encoder cannot take: another size
// than its own, another sampling than 4:2:0, or too few samples.
var ErrPicture = errors.New("this picture cannot be encoded")

// MaxSize is the largest width and height in pixels. The format's own limit is
// 16383 (RFC 6386 section 9.1); within this one the modes of all macroblocks fit
// the 19 bits that say how long they are.
const MaxSize = 4096

// An Encoder encodes pictures of one size, one after the other. It keeps the last
// source and the last reconstruction: about 4.5 bytes for each pixel.
type Encoder struct {
	width, height int // of the picture, in pixels
	mbw, mbh      int // in macroblocks
	rate          rate
	begun         bool // there is a last frame

	source        frame // what the last picture was
	last, current frame // reconstructions: of the last frame and of this one
	changed       []bool
	modes         []mode
	fineness      []uint8 // the quantizer index that each macroblock of last was coded with

	// Of the frame that is being coded.
	key    bool
	q      int // its quantizer index
	steps  quantizers
	probs  coeffProbs
	tokens boolWriter
	above  []edge // of the row above
	left   edge   // of the macroblock to the left
	blocks [blockCount]block
}

// NewEncoder makes an encoder for pictures of width times height pixels, each from
// 1 to [MaxSize]. The quantizer is an index from 0 (finest) to [MaxQuantizer]
// (coarsest); 20 is a good one for drawn pictures.
func NewEncoder(width, height, quantizer int) (*Encoder, error) {
	if width < 1 || height < 1 || width > MaxSize || height > MaxSize {
		return nil, fmt.Errorf("making a VP8 encoder for %dx%d pixels: width and height must be from 1 to %d", width, height, MaxSize)
	}
	if quantizer < 0 || quantizer > MaxQuantizer {
		return nil, fmt.Errorf("making a VP8 encoder with quantizer %d: it must be from 0 to %d", quantizer, MaxQuantizer)
	}
	mbw, mbh := (width+15)/16, (height+15)/16
	return &Encoder{
		width: width, height: height, mbw: mbw, mbh: mbh,
		rate:     rate{finest: quantizer, next: [2]int{quantizer, quantizer}},
		source:   newFrame(mbw, mbh),
		last:     newFrame(mbw, mbh),
		current:  newFrame(mbw, mbh),
		changed:  make([]bool, mbw*mbh),
		modes:    make([]mode, mbw*mbh),
		fineness: make([]uint8, mbw*mbh),
		above:    make([]edge, mbw),
		probs:    defaultCoeffProbs(),
	}, nil
}

// SetLimit bounds the frames from now on to so many bytes each: a bit rate divided
// by eight times the frame rate. A frame that would be larger is coded anew, more
// coarsely than the encoder's own quantizer, and what is coarse becomes fine again
// as the frames after it have room. One that is still larger with [MaxQuantizer]
// stays so. 0, as in the beginning, is no limit.
func (e *Encoder) SetLimit(bytes int) {
	e.rate.limit = max(bytes, 0)
}

// Encode appends one frame with the picture to dst and returns it. The first frame
// is a key frame, and so is every one for which key is true. The picture is 4:2:0
// and of the encoder's size; it may change as soon as Encode has returned. The
// error is [ErrPicture], and leaves dst and the encoder as they were.
//
// A dst that has room saves an allocation; Encode makes none of its own once its
// buffer has grown to the size of the frames.
func (e *Encoder) Encode(dst []byte, picture *image.YCbCr, key bool) ([]byte, error) {
	if err := e.check(picture); err != nil {
		return dst, err
	}
	e.load(picture)
	e.key = key || !e.begun
	kind := interFrame
	if e.key {
		kind = keyFrame
	}
	start, q := len(dst), e.rate.first(kind)
	dst = e.frame(dst, q)
	for !e.rate.fits(len(dst)-start) && q < MaxQuantizer {
		q = e.rate.coarser(q, len(dst)-start)
		dst = e.frame(dst[:start], q)
	}
	e.rate.settle(kind, q, len(dst)-start)
	for i, m := range e.modes {
		if m.coded {
			e.fineness[i] = uint8(q)
		}
	}
	e.last, e.current = e.current, e.last
	e.begun = true
	return dst, nil
}

// frame appends the source coded with the quantizer index, and makes current its
// reconstruction. It changes nothing that another try needs.
func (e *Encoder) frame(dst []byte, q int) []byte {
	e.q, e.steps = q, newQuantizers(q)
	e.tokens.reset(e.tokens.out[:0])
	if !e.key {
		e.current.copyFrom(&e.last) // the prediction of all macroblocks, to begin with
	}
	clear(e.above)
	for mby := range e.mbh {
		e.left = edge{}
		for mbx := range e.mbw {
			e.macroblock(mbx, mby)
		}
	}
	tokens := e.tokens.finish()
	return append(e.appendHeader(dst), tokens...)
}
