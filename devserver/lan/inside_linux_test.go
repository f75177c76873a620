package lan

import (
	"bufio"
	"context"
	"fmt"
	"io"
	"net"
	"net/netip"
	"os"
	"os/exec"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"
)

// insideVariable names what TestInside is to do, with its arguments.
const insideVariable = "RTCDEV_LAN_INSIDE"

// said comes before each line that TestInside says, as the test binary prints others too.
const said = "SAID "

// TestInside is what other tests run in a network namespace, in a process of its own: it
// does one thing until its standard input ends, and says what comes of it.
func TestInside(t *testing.T) {
	args := strings.Fields(os.Getenv(insideVariable))
	if len(args) == 0 {
		t.Skip("the other tests run this one")
	}
	say := func(format string, a ...any) { fmt.Printf(said+format+"\n", a...) }
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	over := make(chan struct{})
	go func() {
		defer close(over)
		_, _ = io.Copy(io.Discard, os.Stdin)
		cancel()
	}()
	defer func() { <-over }() // a read of standard input cannot be broken off
	switch args[0] {
	case "watch":
		err := Watch(ctx, func(list []Address) { say("%s", strings.ReplaceAll(lines(list), "\n", ";")) })
		say("end %v", err)
	case "answer": // for the name args[1], with this machine's addresses
		list := func() (ips []netip.Addr) {
			all, err := Addresses()
			if err != nil {
				t.Error(err)
			}
			for _, a := range all {
				ips = append(ips, a.IP)
			}
			return ips
		}
		err := answer(ctx, args[1], list, func() { say("ready") }, time.Second)
		say("end %v", err)
	case "name":
		name, err := Name(ctx)
		say("%q %v", name, err)
	case "connect":
		m, err := readMachine()
		say("%s %v", defaultByConnect(m.links), err)
	case "ask": // for the addresses of args[2] on the interface args[1]
		say("%s", strings.Join(asked(t, ctx, args[1], args[2]), " "))
	default:
		t.Fatalf("nobody knows how to do %q", args)
	}
}

// asked are the addresses that the network has for the name, each once.
func asked(t *testing.T, ctx context.Context, iface, name string) []string {
	t.Helper()
	i, err := net.InterfaceByName(iface)
	if err != nil {
		t.Fatal(err)
	}
	questions, err := addressQuestions(name + ".")
	if err != nil {
		t.Fatal(err)
	}
	var ips []string
	err = ask(ctx, []net.Interface{*i}, questions, func(r reply) bool {
		if ip, ok := r.address(name + "."); ok && !slices.Contains(ips, ip.String()) {
			ips = append(ips, ip.String())
		}
		return false
	})
	if err != nil {
		t.Fatal(err)
	}
	slices.Sort(ips)
	return ips
}

// inside is a TestInside that runs in a namespace.
type inside struct {
	t     *testing.T
	what  string
	lines chan string
	stdin io.Closer
}

// start runs TestInside in the namespace. It has ended when the test has.
func start(t *testing.T, namespace, what string) *inside {
	t.Helper()
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	cmd := exec.Command("ip", "netns", "exec", namespace, self, "-test.run=^TestInside$")
	cmd.Env = append(os.Environ(), insideVariable+"="+what)
	cmd.Stderr = os.Stderr
	stdout, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	stdin, err := cmd.StdinPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	in := &inside{t: t, what: what, lines: make(chan string, 100), stdin: stdin}
	ended := make(chan string)
	go func() {
		defer close(ended)
		defer close(in.lines)
		var rest strings.Builder
		for s := bufio.NewScanner(stdout); s.Scan(); {
			if what, ok := strings.CutPrefix(s.Text(), said); ok {
				in.lines <- what
			} else {
				rest.WriteString(s.Text() + "\n")
			}
		}
		ended <- rest.String()
	}()
	t.Cleanup(func() {
		_ = stdin.Close()
		rest := <-ended
		if err := cmd.Wait(); err != nil {
			t.Errorf("%s in %s: %v\n%s", what, namespace, err, rest)
		}
	})
	return in
}

// next is the next line that was said.
func (in *inside) next() string {
	in.t.Helper()
	select {
	case line, ok := <-in.lines:
		if !ok {
			in.t.Fatalf("%s has ended", in.what)
		}
		return line
	case <-time.After(20 * time.Second):
		in.t.Fatalf("%s says nothing", in.what)
	}
	return ""
}

// want waits for a line.
func (in *inside) want(line string) {
	in.t.Helper()
	for {
		got := in.next()
		if got == line {
			return
		}
		in.t.Logf("%s said %q on the way to %q", in.what, got, line)
	}
}

// end ends it, and waits for its last line.
func (in *inside) end() {
	in.t.Helper()
	_ = in.stdin.Close()
	in.want("end <nil>")
}

// lacking ends the test for want of a tool or a right, with CI=true as a failure.
func lacking(t *testing.T, format string, a ...any) {
	t.Helper()
	if os.Getenv("CI") == "true" {
		t.Fatalf(format, a...)
	}
	t.Skipf(format, a...)
}

