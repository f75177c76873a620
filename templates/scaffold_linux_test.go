package templates

import (
	"errors"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"reflect"
	"strings"
	"syscall"
	"testing"
)

// tmpfs mounts a small file system in memory, which only root may do.
func tmpfs(t *testing.T, options string) string {
	t.Helper()
	if os.Getuid() != 0 {
		t.Skip("only root may mount the small disk for this test")
	}
	dir := t.TempDir()
	if err := syscall.Mount("tmpfs", dir, "tmpfs", 0, options); err != nil {
		t.Skip("this machine lets nobody mount: ", err)
	}
	t.Cleanup(func() {
		if err := syscall.Unmount(dir, 0); err != nil {
			t.Error(err)
		}
	})
	return dir
}

func TestScaffoldOnAFullDisk(t *testing.T) {
	top := tmpfs(t, "size=16k")
	mustWrite(t, filepath.Join(top, "index.html"), "old")
	before := snapshot(t, top)
	_, err := Scaffold(t.Context(), top, Options{Force: true})
	if !errors.Is(err, syscall.ENOSPC) || !strings.Contains(err.Error(), "the disk is full") {
		t.Errorf("got %v, want no space left", err)
	}
	if after := snapshot(t, top); !reflect.DeepEqual(after, before) {
		t.Errorf("left %q, was %q", after, before)
	}
}

func TestScaffoldOnAReadOnlyDisk(t *testing.T) {
	top := tmpfs(t, "ro")
	for _, dir := range []string{top, filepath.Join(top, "new")} {
		for _, dryRun := range []bool{true, false} {
			_, err := Scaffold(t.Context(), dir, Options{DryRun: dryRun})
			if !errors.Is(err, syscall.EROFS) || !strings.Contains(err.Error(), "can not be written to") {
				t.Errorf("got %v", err)
			}
		}
	}
}

// The kernel's own folders look writable to root, but take nothing.
func TestScaffoldInAFolderOfTheKernel(t *testing.T) {
	for _, dir := range []string{"/proc/rtcdev-test", "/sys/rtcdev-test"} {
		_, err := Scaffold(t.Context(), dir, Options{})
		if err == nil || strings.Contains(err.Error(), "mkdir") || !strings.HasSuffix(err.Error(), "; choose another folder") {
			t.Errorf("%s: got %v", dir, err)
		}
	}
}

// A folder of someone else's is tried by a second process, as root may write anywhere.
func TestScaffoldInAFolderNotOurs(t *testing.T) {
	const variable = "TEMPLATES_TEST_DIR"
	if dir := os.Getenv(variable); dir != "" {
		for _, dryRun := range []bool{true, false} {
			_, err := Scaffold(t.Context(), filepath.Join(dir, "new"), Options{DryRun: dryRun})
			if !errors.Is(err, fs.ErrPermission) || !strings.Contains(err.Error(), "does not allow it; choose another folder") {
				t.Errorf("got %v", err)
			}
		}
		// Behind a folder that lets us not even look.
		_, err := Scaffold(t.Context(), filepath.Join(dir, "closed", "new"), Options{})
		if !errors.Is(err, fs.ErrPermission) || strings.Contains(err.Error(), "stat ") {
			t.Errorf("got %v", err)
		}
		return
	}
	dir := t.TempDir()
	closed := filepath.Join(dir, "closed")
	mustMkdir(t, closed)
	t.Cleanup(func() { os.Chmod(closed, 0o700) })
	if err := errors.Join(os.Chmod(closed, 0), os.Chmod(dir, 0o555)); err != nil {
		t.Fatal(err)
	}
	cmd := exec.Command("/proc/self/exe", "-test.run=^TestScaffoldInAFolderNotOurs$", "-test.count=1")
	cmd.Env = append(os.Environ(), variable+"="+dir)
	cmd.Dir = "/"
	if os.Getuid() == 0 {
		const nobody = 65534
		cmd.SysProcAttr = &syscall.SysProcAttr{Credential: &syscall.Credential{Uid: nobody, Gid: nobody}}
		makeReachable(t, dir)
	}
	if out, err := cmd.CombinedOutput(); err != nil {
		t.Errorf("%v\n%s", err, out)
	}
}

// makeReachable lets everyone pass through the test's own folders to dir.
func makeReachable(t *testing.T, dir string) {
	t.Helper()
	for p := filepath.Dir(dir); p != os.TempDir() && p != "/"; p = filepath.Dir(p) {
		if err := os.Chmod(p, 0o755); err != nil {
			t.Fatal(err)
		}
	}
}
