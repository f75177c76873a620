//go:build unix

package main

import (
	"os/signal"
	"syscall"
)

// consoleCodePage is 0: here the environment says how text is shown.
func consoleCodePage() uint32 { return 0 }

// keepInBackground has a read from the terminal fail with EIO while another job
// has it (POSIX, General Terminal Interface, 11.1.4), as after `rtcdev serve &`.
// Unless it is ignored, SIGTTIN stops the server; were it caught, the read would
// be restarted and stopped again without end. Programs started later ignore it
// too.
func keepInBackground() { signal.Ignore(syscall.SIGTTIN) }
