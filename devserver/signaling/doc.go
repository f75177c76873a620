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
//	{"type":"welcome","id":"p…","room":"R","peers":["p…"],"iceServers":[…],"resume":"TOKEN"}
//
// "id" is the peer's own id: made by the server and unguessable. "peers" lists
// who was there before, in the order of their coming. "iceServers" is what goes
// into the page's RTCPeerConnection, as does "iceTransportPolicy":"relay", which is
// there when calls are to use nothing but a relay. "resume" is the peer's secret,
// explained below. The rest of the room gets, as members come and go,
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
// Being alone and sending to everyone is no error. JavaScript sees no ping of
// RFC 6455 and so cannot tell a silent line from a dead one; a page that wants to
// know asks, and is answered:
//
//	{"type":"ping"}
//	{"type":"pong"}
//
// A peer that is done says
//
//	{"type":"leave"}
//
// and is closed with 1000. In a pair, the later joiner (the one whose welcome
// lists a peer) is the polite one of the perfect negotiation pattern (W3C
// WebRTC §10.7).
//
// # Errors
//
// What goes wrong is told in
//
//	{"type":"error","code":"…","message":"…"}
//
// and, for everything but no-such-peer, followed by a close frame:
//
//	code            close  when
//	room-full       4001   the room has as many peers as it may have
//	bad-message     4002   not JSON, not text, an unknown type, a bad room name
//	too-slow        4003   it does not read as fast as others send (close frame only)
//	cannot-resume   4004   the token is unknown, used up or too old: join anew
//	replaced        4005   this peer has come back on another line
//	rate-limited    4006   more messages or bytes than a peer may send
//	too-many-rooms  4007   the server has as many rooms as it may have
//	no-pong         –      it has not answered a ping: the line is cut, without a word
//	too-large       1009   a message above the limit (64 KiB unless configured)
//	shutting-down   1001   the server is stopping; try again in a moment
//	no-such-peer    –      "to" names nobody in the room: it may just have left
//
// A server that has as many connections as it may have, in all or from one
// address, answers the handshake itself with 503 (RFC 9110 §15.6.4), Retry-After
// and the code "overloaded", and keeps serving those it has.
//
// # Resuming
//
// A line can break without either side wanting it: a phone changes networks, a
// proxy restarts. The peer then stays in its room for 30 seconds (unless
// configured), what is sent to it is kept, and nobody is told. It comes back with
//
//	?resume=TOKEN&seen=N
//
// where N is how many messages of the server it has got in all since its welcome,
// not counting the welcome and later "resumed"s. The answer is
//
//	{"type":"resumed","id":"p…","room":"R","seen":M,"iceServers":[…],"resume":"TOKEN2"}
//
// with "iceTransportPolicy" as in the welcome, followed by the server's messages N+1
// and on, in order. M is how many of the
// peer's own messages have arrived in all since its welcome; it sends those after
// M again. So nothing is lost or repeated either way. If that cannot be, because
// the time is over, the token is not good, or N is older than what was kept, the
// answer is cannot-resume, and the page joins as a new peer.
//
// A token is good for one return: the next one is in "resumed". (The one before
// stays good until the peer has been heard on its new line, for it may not have got
// the answer; so does each that was given out for it.) A line that is still open when
// its peer returns is closed with "replaced", or just ends if the peer has not been
// heard on it: it comes again then if it is there.
//
// A line that breaks, or is cut because a ping was not answered, can be resumed. One that
// ends with a close frame of the peer, or for a fault with a close code above, is over:
// its peer leaves at once. So does a peer that has not been heard at all since its
// welcome, by a message or the answer to a ping: it has nothing to resume.
//
// The server keeps each message until the peer has answered a later ping: answers
// to pings are in the order of the line (RFC 6455 §5.5.3), so they acknowledge what
// was sent before. This costs the page nothing.
//
// # Server-Sent Events and POST
//
// The same protocol for pages whose WebSocket is refused:
//
//	GET  /_rtcdev/signal/events?room=R           the server's messages
//	POST /_rtcdev/signal/send?resume=TOKEN&n=K   one message of the peer, as the body
//
// Each message of the server is one event (WHATWG HTML §9.2) whose data is the JSON
// object. Its id is TOKEN.N, so that a browser which reconnects by itself resumes by
// its Last-Event-ID; ?resume=TOKEN&seen=N does the same where there is none, and either
// door takes up what the other began. After a fatal error, whose event has no id, the
// stream ends; the page closes it then, for browsers would come back for ever.
//
// K is the number of this message among all of the peer's since its welcome, from
// 1. One that the server has already got is answered like the first time, and
// forgotten; the answer to one with a gap before it is 409. So a page sends one
// at a time, and again if it does not know what became of it. Only a leave is taken
// with any number, from peers of either door and of those who are gone: nothing before
// it matters any more. With &seen=N a page tells what it has got. The answer is 204, or
// the error object with 400 (bad-message), 409 (a gap), 410 (cannot-resume: the peer is
// gone), 413 (too-large), 429 (rate-limited) or 503 (shutting-down). A peer of this
// door has to send something at least every 25 seconds; a ping will do.
//
// # Limits
//
// A peer's size and rate of messages, the peers of a room, the rooms, and the
// connections from one address and in all are bounded by [Config]. What waits for a
// peer is bounded too: one that does not read as fast as others send is closed
// with 4003, or loses its right to resume while it is away. One that does not answer
// a ping in time loses its line and has the time to resume to come back. Between two peers
// messages arrive in the order they were sent, or the receiver is told that they do
// not: none is dropped silently.
//
// # Other doors
//
// Packages below this one speak other protocols to clients that people already
// have, onto the same rooms: see [Hub.Join] and [Hub.Accept].
//
// # Invariants
//
// All that happens in a room passes through its channel of the [Bus], one at a time
// and in one order; the room is what these events make of it. Telling a peer
// something never waits: it puts bytes into the peer's bounded queue. An idle
// connection has one goroutine, its reader; one that writes lives only while
// something is queued. A peer is in the room exactly from its welcome to the peer-left
// that the others get.
//
// # Limitations
//
// A peer can resume only at the node that it joined. There is one kind of [Bus] so
// far, within a process.
package signaling
