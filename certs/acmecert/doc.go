// Package acmecert gets certificates from an ACME authority (RFC 8555) and keeps them
// fresh, for a server that goes on serving meanwhile.
//
// # How it goes
//
// A [Manager] looks after one certificate for each of its names. It reads what its folder
// has, orders what is missing, and looks again every few minutes: a certificate is renewed
// when the authority suggests it (ACME Renewal Information, RFC 9773), or when a third of
// its life is left. [Manager.TLS] leaves the handshakes of every other name to the configuration
// that it was given; until there is a certificate its own too, as if no name were asked for.
//
// The authority checks that the machine speaks for a name in one of three ways:
//
//   - HTTP-01 (RFC 8555 §8.3): it fetches a page from port 80. A server is opened there for
//     as long as an order takes.
//   - TLS-ALPN-01 (RFC 8737): it begins TLS with port 443. The answer is a certificate for
//     this handshake alone, which [Manager.TLS] gives.
//   - DNS-01 (RFC 8555 §8.4): it looks up a TXT record, which a program of the person's own
//     ([Config.DNSHook]) puts there and takes away. This is the one for names of machines
//     that the authority cannot reach.
//
// Everything here that can fail, fails as a [*Problem]: what, why and the next step.
//
// # Invariants
//
//   - Nothing is asked on stdin and nothing is printed.
//   - No order is placed for a name that the authority cannot give a certificate for, nor
//     with settings that are known to be wrong: see [New].
//   - Whoever shares the folder, in this process or another, waits while a name is being
//     ordered, and then uses what came of it. The lock ends with its process.
//   - A renewal that fails leaves the certificate that there is in use.
//   - What the folder has, only its owner can read (0700, 0600). What cannot be read is moved
//     aside, not deleted.
//
// # Limits
//
// Certificates have one name each, which is certmagic's way. External account binding
// (RFC 8555 §7.3.4) is not supported. Checks are not spread over machines: the one that
// orders has to be the one that the authority reaches, or share its folder.
package acmecert
