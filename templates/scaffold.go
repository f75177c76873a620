package templates

import (
	"context"
	"errors"
	"fmt"
	"path/filepath"
	"strings"
)

// Result says what Scaffold wrote or, in a dry run, would write.
type Result struct {
	// Dir is the folder, as an absolute path of the operating system.
	Dir string
	// Files are all files written: relative to Dir, with slashes, sorted.
	Files []string
	// Replaced are those of Files that existed before.
	Replaced []string
	// PackageName is the name in package.json.
	PackageName string
}

// ExistsError says that files which Scaffold would write exist already. Nothing
// was written.
type ExistsError struct {
	// Dir is the folder, as an absolute path of the operating system.
	Dir string
	// Files are all of them: relative to Dir, with slashes, sorted.
	Files []string
}

func (e *ExistsError) Error() string {
	return fmt.Sprintf("%s already has %s; nothing was written", e.Dir, strings.Join(e.Files, ", "))
}

// ErrNotReplaceable is wrapped when something stands in the way that even Force
// must not replace: a folder or device where a file must go, or a file or
// symbolic link where a folder must be. Nothing was written.
var ErrNotReplaceable = errors.New("in the way and never replaced")

// Scaffold writes the template o.Template to the folder dir, which is created
// when there is none. The folder's name, made valid, becomes the package's name.
//
// All or nothing: an error, also from ctx, leaves the folder as it was. Files
// that exist are an *ExistsError, unless o.Force; what can not be replaced is
// ErrNotReplaceable; Render's errors are passed on. A symbolic link at a file's
// place counts as that file: with o.Force the link is replaced, never what it
// points to. With o.DryRun nothing is written, and the result and the errors are
// the same, except for faults that only writing shows, such as a full disk.
func Scaffold(ctx context.Context, dir string, o Options) (*Result, error) {
	o = o.withDefaults()
	abs, err := filepath.Abs(dir)
	if err != nil {
		return nil, fmt.Errorf("finding the folder %s: %w", dir, err)
	}
	name := validPackageName(filepath.Base(abs), o.Template)
	files, err := Render(o, name)
	if err != nil {
		return nil, err
	}
	missing, err := missingFolders(abs)
	if err != nil {
		return nil, err
	}
	result := &Result{Dir: abs, PackageName: name}
	for _, f := range files {
		result.Files = append(result.Files, f.Path)
	}
	if len(missing) == 0 {
		result.Replaced, err = checkTargets(abs, files, o.Force)
		if err != nil {
			return nil, err
		}
	}
	if err := ctx.Err(); err != nil {
		return nil, explain("writing the template to "+abs, err)
	}
	if o.DryRun {
		return result, nil
	}
	if err := write(ctx, abs, missing, files, result.Replaced); err != nil {
		return nil, explain("writing the template to "+abs, err)
	}
	return result, nil
}
