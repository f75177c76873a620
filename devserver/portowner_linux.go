package devserver

import (
	"bufio"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"
)

// portOwner names the process that listens on the TCP port, or is empty when
// the system does not tell (another user's process, say). /proc has it in two
// steps: the port's socket inode, and the process with that inode open.
func portOwner(port int) string {
	inodes := listeningInodes(port)
	if len(inodes) == 0 {
		return ""
	}
	fds, _ := filepath.Glob("/proc/[0-9]*/fd/*")
	for _, fd := range fds {
		target, err := os.Readlink(fd)
		if err != nil {
			continue // gone meanwhile, or not ours to read
		}
		inode, found := strings.CutPrefix(target, "socket:[")
		if found && inodes[strings.TrimSuffix(inode, "]")] {
			process := filepath.Dir(filepath.Dir(fd))
			name, err := os.ReadFile(filepath.Join(process, "comm"))
			if err != nil {
				return ""
			}
			// A program chooses its own name, control characters included.
			plain := strings.Trim(strconv.QuoteToGraphic(strings.TrimSpace(string(name))), `"`)
			return fmt.Sprintf("%s (process %s)", plain, filepath.Base(process))
		}
	}
	return ""
}

// listeningInodes reads proc_net_tcp (see proc(5)): local address in the second
// column, state in the fourth (0A is LISTEN), inode in the tenth.
func listeningInodes(port int) map[string]bool {
	inodes := make(map[string]bool)
	suffix := ":" + strings.ToUpper(fmt.Sprintf("%04s", strconv.FormatInt(int64(port), 16)))
	for _, table := range []string{"/proc/net/tcp", "/proc/net/tcp6"} {
		f, err := os.Open(table)
		if err != nil {
			continue
		}
		for lines := bufio.NewScanner(f); lines.Scan(); {
			col := strings.Fields(lines.Text())
			if len(col) > 9 && strings.HasSuffix(col[1], suffix) && col[3] == "0A" {
				inodes[col[9]] = true
			}
		}
		f.Close()
	}
	return inodes
}
