package templates

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
)

// missingFolders returns the folders that must be made so that dir exists,
// outermost first, after checking that they probably can be made.
func missingFolders(dir string) ([]string, error) {
	var missing []string
	for p := dir; ; p = filepath.Dir(p) {
		info, err := os.Stat(p)
		switch {
		case err == nil && !info.IsDir():
			return nil, &fault{p + " is a file, not a folder; choose another folder", ErrNotReplaceable}
		case err == nil:
			if err := checkWritable(p); err != nil {
				return nil, explain("the folder "+p+" can not be written to", err)
			}
			slices.Reverse(missing)
			return missing, nil
		case errors.Is(err, syscall.ENOTDIR):
			// Some parent of p is a file: go on up, to name it.
		case !errors.Is(err, fs.ErrNotExist):
			return nil, explain("the folder "+p+" can not be looked at", err)
		case isLink(p):
			return nil, &fault{p + " is a symbolic link to nowhere; choose another folder", ErrNotReplaceable}
		case p == filepath.Dir(p):
			return nil, fmt.Errorf("finding a folder to write to: %w", err)
		default:
			missing = append(missing, p)
		}
	}
}

func isLink(p string) bool {
	info, err := os.Lstat(p)
	return err == nil && info.Mode()&fs.ModeSymlink != 0
}

// checkTargets returns which of files exist in dir, and fails when they may not
// be replaced. It looks at every file before it judges, so that an error names
// all that is in the way. No symbolic link is followed.
func checkTargets(dir string, files []File, force bool) ([]string, error) {
	root, err := os.OpenRoot(dir)
	if err != nil {
		return nil, explain("the folder "+dir+" can not be opened", err)
	}
	defer root.Close()
	var existing, blocked []string
	for _, f := range files {
		obstacle, err := findObstacle(root, f.Path)
		if err != nil {
			return nil, explain(f.Path+" in "+dir+" can not be looked at", err)
		}
		switch obstacle.kind {
		case replaceable:
			existing = append(existing, obstacle.path)
		case notReplaceable:
			blocked = append(blocked, obstacle.path)
		}
	}
	all := slices.Compact(slices.Sorted(slices.Values(slices.Concat(existing, blocked))))
	if !force && len(all) > 0 {
		return nil, &ExistsError{Dir: dir, Files: all}
	}
	if len(blocked) > 0 {
		return nil, fmt.Errorf("in %s: %s: %w; nothing was written: move it away, or choose another folder",
			dir, strings.Join(slices.Compact(blocked), ", "), ErrNotReplaceable)
	}
	return existing, nil
}

type obstacleKind int

const (
	nothing        obstacleKind = iota
	replaceable                 // a file, or a symbolic link, at the file's own place
	notReplaceable              // a folder or device there, or anything but a folder above it
)

type obstacle struct {
	kind obstacleKind
	path string
}

// findObstacle tells what, if anything, is where the file p must go.
func findObstacle(root *os.Root, p string) (obstacle, error) {
	for i, c := range p {
		if c != '/' {
			continue
		}
		info, err := root.Lstat(p[:i])
		switch {
		case errors.Is(err, fs.ErrNotExist):
			return obstacle{}, nil
		case err != nil:
			return obstacle{}, err
		case !info.IsDir():
			return obstacle{notReplaceable, p[:i]}, nil
		}
	}
	info, err := root.Lstat(p)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return obstacle{}, nil
	case err != nil:
		return obstacle{}, err
	case info.Mode().IsRegular() || info.Mode()&fs.ModeSymlink != 0:
		return obstacle{replaceable, p}, nil
	}
	return obstacle{notReplaceable, p}, nil
}

// parents returns the folders above the files, outermost first.
func parents(files []File) []string {
	var dirs []string
	for _, f := range files {
		for d := path.Dir(f.Path); d != "."; d = path.Dir(d) {
			dirs = append(dirs, d)
		}
	}
	return slices.Compact(slices.Sorted(slices.Values(dirs)))
}
