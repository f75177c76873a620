// Package peer is a participant of a room without a camera, a microphone or a
// screen: it joins by the native protocol of package signaling as a page would,
// sends a test picture and a tone, and says whether media came through both ways.
//
// What it says in "data" is what the call template's pages say to each other:
//
//	{"description":{"type":"offer","sdp":"…"}}
//	{"candidate":{"candidate":"…","sdpMid":"0","sdpMLineIndex":0}}
//
// with perfect negotiation (W3C WebRTC §10.7): the one who came later is polite and
// makes the first offer. A description with another fingerprint than before comes
// from a page that was loaded again; the peer then begins anew. The peer makes the
// data channel "chat" (negotiated, id 0) as that template does, takes every other one
// that is opened, and sends back what comes through any of them.
//
// # The picture
//
// 640 times 480 pixels, 30 frames a second, VP8: colour bars, a clock (UTC), a moving
// block, and in the last 48 rows the time for machines. These rows are 40 blocks of 16
// by 48 pixels, black (Y 16) or white (Y 235), from left to right:
//
//	block 0       white
//	block 1       black
//	blocks 2–33   milliseconds since 1970 (Unix time) modulo 2³², highest bit first; white is 1
//	blocks 34–39  how many of these 32 bits are 1, highest bit first
//
// A page draws the video onto a canvas, looks at the middle of each block (x = 16·i+8,
// y = 456, for a picture of 640 by 480) and takes what is brighter than the middle of
// the range as 1. ReadTimestamp does so for pictures in Go. The time is read when the
// picture is drawn, just before it is encoded.
//
// # The tone
//
// 440 Hz as G.711 µ-law (PCMU, RFC 3551 §4.5.14), 8000 samples a second, 20 ms a packet.
//
// # Invariants
//
// All that happens to a peer happens on the goroutine of Run, one thing at a time. When
// Run has returned, no goroutine and no socket of it is left. It returns within two
// seconds or so of its end, whatever a TURN server does.
//
// Its ICE sockets are never the address and port of the STUN/TURN server: the operating
// system gives them to it alone, and from a range of ports in which none of the servers
// that it has been told of is.
//
// # Limits
//
// pion cannot take back an offer (JSEP §4.1.10.2, rollback). A polite peer whose offer
// has crossed with the other's goes on with a new connection.
// A channel that a page opens without negotiating its id can get id 0 when the peer has
// made the offer (RFC 8832 §6), which the channel "chat" has. Its messages come back all
// the same, but the page's DATA_CHANNEL_OPEN is not acknowledged.
package peer
