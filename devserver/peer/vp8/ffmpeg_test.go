package vp8

import (
	"bytes"
	"crypto/sha256"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"testing"
)

// need finds a program that a test needs.
func need(t *testing.T, program, debianPackage string) string {
	t.Helper()
	path, err := exec.LookPath(program)
	if err != nil {
		if os.Getenv("CI") == "true" {
			t.Fatalf("%s is missing: apt-get install %s", program, debianPackage)
		}
		t.Skipf("%s is missing: apt-get install %s", program, debianPackage)
	}
	return path
}

// Two decoders that are not ours, ffmpeg's own and libvpx (which is in browsers),
// show every frame as the encoder has it.
func TestDecodersShowTheReconstruction(t *testing.T) {
	ffmpeg := need(t, "ffmpeg", "ffmpeg")
	for _, s := range scenes() {
		t.Run(s.name, func(t *testing.T) {
			contents, want := encodeScene(t, s)
			file := filepath.Join(t.TempDir(), "scene.ivf")
			if err := os.WriteFile(file, contents, 0o600); err != nil {
				t.Fatal(err)
			}
			for _, decoder := range []string{"vp8", "libvpx"} {
				cmd := exec.CommandContext(t.Context(), ffmpeg, "-nostdin", "-v", "error", "-xerror", "-threads", "1",
					"-c:v", decoder, "-i", file, "-f", "rawvideo", "-pix_fmt", "yuv420p", "-fps_mode", "passthrough", "-")
				wantShown(t, decoder, cmd, s.width*s.height+2*((s.width+1)/2)*((s.height+1)/2), want)
			}
		})
	}
}

// wantShown fails unless the command writes the wanted pictures, each of so many
// bytes, and nothing else.
func wantShown(t *testing.T, decoder string, cmd *exec.Cmd, size int, want [][sha256.Size]byte) {
	t.Helper()
	var problems bytes.Buffer
	cmd.Stderr = &problems
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	n, wrong, picture := 0, 0, make([]byte, size)
	for _, err = io.ReadFull(out, picture); err == nil; _, err = io.ReadFull(out, picture) {
		if n >= len(want) || sha256.Sum256(picture) != want[n] {
			if wrong == 0 {
				t.Errorf("%s: frame %d is not the encoder's reconstruction", decoder, n)
			}
			wrong++
		}
		n++
	}
	if err != io.EOF {
		t.Errorf("%s: reading picture %d: %v", decoder, n, err)
	}
	if err := cmd.Wait(); err != nil || problems.Len() > 0 {
		t.Errorf("%s: %v\n%s", decoder, err, problems.Bytes())
	}
	if n != len(want) || wrong > 0 {
		t.Errorf("%s: %d pictures, %d of them wrong; want %d", decoder, n, wrong, len(want))
	}
}
