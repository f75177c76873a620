// Package vp8 encodes pictures that a program draws as VP8 (RFC 6386), for the
// test peer of rtcdev: no pure-Go encoder can be had.
//
// An [Encoder] makes key frames and inter frames from 4:2:0 pictures of one size.
// It is made for pictures of which little changes from frame to frame: bars, a
// clock, a moving block. A macroblock whose source is as it was costs next to
// nothing, in time and in bytes.
//
// What the encoder keeps as its reconstruction is, sample for sample, what every
// conforming decoder shows: the loop filter is off, so that a frame is exactly its
// prediction plus its residual, clamped.
//
// Limits, all of them on purpose:
//   - Intra macroblocks are predicted by DC_PRED only, inter macroblocks by the
//     last frame without motion (ZEROMV). A picture that scrolls or a camera's
//     picture is encoded rightly, but large.
//   - The golden and altref frames stay what the last key frame made them; there
//     are no segments, one partition of tokens, and the default probabilities.
//   - A frame depends on the one before. After a loss the caller asks for a key
//     frame.
//   - An Encoder is not safe for use by several goroutines at once.
package vp8
