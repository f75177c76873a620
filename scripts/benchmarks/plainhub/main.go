// Command plainhub is rtcdev's signaling without TLS, which rtcdev itself never
// is: for what a connection costs in memory apart from its encryption.
//
//	plainhub ADDRESS
package main

import (
	"net/http"
	"os"
	"runtime"
	"runtime/debug"

	"rtcdev/devserver/signaling"
)

// plenty is more than any measurement asks for.
const plenty = 1_000_000_000

func main() { os.Exit(run(os.Args[1:])) }

// run serves until the process is ended and returns an exit code.
func run(args []string) int {
	if len(args) != 1 {
		os.Stderr.WriteString("usage: plainhub ADDRESS\n")
		return 2
	}
	hub := signaling.New(signaling.Config{
		MaxRooms: plenty, MaxConnections: plenty, MaxPerAddress: plenty, MessageRate: plenty, ByteRate: plenty,
		OnQuiet: func() { runtime.GC(); debug.FreeOSMemory() }, // as rtcdev serve
	})
	mux := http.NewServeMux()
	mux.Handle("/_rtcdev/signal", hub)
	err := http.ListenAndServe(args[0], mux)
	os.Stderr.WriteString("plainhub: " + err.Error() + "\n")
	return 1
}
