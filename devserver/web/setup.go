package web

import (
	"html/template"
	"net/http"
	"strings"
)

// A guide is the steps for one kind of device, in the form the templates read.
type guide struct {
	ID       string // "ios", "android", "samsung", "windows", "mac", "linux", "linux-firefox" or "chromeos"
	Browser  Browser
	Download string // address of the root in this device's form
	RootName string
	Plain    string // this page's address
	App      string // where it goes on
}

// guideIDs lists the guides in the order in which they are offered.
func guideIDs() []string {
	return []string{"ios", "android", "samsung", "windows", "mac", "linux", "linux-firefox", "chromeos"}
}

// guidesOf chooses the guides for a device, the likeliest first; none if nobody
// knows. asked is what somebody chose by hand.
func guidesOf(d Device, asked string) []string {
	for _, id := range guideIDs() {
		if id == asked {
			return []string{id}
		}
	}
	switch d.Platform {
	case IOS, IPadOS:
		return []string{"ios"}
	case Android:
		if d.Samsung {
			return []string{"samsung"}
		}
		return []string{"android"}
	case Windows:
		return []string{"windows"}
	case MacOS:
		if d.MaybeIPad {
			return []string{"mac", "ios"}
		}
		return []string{"mac"}
	case Linux:
		if d.Browser == Firefox {
			return []string{"linux-firefox"}
		}
		return []string{"linux"}
	case ChromeOS:
		return []string{"chromeos"}
	}
	return nil
}

// downloadFor is the address of the root in the form that a device can use:
// Apple's take a profile (iOS 26 saves a .crt as .crt.html), Android and Windows
// DER with the ending they look for, browsers that import it themselves PEM.
func downloadFor(id string) string {
	switch id {
	case "ios", "mac":
		return "/_rtcdev/ca.mobileconfig"
	case "android", "samsung", "windows":
		return "/_rtcdev/ca.crt"
	}
	return "/_rtcdev/ca.pem"
}

// choice is a link to another guide.
type choice struct{ ID, Link string }

// setUpPage is what the frame "set-up" reads.
type setUpPage struct {
	frame
	Device  Device
	Guides  []guide
	Choices []choice
	Escape  template.URL // out of an app's window
	Groups  []string     // the fingerprint in lines of eight bytes
	Script  template.JS
}

// SetUp answers with the page that helps a device to trust the root. The link's
// query goes on to the app (room, secret); "lang" (en, ko) and "device" choose
// for this page, and stay behind.
func (p *Pages) SetUp(w http.ResponseWriter, r *http.Request) {
	v, ok := visitOf(w, r)
	if !ok {
		return
	}
	page := setUpPage{
		frame: p.frame(v), Device: v.device, Escape: v.escape(), Groups: groups(p.cfg.Fingerprint), Script: p.script,
	}
	for _, id := range guidesOf(v.device, v.query.Get("device")) {
		page.Guides = append(page.Guides, guide{
			ID: id, Browser: v.device.Browser, Download: downloadFor(id), RootName: p.cfg.RootName, Plain: v.Plain(), App: v.App(),
		})
	}
	for _, id := range guideIDs() {
		if len(page.Guides) != 1 || page.Guides[0].ID != id {
			page.Choices = append(page.Choices, choice{id, v.with("device", id)})
		}
	}
	p.show(w, r, http.StatusOK, v.lang, "set-up", v.connects(), page)
}

// groups cuts a fingerprint into lines of eight bytes, short enough for a phone.
func groups(fingerprint string) []string {
	var lines []string
	bytes := strings.SplitAfter(fingerprint, ":")
	for len(bytes) > 8 {
		lines = append(lines, strings.Join(bytes[:8], ""))
		bytes = bytes[8:]
	}
	return append(lines, strings.Join(bytes, ""))
}
