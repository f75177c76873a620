package templates

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os/exec"
	"time"
)

// ErrNoNPM is returned by InstallPackages when npm is not on PATH. The templates
// work without it.
var ErrNoNPM = errors.New("npm is not on PATH")

// InstallPackages runs npm install in dir and copies its output to out. It fails
// with ErrNoNPM when there is no npm, and otherwise with an error that wraps what
// npm came to, or ctx's error. The files Scaffold wrote stay usable either way.
func InstallPackages(ctx context.Context, dir string, out io.Writer) error {
	npm, err := exec.LookPath("npm")
	if err != nil {
		return ErrNoNPM
	}
	cmd := exec.CommandContext(ctx, npm, "install", "--no-audit", "--no-fund")
	cmd.Dir = dir
	cmd.Stdout, cmd.Stderr = out, out
	// npm's children may keep the output open after npm itself was ended.
	cmd.WaitDelay = 2 * time.Second
	if err := cmd.Run(); err != nil {
		return fmt.Errorf("running npm install in %s: %w", dir, errors.Join(ctx.Err(), err))
	}
	return nil
}
