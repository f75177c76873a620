//go:build !linux

package lan

import "errors"

// isWSL is false: WSL is a Linux.
func isWSL() bool { return false }

// device knows nothing here: the name of the interface decides.
func device(string) (devType string, virtual bool) { return "", false }

func defaultLink(links []link) string { return defaultByConnect(links) }

// changes has nothing to listen to here: Watch looks by itself from time to time.
func changes() (<-chan struct{}, func(), error) { return nil, nil, errors.ErrUnsupported }
