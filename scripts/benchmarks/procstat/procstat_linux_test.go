package procstat

import (
	"os"
	"os/exec"
	"testing"
	"time"
)

// A process that does nothing but work uses the processor for as long as it runs,
// and one that waits does not.
func TestCPU(t *testing.T) {
	busy := exec.Command("sh", "-c", "while :; do :; done")
	idle := exec.Command("sleep", "60")
	for _, cmd := range []*exec.Cmd{busy, idle} {
		if err := cmd.Start(); err != nil {
			t.Fatal(err)
		}
		defer func() { _ = cmd.Process.Kill(); _ = cmd.Wait() }()
	}
	for deadline := time.Now().Add(20 * time.Second); ; {
		used, err := CPU(busy.Process.Pid)
		if err != nil {
			t.Fatal(err)
		}
		if used > 100*time.Millisecond {
			break
		}
		if time.Now().After(deadline) {
			t.Fatalf("20 s of work took %v", used)
		}
	}
	if used, err := CPU(idle.Process.Pid); err != nil || used > 100*time.Millisecond {
		t.Errorf("waiting took %v, %v", used, err)
	}
}

func TestMemory(t *testing.T) {
	before, err := ReadMemory(os.Getpid())
	if err != nil {
		t.Fatal(err)
	}
	const size = 64 << 20
	held := make([]byte, size)
	for i := range held {
		held[i] = 1
	}
	after, err := ReadMemory(os.Getpid())
	if err != nil {
		t.Fatal(err)
	}
	if grown := after.Now - before.Now; grown < size*9/10 || after.Peak < after.Now*9/10 {
		t.Errorf("%d bytes more: %+v, then %+v", size, before, after)
	}
	if held[size-1] != 1 {
		t.Error("never")
	}
}

func TestNoSuchProcess(t *testing.T) {
	const never = 1 << 22 // above every process id
	if _, err := CPU(never + 1); err == nil {
		t.Error("CPU of no process")
	}
	if _, err := ReadMemory(never + 1); err == nil {
		t.Error("memory of no process")
	}
}
