package templates

import (
	"errors"
	"os"
	"path/filepath"
	"testing"
)

func TestScaffoldFirst(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "내 통화", "My Call.v2")
	r, err := Scaffold(t.Context(), dir, Options{})
	if err != nil {
		t.Fatal(err)
	}
	t.Log(r)
	_, err = Scaffold(t.Context(), dir, Options{})
	var exists *ExistsError
	if !errors.As(err, &exists) {
		t.Fatal(err)
	}
	t.Log(err)
	r, err = Scaffold(t.Context(), dir, Options{Force: true})
	if err != nil {
		t.Fatal(err)
	}
	t.Log(r)
	entries, _ := os.ReadDir(dir)
	t.Log(entries)
}
