// Package relay is a STUN and TURN server (RFC 8489, RFC 8656) for the calls of the
// pages that rtcdev serves, over UDP, TCP and TLS, on pion/turn.
//
// Use it in this order: [New]; [Server.ServePacket] for each UDP socket and
// [Server.Serve] for each TCP or TLS listener, which block; in the end
// [Server.Close]. Pages get [Server.Credentials].
//
// # The closed world
//
// Unless Config.LAN says otherwise, a relayed "socket" is nothing but an address
// in this process, from a range that nobody has, and its packets go to other such
// sockets of the same server or nowhere. So a page, or whoever stole its
// credentials, cannot reach anything through the relay: not this machine's loopback,
// not its network, not a cloud's metadata. It also means that both ends of a call
// must use this relay, or one of them no relay at all, for it to connect.
//
// With Config.LAN, relayed sockets are real ones on that address. They reach private
// addresses only, and on this machine only each other.
//
// TCP is never relayed (RFC 6062), and no pairs of ports are reserved. Whatever is
// refused is reported to Config.OnRefused.
//
// # How it works
//
// A front stands between the sockets of one transport and pion. ChannelData, which
// is nearly everything that a call sends, it takes from one client to the other
// itself, without an allocation of memory; STUN messages it looks at (screen.go) and
// hands to pion, which does authentication, permissions and lifetimes. pion makes
// relayed sockets through this package's hub, and tells the hub about channels.
//
// On Linux, UDP datagrams are read and written many at a time, and those of one size
// for one client go down the network stack as one (runs_linux.go). It has one goroutine
// for each UDP socket.
//
// # When allocations end
//
// One whose TCP or TLS connection closes ends at once. One over UDP ends when it has
// not been refreshed for Config.Lifetime, which is short. When a session, a client's IP
// address or the server has as many as it may, the one that has been silent for
// longest, and for at least 15 s, gives way to the new one; so a page that is reloaded
// again and again is never locked out. A backup path that a call keeps may be silent
// for that long, too, which is why silence alone ends nothing.
//
// # Limits
//
// An allocation has permissions for at most 256 peers, of which the expired ones do not
// count, and at most 256 channels.
//
// Packets above 1,600 bytes are not relayed. Of the messages for a TCP client that
// does not read, 64 KiB are kept, and then they are lost as UDP's would be. Credentials
// that expire end no allocation: browsers cannot change them.
package relay
