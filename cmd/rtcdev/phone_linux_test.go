package main

import (
	"bytes"
	"encoding/base64"
	"encoding/hex"
	"encoding/json"
	"encoding/pem"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/chromedp/cdproto/browser"
	"github.com/chromedp/chromedp"
	"github.com/creack/pty"

	"rtcdev/devserver/lan"
)

// cable is a network of two machines, a laptop and a phone: each is a network namespace,
// with a cable between l0 and p0.
type cable struct {
	t             *testing.T
	laptop, phone string
}

const (
	laptopAddress = "10.77.0.1"
	phoneAddress  = "10.77.0.2"
)

func newCable(t *testing.T) cable {
	t.Helper()
	need(t, "ip", "iproute2")
	lacking := t.Skipf
	if os.Getenv("CI") == "true" {
		lacking = t.Fatalf
	}
	if os.Geteuid() != 0 {
		lacking("only root may make network namespaces: sudo go test ./cmd/rtcdev")
	}
	name := fmt.Sprintf("rtcdev%d-%d-", os.Getpid(), time.Now().UnixNano()%1e6)
	c := cable{t, name + "l", name + "p"}
	for _, ns := range []string{c.laptop, c.phone} {
		if out, err := exec.Command("ip", "netns", "add", ns).CombinedOutput(); err != nil {
			lacking("making a network namespace: %v: %s", err, out)
		}
		t.Cleanup(func() { c.ip("netns del " + ns) })
		c.ip("-n " + ns + " link set lo up")
	}
	c.ip("link add l0 netns " + c.laptop + " type veth peer name p0 netns " + c.phone)
	// Chromium breaks off what it loads when an address comes up, such as IPv6's own.
	c.ip("-n " + c.laptop + " link set l0 addrgenmode none")
	c.ip("-n " + c.phone + " link set p0 addrgenmode none")
	c.ip("-n " + c.laptop + " address add " + laptopAddress + "/24 dev l0")
	c.ip("-n " + c.phone + " address add " + phoneAddress + "/24 dev p0")
	c.ip("-n " + c.laptop + " link set l0 up")
	c.ip("-n " + c.phone + " link set p0 up")
	return c
}

// ip runs ip(8), with its arguments between spaces.
func (c cable) ip(args string) {
	c.t.Helper()
	if out, err := exec.Command("ip", strings.Fields(args)...).CombinedOutput(); err != nil {
		c.t.Fatalf("ip %s: %v: %s", args, err, out)
	}
}

// newAccountIn is a person's account on one of the two machines.
func newAccountIn(t *testing.T, namespace string) *account {
	a := newAccount(t)
	a.namespace = namespace
	return a
}

// download clicks the set-up page's button and returns what the browser has saved.
func (p *tab) download(dir string) []byte {
	p.t.Helper()
	if _, err := chromedp.Call(p.ctx, browser.SetDownloadBehavior, browser.SetDownloadBehaviorParams{
		Behavior: browser.SetDownloadBehaviorBehaviorAllow, DownloadPath: dir,
	}); err != nil {
		p.t.Fatal(err)
	}
	do(p, "downloading the root", chromedp.Click("a.download"))
	var saved []byte
	eventually(p.t, "the root is downloaded", func() error {
		var err error
		saved, err = os.ReadFile(filepath.Join(dir, "rtcdev-ca.pem"))
		return err
	})
	return saved
}

// install has the account's browsers trust a root while they run, in the way of a
// company's policy (CACertificates of chromeenterprise.google/policies): Chromium's own
// dialog for it cannot be driven, and its database is read when it starts.
func (a *account) install(root []byte) {
	a.t.Helper()
	block, _ := pem.Decode(root)
	if block == nil {
		a.t.Fatalf("what was downloaded is no certificate: %.200q", root)
	}
	policy, err := json.Marshal(map[string][]string{"CACertificates": {base64.StdEncoding.EncodeToString(block.Bytes)}})
	if err != nil {
		a.t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(a.policies(), "managed", "root.json"), policy, 0o644); err != nil {
		a.t.Fatal(err)
	}
}

