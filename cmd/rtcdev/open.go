package main

import (
	"errors"
	"os/exec"
	"runtime"
)

// openBrowser shows url in the person's browser and returns at once; failed is
// called, later and at most once, when that did not work. The program runs in a
// process group of its own: Ctrl-C is for the server, not for the browser.
func openBrowser(url string, failed func(error)) {
	cmd, err := browserCommand(url)
	if err == nil {
		detach(cmd)
		err = cmd.Start()
	}
	if err != nil {
		failed(err)
		return
	}
	go func() {
		if err := cmd.Wait(); err != nil {
			failed(err)
		}
	}()
}

func browserCommand(url string) (*exec.Cmd, error) {
	switch runtime.GOOS {
	case "windows":
		return exec.Command("rundll32", "url.dll,FileProtocolHandler", url), nil
	case "darwin":
		return exec.Command("open", url), nil
	}
	// xdg-open asks the desktop (and $BROWSER); wslview is the Windows side of
	// WSL; x-www-browser is Debian's choice without a desktop.
	for _, program := range []string{"xdg-open", "wslview", "x-www-browser"} {
		if path, err := exec.LookPath(program); err == nil {
			return exec.Command(path, url), nil
		}
	}
	return nil, errors.New("xdg-open is not installed")
}
