package acmecert

import "os/exec"

// endGroup leaves what the program has started to itself: Windows has no groups that end together
// without a job object.
func endGroup(*exec.Cmd) {}
