//go:build race

package relay

// sync.Pool, which x/net uses to send, loses things on purpose under the race detector.
const raceEnabled = true
