package web

import (
	"fmt"
	"strings"
)

// Inject is a JavaScript function, in parentheses, that gives each RTCPeerConnection of a
// page the servers of an RTCConfiguration (WebRTC 1.0 §4.2.1), its first argument. Its second
// one is after how many milliseconds it asks /_rtcdev/ice for a new one. An error is
// a mistake in the embedded file.
func Inject() (string, error) {
	text, err := files.ReadFile("inject.js")
	if err != nil {
		return "", fmt.Errorf("reading the script for pages: %w", err)
	}
	return strings.TrimSpace(string(text)), nil
}
