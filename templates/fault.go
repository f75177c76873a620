package templates

import (
	"errors"
	"fmt"
	"io/fs"
	"syscall"
)

// fault is an error in plain words. The cause is there for errors.Is and
// errors.As, but its text, often a system call and a path, is not shown.
type fault struct {
	text  string
	cause error
}

func (f *fault) Error() string { return f.text }
func (f *fault) Unwrap() error { return f.cause }

// explain says what failed and, where it is known in plain words, why. What was
// explained closer to the cause stays as it is.
func explain(what string, err error) error {
	var explained *fault
	if errors.As(err, &explained) {
		return err
	}
	if why := reason(err); why != "" {
		return &fault{what + ": " + why + "; choose another folder", err}
	}
	return fmt.Errorf("%s: %w", what, err)
}

// reason has plain words for the system's usual refusals, and none for others.
func reason(err error) string {
	switch {
	case errors.Is(err, fs.ErrPermission):
		return "the system does not allow it"
	case errors.Is(err, syscall.EROFS):
		return "the disk is read-only"
	case errors.Is(err, syscall.ENOSPC):
		return "the disk is full"
	case errors.Is(err, syscall.EDQUOT):
		return "your share of the disk is used up"
	case errors.Is(err, syscall.ENAMETOOLONG):
		return "the name is too long"
	}
	return ""
}
