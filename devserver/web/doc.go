// Package web is the page that sets up a second device: it tells a phone, a
// tablet or the laptop next door how to trust the root of this machine's
// authority, notices when that is done, and goes on to the app.
//
// # What holds
//
//   - A page is one answer: style and script are inside, so that it shows up
//     whole or not at all on a bad Wi-Fi. The Content-Security-Policy names the
//     two by their hashes and lets nothing else run, load or be sent.
//   - Everything up to and including the download works without JavaScript. The
//     script (setup.js) tests HTTPS and WebSocket, says what is missing, and goes
//     on by itself.
//   - Nothing of a request is believed but its Host, which the caller has
//     checked, and what is in the link goes to the same host only.
//   - The steps are in setup.en.tmpl and setup.ko.tmpl, with the names that the
//     menus have; next to each guide is the source of what it says.
//
// # What the caller does
//
// It answers plain HTTP with [Pages.SetUp] for / and /_rtcdev/trust, and with
// [Pages.ToHTTPS] for everything else but the root's files. Over HTTPS it needs
//
//   - GET /_rtcdev/beacon: 204, Access-Control-Allow-Origin: *, Cache-Control:
//     no-store. The page comes from http://, which is another origin.
//   - a WebSocket at /_rtcdev/signal?probe that is accepted from the Origin
//     http://HOST:PORT of the page, joins no room, and is closed at once with
//     code 1000.
//   - /_rtcdev/ca.mobileconfig, ca.crt and ca.pem, also over plain HTTP, the last
//     two as attachments named rtcdev-ca.crt and rtcdev-ca.pem.
//
// While HTTPS does not work the script asks for its own page every 2 s with HEAD,
// to tell a refused certificate from a computer that is gone: no new visit.
//
// # Limits
//
// A browser says in its User-Agent what it wants to. An iPad calls itself a
// Macintosh, and Chrome names no maker of a phone; where there is doubt the page
// shows both ways, and every way is a link at its end.
package web
