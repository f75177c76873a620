// Package peerjs is the door for pages that were written for a PeerServer: the npm
// package peerjs works against it unchanged. This comment is the protocol as that
// client speaks it; the code follows it.
//
// # Addresses
//
// The client puts its options together in its own way. With path "/", which is its
// default, it asks
//
//	GET /peerjs/id                          for an id, when it was made without one
//	GET /peerjs?key=K&id=ID&token=T         for a WebSocket
//	GET /peerjs/peers                       who is there
//
// (the HTTP addresses have the key in them, so this is the default key, "peerjs") and
// with path "/peerjs"
//
//	GET /peerjs/K/id
//	GET /peerjs/peerjs?key=K&id=ID&token=T
//	GET /peerjs/K/peers
//
// and with any other path, such as "/myapp", the same below that; there the HTTP
// addresses are known for ours only with the default key.
//
// All work. Peers with different keys do not see each other. An id is letters and
// digits, with a single "-", "_" or space here and there between them, and has at most
// 128 of these; this is the client's own rule, but for the length. A key has 1 to 64
// characters and no control characters. A token is the secret of whoever holds the id;
// it is kept as its hash. The answer to …/id is text, to …/peers a JSON array of ids,
// or 401 with the remedy unless [Config] allows it. GET of /peerjs itself says who answers here.
//
// # Messages
//
// Each is one text frame with a JSON object {"type", "src", "dst", "payload"}, of which
// only "type" is always there. The server's first is one of
//
//	{"type":"OPEN"}                                       the id is yours
//	{"type":"ID-TAKEN","payload":{"msg":"…"}}             another token holds it
//	{"type":"ERROR","payload":{"msg":"…"}}                anything else
//
// and after the last two it closes. An ERROR can come later as well: it says, before the
// close frame with its code, what package signaling has against the client. When the
// server stops there is the close frame only, as from a PeerServer: the client calls this
// "network", on which pages try again, and an ERROR "server-error", on which they do not.
//
// A client sends OFFER, ANSWER, CANDIDATE, LEAVE and EXPIRE to "dst", which gets type,
// dst and payload as they were sent, byte for byte; "src" is the sender's id as the server
// knows it, whatever the sender wrote. A HEARTBEAT is for the server alone and is not
// answered. LEAVE without "dst" gives the id up, and the line is closed. Other types are
// for newer servers, and passed over, and so is what lacks a "dst"; what is no JSON
// object at all is a bad message, and the line is closed.
//
// OFFER, ANSWER and CANDIDATE to an id that nobody holds wait for it, and follow its
// OPEN in their order. After 5 seconds, counted from the first of those that wait from
// one client to one id, they are given up and their sender is told, once:
//
//	{"type":"EXPIRE","src":"the id that did not come","dst":"the sender"}
//
// LEAVE and EXPIRE do not wait, and nobody is told when a client goes: the peers see
// that by their own connection, which often outlives this one.
//
// # Coming back
//
// A client that connects with an id that is held, and the token it is held with, takes
// the place over: that is how Peer.reconnect works when the server has not noticed yet
// that the old line is dead. It gets an OPEN, and the old line is closed with "replaced".
// What was on its way down the old line is lost, for this protocol numbers nothing; the
// peers retry, or negotiate anew.
//
// # Where it differs from PeerServer 1.0
//
// Any key will do. What takes a place over gets OPEN (a PeerServer says nothing, so the
// page never learns that it is connected) and the old line ends (there it stays, and can
// still send). A client that sends rubbish is closed (there it is ignored). What waits
// for an id is given up on its own time (there all of it, when the oldest is 5 s old).
//
// # Invariants
//
// The clients of a key are a room of the hub whose name no other door can ask for. A
// client is in that room exactly while it is in the door's own list of who holds which
// id, but for the moment inside a join or leave; these two happen one at a time. Nothing
// overtakes what has waited for an id: it is sent at the client's welcome, while the room
// waits. So the lock of that list is never held over a call to the hub.
//
// # Limits
//
// Size and rate of messages, connections and rooms are the hub's limits. What waits for
// absent clients is bounded in messages and bytes: in all, by an eighth of that for one
// sender, and for one receiver. The sender is told EXPIRE for what does not fit.
//
// # Limitations
//
// Ids are held at one node: a place can be taken over only there.
package peerjs
