// Package signaling carries WebRTC offers, answers and candidates between the
// peers of a room. This comment is the protocol; the code follows it.
//
// # The native protocol
//
// A peer opens a WebSocket (RFC 6455) on the signaling address with the room's
// name in the query, ?room=R. Without a name the room is "lobby". A name has 1
// to 64 characters and no control characters. Every message, either way, is
// one text frame that holds one JSON object with a "type".
//
// The first message a peer gets is its welcome, once:
//
//	{"type":"welcome","id":"p…","room":"R","peers":["p…"],"iceServers":[…]}
//
// "id" is the peer's own id: made by the server, unguessable, new with every
// connection. "peers" lists who was there before, in the order of their coming.
// "iceServers" is what goes into the page's RTCPeerConnection. The rest of the
// room gets, as members come and go,
//
//	{"type":"peer-joined","peer":"p…"}
//	{"type":"peer-left","peer":"p…"}
//
// A peer sends to one other peer, or without "to" to everyone else in its room:
//
//	{"type":"signal","to":"p…","data":…}
//
// and each receiver gets
//
//	{"type":"signal","from":"p…","data":…}
//
// with "data" byte for byte as it was sent; the server reads the envelope only.
// Being alone and sending to everyone is no error. A peer that is done says
//
//	{"type":"leave"}
//
// and is closed with 1000. In a pair, the later joiner (the one whose welcome
// lists a peer) is the polite one of the perfect negotiation pattern (W3C
// WebRTC §10.7).
//
// What goes wrong is told in
//
//	{"type":"error","code":"…","message":"…"}
//
// and, for everything but no-such-peer, followed by a close frame:
//
//	code           close  when
//	room-full      4001   the room has as many peers as it may have
//	bad-message    4002   not JSON, not text, an unknown type, a bad room name
//	too-large      1009   a message above the limit (64 KiB unless configured)
//	shutting-down  1001   the server is stopping; try again in a moment
//	no-such-peer   –      "to" names nobody in the room: it may just have left
//
// The code "rate-limited" is reserved for limits on the number of messages.
//
// A peer that does not read as fast as others send is closed with 4003, and one
// that does not answer a ping (RFC 6455 §5.5.2) in time is cut off; its room is
// told that it left. Between two peers messages arrive in the order they were
// sent, or the receiver's connection ends: none is dropped silently.
//
// # Invariants
//
// The [Hub] is the one owner of the rooms, behind one mutex that is never held
// across I/O: telling a peer something means putting bytes into its bounded
// outbox. Every connection has one reader (the HTTP handler's goroutine) and
// one writer. A peer is in the room exactly from its welcome to the peer-left
// that the others get.
//
// # Limits
//
// A peer's id does not survive its connection. The hub knows one process only.
package signaling
