// Package socketio lets socket.io pages and clients into the rooms of a
// [signaling.Hub]: those of the WebRTC codelab, unmodified, and others that need
// no more than a relay. This comment is what they can expect; the code follows it.
//
// # The clients
//
// Engine.IO 4 (socket.io-client 3 and 4) and Engine.IO 3 (1.x and 2.x), over
// WebSocket, over HTTP long polling, and changing from the one to the other as these
// clients do at first. Events with JSON arguments; an acknowledgement that a client
// asks for is given, without arguments, when the server has handled the event. Not
// supported, and refused with a message that says so: JSONP polling, binary data,
// and namespaces but the default one (a connect error, as from the original).
//
// /socket.io/socket.io.js is our own client, client.js: an io() for pages that
// expect one there; socket.io.esm.min.js is the same as an ES module. Pages of every
// origin may load it, but only those that the hub allows may connect. It falls back to server-sent events and POST
// (/socket.io/events, /socket.io/send) where a WebSocket is refused, and after a
// break brings its page back into the room it was in, or had asked for; the page hears
// message "bye" then, and what it had yet to say in that call is left out. Binary data it refuses with an Error.
//
// # The events of the codelab
//
// A page emits
//
//	create or join (room)   enters the room; out of the one it was in
//	message (any)           to the others in its room
//	bye                     leaves its room
//	ipaddr                  asks for the server's addresses
//
// and hears
//
//	created (room, id)      it is the first in the room, or the last one left:
//	                        in either case the one who makes the offer
//	joined (room, id)       somebody was there before it
//	join (room)             somebody else comes
//	full (room)             the room has as many as it may have, and it is not in it
//	ready (room)            it has company now; once until it is alone again
//	message (any)           somebody says so
//	bye (room)              the others have left
//	ipaddr (address)        for each address
//	log (array)             for the console: what the server does for it
//
// The id is the page's own, the same that native peers know it by. It is not the
// Engine.IO session id, which is a secret: who has it speaks for the client.
//
// # What is healed
//
// The codelab's server broadcast to everyone and forgot; its pages, which cannot be
// changed, got stuck in many orders of events. So here
//
//   - nothing leaves its room;
//   - who is left alone hears message "bye" (unless the other said it), then created,
//     then bye, in this order, and so begins the next call when somebody comes: a
//     reload of either page or of both gives a call again;
//   - where rooms have more than two places, one who leaves is no news while others
//     stay: pages end their call at "bye", or reload;
//   - an offer from a page that has said "got user media" is held back, with what
//     follows it, until the receiving page has its camera too and says the same,
//     because until then it could not answer. A page that only watches never says that,
//     and cannot be told from one whose person has not yet answered the browser's question:
//     so after five seconds it gets the offer all the same, and the offer with its
//     candidates again when it says "got user media" and has not answered;
//   - of offers that cross in a pair, which happens when a line has broken before there was
//     a call, one gets through, and is the same for both: else both would wait for an
//     answer. This too is for pages that say "got user media" only;
//   - "got user media" is repeated to who comes later, and to the room when the
//     page says it before it enters;
//   - a page that made an offer while it was alone, on the strength of what it
//     remembers of a peer that left, hears "bye" and created when somebody comes, and
//     so makes another;
//   - entering the same room again is no news to anyone.
//
// # Other pages
//
// An event of another name goes to the others in the room as it is.
//
// There are pages that know of no rooms, such as those of a chat. They hear each other
// in the room "lobby", without any of the codelab's events. This is the rule:
//
//   - A page enters the lobby by emitting, before it has ever named a room, something
//     that is not the codelab's. The codelab's are the events above, but of message only
//     "got user media" and "bye": pages that are about to name a room, or have left it,
//     say these.
//     If the lobby is full, the page hears so once: a log that names the remedy, and full.
//   - What such a page says is also heard by pages that are connected and have emitted
//     nothing at all, in the order of their coming, as long as there are fewer than
//     [Config] RoomSize in all to hear it; the others get a log. These pages are in no room
//     and take nobody's place. (What native peers say in the lobby, they do not hear.)
//   - A page that has ever named a room, with success or not, is never brought into the
//     lobby. What it says while it is in no room goes nowhere, and it hears so once: a log.
//     Of our own client's pages that is so from the beginning if they listen for both
//     created and joined.
//
// To the hub, a message with one argument is that argument: native peers send and
// hear it as their data. Any other event is the data
//
//	{"socket.io":["event", …]}
//
// # Limits and invariants
//
// Each client counts as a connection of the hub, with the hub's limits on the size
// and rate of messages. What waits for a client between polls, a request's size and
// the number of packets in it, and what is held back are bounded. A client that is
// silent for longer than its version's ping rules allow is ended, and so is one that
// polls twice at once, or that sends what the protocol does not have; in its
// console it reads why. No session has a goroutine of its own, but for the reader of
// its WebSocket.
//
// A client's packets are handled one at a time, in their order. What the room tells
// it is queued in the room's order. A session ends once; only then does its place in
// the room go.
//
// # Limitations
//
// A page's session does not survive its line: there is no connection state recovery
// of socket.io 4.6. The id of a socket.io 1.x or 2.x client, which that client takes
// from its session, is not the id in its created and joined.
package socketio
