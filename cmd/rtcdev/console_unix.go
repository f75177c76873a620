//go:build unix

package main

// consoleCodePage is 0: here the environment says how text is shown.
func consoleCodePage() uint32 { return 0 }
