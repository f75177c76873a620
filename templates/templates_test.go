package templates

import (
	"io/fs"
	"testing"
)

func TestFSAndRenderGiveTheSameBytes(t *testing.T) {
	fsys, err := FS("call")
	if err != nil {
		t.Fatal(err)
	}
	files, err := Render(Options{}, "")
	if err != nil {
		t.Fatal(err)
	}
	for _, f := range files {
		got, err := fs.ReadFile(fsys, f.Path)
		if err != nil || string(got) != string(f.Data) {
			t.Errorf("%s: FS and Render differ (%v)", f.Path, err)
		}
	}
}