// A phone scans the code and ends up in the call: it begins over plain HTTP with an empty
// profile, is shown its steps, downloads and installs the root, and is taken on without
// a reload. Then the laptop gets another address, and is found there.
func TestPhone(t *testing.T) {
	network := newCable(t)
	laptop, phone := newAccountIn(t, network.laptop), newAccountIn(t, network.phone)
	laptop.trust()
	s := laptop.serve(laptop.emptyFolder("empty"), "--port", "0", "--host")
	if len(s.ready.Networks) != 1 || s.ready.Networks[0].SetUp != fmt.Sprintf("http://%s:%d/", laptopAddress, s.ready.Port) {
		t.Fatalf("the phone is told to begin at %+v", s.ready.Networks)
	}
	byName := ""
	if name, err := lan.HostName(); err == nil { // else this machine has none that it could say
		if e := s.event("name"); e["own"] != true || e["url"] != fmt.Sprintf("https://%s:%d/", name, s.ready.Port) {
			t.Errorf("the laptop's name: %v", e)
		}
		byName = name
	}
	there := laptop.open(s.ready.Room)
	there.wait(`document.body.dataset.state === "waiting"`)
	p := phone.open(s.ready.Networks[0].SetUp + "?room=lobby")
	p.wait(`document.querySelector("#status").textContent.includes("Begin with step 1")`)
	if steps := eval[int](p, `[...document.querySelectorAll(".steps > li h3")].filter((e) => e.checkVisibility()).length`); steps < 3 {
		t.Errorf("it is shown %d steps", steps)
	}
	wantDevice(t, s, map[string]any{"name": "Linux computer", "setUp": true, "refused": "certificate", "https": false})

	downloads := t.TempDir()
	saved := p.download(downloads)
	wantDevice(t, s, map[string]any{"downloaded": true, "refused": "certificate", "https": false})
	laptop.run(laptop.home, "certs", "export", "--format", "pem", "-o", "root.pem")
	if exported, err := os.ReadFile(filepath.Join(laptop.home, "root.pem")); err != nil || !bytes.Equal(saved, exported) {
		t.Errorf("the root that was downloaded is another one: %v\n%s\n%s", err, saved, exported)
	}
	phone.checkSetUpFiles(s, saved, byName)
	phone.install(saved)

	p.wait(fmt.Sprintf(`location.href === "https://%s:%d/?room=lobby" && document.querySelector("#remoteVideo")`, laptopAddress, s.ready.Port))
	p.wantVideo()
	there.wantVideo()
	p.chat(there, "hello from the phone")
	wantDevice(t, s, map[string]any{"https": true, "webSocket": true, "room": "lobby", "refused": nil})

	network.ip("-n " + network.laptop + " address del " + laptopAddress + "/24 dev l0")
	if e := s.event("networks"); len(e["networks"].([]any)) != 0 {
		t.Errorf("without an address: %v", e)
	}
	network.ip("-n " + network.laptop + " address add 10.77.0.9/24 dev l0")
	moved := fmt.Sprintf("https://10.77.0.9:%d/", s.ready.Port)
	if e := s.event("networks"); !strings.Contains(fmt.Sprint(e["networks"]), moved) {
		t.Errorf("with another address: %v", e)
	}
	do(p, "opening the new address", chromedp.Navigate(moved+"?room=lobby"))
	p.wantVideo()
	there.wantVideo()
	p.chat(there, "here again")
	there.wantQuietConsole()
}

// checkSetUpFiles fetches what a phone may have without HTTPS, and a page by the laptop's
// name if it has one.
func (a *account) checkSetUpFiles(s *server, root []byte, name string) {
	a.t.Helper()
	need(a.t, "curl", "curl")
	block, _ := pem.Decode(root)
	fetch := func(file string) (header, body string) {
		saved := filepath.Join(a.home, file)
		header = a.output("curl", "-fsS", "-D", "-", "-o", saved, s.ready.Networks[0].SetUp+"_rtcdev/"+file)
		content, err := os.ReadFile(saved)
		if err != nil {
			a.t.Fatal(err)
		}
		return header, string(content)
	}
	for file, contentType := range map[string]string{
		"ca.crt": "application/x-x509-ca-cert", "ca.pem": "application/pem-certificate-chain", "ca.mobileconfig": "application/x-apple-aspen-config",
	} {
		header, body := fetch(file)
		if !strings.Contains(header, "Content-Type: "+contentType+"\r\n") || !strings.Contains(header, `Content-Disposition: attachment; filename="rtcdev-`+file+`"`) {
			a.t.Errorf("%s comes as\n%s", file, header)
		}
		switch file {
		case "ca.crt":
			if body != string(block.Bytes) {
				a.t.Error("ca.crt is not the root")
			}
		case "ca.mobileconfig":
			in := a.output(need(a.t, "/usr/bin/python3", "python3"), "-c",
				"import plistlib, sys; p = plistlib.load(open(sys.argv[1], 'rb')); print(p['PayloadContent'][0]['PayloadContent'].hex())", filepath.Join(a.home, file))
			if strings.TrimSpace(in) != hex.EncodeToString(block.Bytes) {
				a.t.Error("the profile does not hold the root")
			}
		}
	}
	if name == "" {
		return
	}
	trusted := filepath.Join(a.home, "ca.pem")
	host := fmt.Sprintf("%s:%d", name, s.ready.Port)
	if health := a.output("curl", "-fsS", "--cacert", trusted, "--resolve", host+":"+laptopAddress, "https://"+host+"/_rtcdev/health"); !strings.Contains(health, "ok") {
		a.t.Errorf("by its name the laptop says %s", health)
	}
}

