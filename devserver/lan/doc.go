// Package lan says at which addresses another device, a phone say, can reach this
// machine.
//
// [Addresses] lists them best first, [Watch] tells when the list changes, and [Name]
// and [Answer] care for the machine's name in multicast DNS (RFC 6762), which stays
// the same when the address does not.
//
// The order is decided by one pure function over a plain table of the machine's
// interfaces, so what it does on a Mac, on Windows, in WSL and next to Docker is tested
// everywhere. Reading that table is the only part that differs between systems.
//
// Invariants:
//   - Nothing here is sent beyond the local network, and nothing at all but by Name and
//     Answer: the default route is read from the kernel, or from a UDP socket that is
//     connected and never written to.
//   - Answer speaks for one name only, while its context lives, and not when another
//     machine has that name.
//   - Watch and Answer do their work in the calling goroutine's lifetime: when they have
//     returned, nothing of theirs is left running.
//
// Limits:
//   - Whether a firewall lets the phone in cannot be seen from here.
//   - Link-local addresses are left out: a URL in a browser has no place for the zone of
//     fe80::, and 169.254.0.0/16 means that the network gave no address.
//   - On a Mac an interface's name does not say whether it is Ethernet or Wi-Fi, so its
//     kind is [Other].
//   - A route that only a policy rule of Linux chooses is not seen as the default route.
package lan
