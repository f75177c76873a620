//go:build unix

package acmecert

import (
	"os/exec"
	"syscall"
)

// endGroup has what the program has started end with it.
func endGroup(cmd *exec.Cmd) {
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	cmd.Cancel = func() error { return syscall.Kill(-cmd.Process.Pid, syscall.SIGKILL) }
}
