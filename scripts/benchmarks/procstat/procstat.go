// Package procstat tells what another process has used of the machine: processor
// time and memory. It knows Linux only, and says so elsewhere.
package procstat

import (
	"errors"
	"fmt"
	"os"
	"strconv"
	"strings"
)

// ErrUnsupported is what [CPU] returns on other systems than Linux.
var ErrUnsupported = errors.New("only Linux tells another process's processor time this exactly")

// Memory is what a process has in memory now (its resident set) and had at most,
// in bytes.
type Memory struct{ Now, Peak int64 }

// ReadMemory returns the process's [Memory].
func ReadMemory(pid int) (Memory, error) {
	status, err := os.ReadFile("/proc/" + strconv.Itoa(pid) + "/status")
	if err != nil {
		return Memory{}, fmt.Errorf("reading the memory of process %d: %w", pid, err)
	}
	var m Memory
	for line := range strings.Lines(string(status)) {
		name, value, _ := strings.Cut(line, ":")
		kib, _ := strconv.ParseInt(strings.TrimSuffix(strings.TrimSpace(value), " kB"), 10, 64)
		switch name {
		case "VmRSS":
			m.Now = kib << 10
		case "VmHWM":
			m.Peak = kib << 10
		}
	}
	if m.Now == 0 {
		return Memory{}, fmt.Errorf("process %d has no memory: it has ended", pid)
	}
	return m, nil
}