// wantDevice waits until the phone is told to be so far.
func wantDevice(t *testing.T, s *server, want map[string]any) {
	t.Helper()
next:
	for {
		e := s.event("device")
		if e["addr"] != phoneAddress {
			t.Errorf("a device at %v: %v", e["addr"], e)
		}
		if e["https"] == true && e["refused"] != nil {
			t.Errorf("a device that is well is accused: %v", e)
		}
		for name, value := range want {
			if e[name] != value {
				t.Logf("told on the way: %v", e)
				continue next
			}
		}
		return
	}
}

// Where there is no network at first, the name comes with it.
func TestNameComesWithTheNetwork(t *testing.T) {
	name, err := lan.HostName()
	if err != nil {
		t.Skipf("this machine has no name that it could say: %v", err)
	}
	network := newCable(t)
	network.ip("-n " + network.laptop + " address del " + laptopAddress + "/24 dev l0")
	a := newAccountIn(t, network.laptop)
	s := a.serve(a.emptyFolder("empty"), "--port", "0", "--host", "--room-token="+theSecret)
	if len(s.ready.Networks) > 0 {
		t.Errorf("without an address it is reached at %v", s.ready.Networks)
	}
	network.ip("-n " + network.laptop + " address add " + laptopAddress + "/24 dev l0")
	s.event("networks")
	if e := s.event("name"); e["setUp"] != fmt.Sprintf("http://%s:%d/#room-token=%s", name, s.ready.Port, theSecret) {
		t.Errorf("the name: %v", e)
	}
}

// What the terminal shows is read by a phone, on each kind of console and of each address.
func TestQRCodeOnTheScreen(t *testing.T) {
	network := newCable(t)
	network.ip("-n " + network.laptop + " address add fd77::1/64 dev l0 nodad")
	for name, locale := range map[string]string{"narrow": "C.UTF-8", "wide": "ko_KR.UTF-8"} {
		t.Run(name, func(t *testing.T) {
			a := newAccountIn(t, network.laptop)
			a.settings = []string{"LC_ALL=" + locale}
			cmd := a.command("rtcdev", "serve", "--trust=no", "--host", "--port", "0")
			cmd.Dir = a.emptyFolder("empty")
			cmd.Env = append(cmd.Env, "TERM=xterm-256color")
			term := a.startOnTerminal(cmd, &pty.Winsize{Cols: 132, Rows: 60})
			for _, host := range []string{laptopAddress, `\[fd77::1\]`} {
				address := term.see(`Phone +\S*(http://` + host + `:\d+/)`)
				var code string
				eventually(t, "the code is shown", func() error {
					_, after, _ := strings.Cut(term.screen.String(), "Phone")
					if host != laptopAddress {
						_, after, _ = strings.Cut(after, "Phone")
					}
					begin, end := strings.Index(after, blackInk), strings.LastIndex(after, noColors)
					if name == "wide" {
						begin = strings.Index(after, whitePaper)
					}
					if begin < 0 || !strings.HasSuffix(strings.TrimRight(after, "\r\n"), noColors) {
						return &screenError{after}
					}
					code = strings.ReplaceAll(after[begin:end+len(noColors)], "\r\n", "\n")
					return nil
				})
				for theme, look := range themes() {
					if got, err := scan(screenshot(t, readCells(t, code, look), look), false); err != nil || got != capitals(address) {
						t.Errorf("%s theme: a phone reads %q, %v; want %q", theme, got, err, capitals(address))
					}
				}
				term.typeKeys("n\r")
			}
			term.typeKeys("q\r")
			if err := <-term.ended; err != nil {
				t.Errorf("after q: %v", err)
			}
		})
	}
}
