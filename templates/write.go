package templates

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path"
	"path/filepath"
	"slices"
)

// transaction is a row of steps that are all done, or all undone again.
type transaction struct {
	ctx  context.Context
	undo []func() error
}

// do does one step and remembers how to undo it. After an error, or once ctx is
// done, nothing more is done and rollback is due.
func (t *transaction) do(step, undo func() error) error {
	if err := t.ctx.Err(); err != nil {
		return err
	}
	if err := step(); err != nil {
		return err
	}
	t.undo = append(t.undo, undo)
	return nil
}

// rollback undoes the steps, the last one first. It goes on after an error, for
// no step removes anything that it did not make: a folder is only removed when
// it is empty.
func (t *transaction) rollback() error {
	var errs []error
	for _, undo := range slices.Backward(t.undo) {
		errs = append(errs, undo())
	}
	return errors.Join(errs...)
}

// write makes the missing folders and then puts the files into dir. They are
// first written to a staging folder inside dir, so that a full disk shows before
// anything changed and the renames stay on one file system. Files to be replaced
// are moved there too, and so can be moved back.
func write(ctx context.Context, dir string, missing []string, files []File, replaced []string) error {
	t := &transaction{ctx: ctx}
	stage := ".rtcdev-init-" + rand.Text()
	root, err := t.open(dir, missing)
	if err == nil {
		err = t.stageAndMove(root, stage, files, replaced)
	}
	if err != nil {
		if undoErr := t.rollback(); undoErr != nil {
			return fmt.Errorf("%w (and not all could be undone: %w; look into the folder %s)", err, undoErr, stage)
		}
		return err
	}
	defer root.Close()
	if err := root.RemoveAll(stage); err != nil {
		return fmt.Errorf("all files are in place, but removing the temporary folder %s failed: %w", stage, err)
	}
	return nil
}

// open makes the missing folders and opens dir. Every change after that goes
// through the root, which refuses to follow a symbolic link out of the folder.
func (t *transaction) open(dir string, missing []string) (*os.Root, error) {
	for _, p := range missing {
		err := t.do(
			func() error { return makeFolder(p) },
			func() error { return os.Remove(p) },
		)
		if err != nil {
			return nil, err
		}
	}
	var root *os.Root
	err := t.do(
		func() (err error) { root, err = os.OpenRoot(dir); return err },
		func() error { return root.Close() }, // Windows can not remove an open folder.
	)
	return root, err
}

func makeFolder(p string) error {
	err := os.Mkdir(p, 0o755)
	switch {
	case errors.Is(err, fs.ErrNotExist): // There is a folder above it: it refuses.
		return &fault{fmt.Sprintf("no folder can be made in %s; choose another folder", filepath.Dir(p)), err}
	case err != nil:
		return explain("the folder "+p+" can not be made", err)
	}
	return nil
}

func (t *transaction) stageAndMove(root *os.Root, stage string, files []File, replaced []string) error {
	mkdir := func(p string, mode fs.FileMode) error {
		return t.do(
			func() error { return root.Mkdir(p, mode) },
			func() error { return root.Remove(p) },
		)
	}
	move := func(from, to string) error {
		return t.do(
			func() error { return moveTo(root, from, to) },
			func() error { return root.Rename(to, from) },
		)
	}
	newPath := func(i int) string { return path.Join(stage, fmt.Sprintf("new-%d", i)) }
	oldPath := func(i int) string { return path.Join(stage, fmt.Sprintf("old-%d", i)) }

	if err := mkdir(stage, 0o700); err != nil {
		return err
	}
	for i, f := range files {
		if err := t.writeFile(root, newPath(i), f.Data); err != nil {
			return fmt.Errorf("writing %s: %w", f.Path, err)
		}
	}
	for _, p := range parents(files) {
		if err := mkdir(p, 0o755); err != nil && !errors.Is(err, fs.ErrExist) {
			return err
		}
	}
	for i, f := range files {
		if slices.Contains(replaced, f.Path) {
			if err := move(f.Path, oldPath(i)); err != nil {
				return err
			}
		}
		if err := move(newPath(i), f.Path); err != nil {
			return err
		}
	}
	return nil
}

// writeFile writes a new file and waits until the disk has it.
func (t *transaction) writeFile(root *os.Root, p string, data []byte) error {
	remove := func() error { return root.Remove(p) }
	var file *os.File
	err := t.do(func() (err error) {
		file, err = root.OpenFile(p, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o644)
		return err
	}, remove)
	if err != nil {
		return err
	}
	_, err = file.Write(data)
	if err == nil {
		err = file.Sync()
	}
	return errors.Join(err, file.Close())
}

// moveTo renames, and fails rather than replace what appeared there meanwhile.
func moveTo(root *os.Root, from, to string) error {
	_, err := root.Lstat(to)
	if err == nil {
		return fmt.Errorf("%s appeared meanwhile: %w", to, fs.ErrExist)
	}
	if !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	return root.Rename(from, to)
}
