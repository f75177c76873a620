// Command bareserver is the limit that rtcdev's start is compared with: net/http
// serving a folder over TLS, with a certificate chain and key from disk, and
// nothing else.
//
//	bareserver ADDRESS DIR CERT KEY
package main

import (
	"net/http"
	"os"
)

func main() { os.Exit(run(os.Args[1:])) }

// run serves until the process is ended and returns an exit code.
func run(args []string) int {
	if len(args) != 4 {
		os.Stderr.WriteString("usage: bareserver ADDRESS DIR CERT KEY\n")
		return 2
	}
	err := http.ListenAndServeTLS(args[0], args[2], args[3], http.FileServer(http.Dir(args[1])))
	os.Stderr.WriteString("bareserver: " + err.Error() + "\n")
	return 1
}
