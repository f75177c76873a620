// Package devserver is the server behind `rtcdev serve`: one HTTPS port that
// shows a folder of pages and carries their signaling.
//
// [Run] listens, reports what happens through Config.OnEvent, and returns when
// its context ends and everything it started is over. The routes:
//
//	/                      the folder's files, the built-in app, or another app
//	                       server that requests are passed on to
//	/_rtcdev/signal        the WebSocket door (package signaling)
//	/_rtcdev/signal/events its event streams, and
//	/_rtcdev/signal/send   the messages of their peers
//	/socket.io/ …/peerjs   the doors of packages socketio and peerjs, for requests that
//	                       only their clients make; not with Config.Proxy
//	/_rtcdev/metrics       what the doors hold and have seen, for Prometheus
//	/_rtcdev/health        is it up, and how many peers are there
//	/_rtcdev/ca.pem ca.crt the local authority's root, as PEM and DER
//
// Everything else under /_rtcdev/ is 404 and reserved.
//
// A page of the folder that loads webrtc-adapter from webrtc.github.io gets the
// folder's own copy instead while that address cannot be reached: see [Unreached].
// Pages are changed in no other way.
//
// # Invariants
//
// It listens on loopback unless Config.Host says otherwise. A request whose
// Host is not one of this machine's names is refused, so a stranger's page
// cannot reach the server by DNS rebinding; signaling is only for
// pages of the server's own origin and those of Config.AllowOrigins. No file outside the folder is ever read, and
// no dotfile, private key or file of Config.Private is ever served.
//
// # Limits
//
// It is a development server for tens of devices, and its port speaks TLS only.
package devserver
