package acmecert

import (
	"testing"

	"go.uber.org/goleak"

	"rtcdev/scripts/rehearsal"
)

// certmagic limits how fast it orders with a goroutine that it never ends.
func TestMain(m *testing.M) {
	goleak.VerifyTestMain(m,
		goleak.IgnoreAnyFunction("github.com/caddyserver/certmagic.(*RingBufferRateLimiter).loop"),
		goleak.IgnoreTopFunction(rehearsal.LeakedGoroutine))
}