func needTool(t *testing.T, tool, debianPackage string) {
	t.Helper()
	if _, err := exec.LookPath(tool); err != nil {
		lacking(t, "%s is not here: apt-get install %s", tool, debianPackage)
	}
}

// A network is two machines, each a network namespace, with a cable between h0 and p0.
type network struct {
	t           *testing.T
	host, phone string
}

func newNetwork(t *testing.T) network {
	t.Helper()
	needTool(t, "ip", "iproute2")
	if os.Geteuid() != 0 {
		lacking(t, "only root may make network namespaces: sudo go test ./devserver/lan")
	}
	name := fmt.Sprintf("rtcdev%d-%d-", os.Getpid(), time.Now().UnixNano()%1e6)
	n := network{t, name + "h", name + "p"}
	for _, ns := range []string{n.host, n.phone} {
		if out, err := exec.Command("ip", "netns", "add", ns).CombinedOutput(); err != nil {
			lacking(t, "making a network namespace: %v: %s", err, out)
		}
		t.Cleanup(func() { n.ip("netns del " + ns) })
		n.ip("-n " + ns + " link set lo up")
	}
	n.ip("link add h0 netns " + n.host + " type veth peer name p0 netns " + n.phone)
	n.onHost("link set h0 up")
	n.onHost("address add 10.77.0.1/24 dev h0")
	n.onPhone("link set p0 up")
	n.onPhone("address add 10.77.0.2/24 dev p0")
	return n
}

// ip runs ip(8), with its arguments between spaces.
func (n network) ip(args string) {
	n.t.Helper()
	if out, err := exec.Command("ip", strings.Fields(args)...).CombinedOutput(); err != nil {
		n.t.Fatalf("ip %s: %v: %s", args, err, out)
	}
}

func (n network) onHost(args string)  { n.t.Helper(); n.ip("-n " + n.host + " " + args) }
func (n network) onPhone(args string) { n.t.Helper(); n.ip("-n " + n.phone + " " + args) }

// avahi runs Avahi in the namespace, for the host name, until the test ends. It answers
// multicast DNS there, and for avahi-resolve, which is resolved by what is returned.
func avahi(t *testing.T, namespace, host string) (resolve func(args ...string) (string, error)) {
	t.Helper()
	needTool(t, "avahi-daemon", "avahi-daemon")
	needTool(t, "avahi-resolve", "avahi-utils")
	needTool(t, "dbus-daemon", "dbus-daemon")
	dir := t.TempDir()
	bus := "unix:path=" + dir + "/bus"
	writeFile(t, dir+"/bus.conf", `<busconfig><type>system</type><listen>`+bus+`</listen><auth>EXTERNAL</auth>
<policy context="default"><allow send_destination="*" eavesdrop="true"/><allow eavesdrop="true"/><allow own="*"/></policy></busconfig>`)
	writeFile(t, dir+"/avahi.conf", "[server]\nhost-name="+host+"\n")
	// "ip netns exec" gives a mount namespace of its own too, so nobody else sees this /run.
	cmd := exec.Command("ip", "netns", "exec", namespace, "sh", "-ec", `
mount -t tmpfs tmpfs /run
mkdir /run/avahi-daemon
dbus-daemon --nofork --config-file="$0/bus.conf" &
until [ -S "$0/bus" ]; do sleep 0.05; done
exec avahi-daemon --no-drop-root --no-chroot --no-rlimits --no-proc-title -f "$0/avahi.conf"`, dir)
	cmd.Env = append(os.Environ(), "DBUS_SYSTEM_BUS_ADDRESS="+bus)
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	cmd.WaitDelay = time.Second
	log, err := cmd.StderrPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	up, ended, all := make(chan struct{}), make(chan struct{}), new(strings.Builder)
	go func() {
		defer close(ended)
		isUp := false
		for s := bufio.NewScanner(log); s.Scan(); {
			all.WriteString(s.Text() + "\n")
			if !isUp && strings.Contains(s.Text(), "Server startup complete") {
				isUp = true
				close(up)
			}
		}
	}()
	t.Cleanup(func() {
		_ = syscall.Kill(-cmd.Process.Pid, syscall.SIGKILL) // the group of what was started here
		<-ended
		_ = cmd.Wait()
	})
	select {
	case <-up:
	case <-ended:
		t.Fatalf("Avahi ended:\n%s", all)
	case <-time.After(20 * time.Second):
		_ = syscall.Kill(-cmd.Process.Pid, syscall.SIGKILL)
		<-ended
		t.Fatalf("Avahi did not start within 20 s:\n%s", all)
	}
	return func(args ...string) (string, error) {
		cmd := exec.Command("ip", append([]string{"netns", "exec", namespace, "avahi-resolve"}, args...)...)
		cmd.Env = append(os.Environ(), "DBUS_SYSTEM_BUS_ADDRESS="+bus)
		out, err := cmd.CombinedOutput()
		return strings.TrimSpace(string(out)), err
	}
}

func writeFile(t *testing.T, path, text string) {
	t.Helper()
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
}
