// Package rehearsal is an ACME authority for tests: a real Pebble in this process, strict and
// with validation on, behind HTTPS and with a DNS server of its own, that tests can make fail
// in the ways that authorities do.
//
// # Invariants
//
//   - Nothing leaves the machine and no port is fixed: everything listens on 127.0.0.1.
//   - Everything ends with the test, but for one goroutine that Pebble has no stop for: see
//     [LeakedGoroutine].
//   - What is issued chains to [Authority.Issuers], made anew by each start and each reset.
//     The authority's own HTTPS chains to another root, that of [Authority.RootFile].
//
// # Limits
//
// Pebble is set up by environment variables, so tests that use it do not run in parallel.
// It chooses any profile for an order that names none: with [Options.Profiles], name one. It
// looks at no CAA records and calls a name that is not there a failed connection; this package
// adds both when the client asks how its authorization is, so a client that never asks is not
// stopped by them.
package rehearsal
