// Package portmux serves TLS, STUN and TURN over TCP, and plain HTTP on one TCP
// port. It tells them apart by what the client sends first, and hands each
// connection to the [net.Listener] of its kind:
//
//   - first byte 22 (a TLS handshake record, RFC 8446 §5.1): TLS. After the handshake
//     the ALPN protocol decides (RFC 7301): "stun.turn" and "stun.nat-discovery"
//     (RFC 7443 §3) are [Mux.Relay]'s, "acme-tls/1" is nobody's, since a handshake is all
//     that it is for (RFC 8737 §3), and every other one is [Mux.HTTPS]'s. A client
//     without ALPN, as browsers are for turns: addresses, is known by the first byte
//     that it sends inside TLS: below 4 is Relay's, everything else HTTPS's.
//   - first byte below 4 (a STUN message, RFC 7983 §7): Relay.
//   - any other: [Mux.Plain].
//
// Use it in this order: [New]; take the listeners that somebody will accept from;
// [Mux.Serve], which blocks; in the end [Mux.Close].
//
// # What always holds
//
// Nobody stays in the mux for longer than Config.Patience: the first byte, the TLS
// handshake, the first byte inside it and waiting for the consumer's Accept share
// that time. While a connection is in the mux it has one goroutine; once it is
// handed over it has none, and no deadline. It is then the consumer's to close.
// Consumers do not wait for each other. A connection whose listener nobody took, or
// whose consumer has closed it, or leaves 128 others waiting, is closed at once.
//
// # Serving HTTP
//
// Leave http.Server.TLSConfig nil, or put "h2" into its NextProtos, and call Serve
// with [Mux.HTTPS] (not ServeTLS, which would do TLS inside TLS): net/http sets HTTP/2
// up in Serve only then, and otherwise drops every client that chose it. What was
// set in TLSConfig belongs into Config.TLS now. Two kinds of connections come:
//
//   - *tls.Conn, its handshake done, when the client negotiated a protocol. This
//     is what net/http needs to speak HTTP/2.
//   - *[TLSConn] when it did not: net/http speaks HTTP/1.1 with it, and fills in
//     http.Request.TLS from its ConnectionState method (package net/http, conn.serve,
//     as of Go 1.26), so that handlers see no difference. Code that asks whether a
//     connection is a *tls.Conn, to reach what is below, should ask for the method
//     NetConn() net.Conn, which both have.
//
// # Counting connections
//
// Config.Admit and Config.Gone get the connection as it was accepted, and [Accepted]
// finds that one below whatever a consumer was given. So one count can span the mux
// and the server: add in Admit, and subtract in Gone and in http.Server.ConnState for
// StateHijacked and StateClosed, with Accepted(conn) as the key. StateNew is counted
// already. A consumer without such a hook, as a relay is, subtracts when it closes.
//
// # Limits
//
// A client that finishes the handshake and refuses the certificate only then is not
// seen by OnRefused if it negotiated a protocol: its alert comes to the consumer, as
// an error of Read. Browsers, OpenSSL and Go refuse before they finish. A server that
// speaks first (SMTP, SSH) cannot be behind a mux.
package portmux
