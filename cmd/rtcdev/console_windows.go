package main

import "syscall"

// consoleCodePage is the code page of the console, by which it decides how wide
// characters are, or 0 without a console (GetConsoleOutputCP).
func consoleCodePage() uint32 {
	proc := syscall.NewLazyDLL("kernel32.dll").NewProc("GetConsoleOutputCP")
	if proc.Find() != nil {
		return 0
	}
	page, _, _ := proc.Call()
	return uint32(page)
}

// keepInBackground does nothing: no job takes a console from another.
func keepInBackground() {}
