package web

import "strings"

// Platform is what a device runs.
type Platform string

// The platforms that have steps of their own.
const (
	IOS      Platform = "ios" // an iPhone or iPod
	IPadOS   Platform = "ipados"
	Android  Platform = "android"
	Windows  Platform = "windows"
	MacOS    Platform = "macos" // or an iPad: see Device.MaybeIPad
	Linux    Platform = "linux"
	ChromeOS Platform = "chromeos"
	Unknown  Platform = ""
)

// Browser is what shows the page. On iOS and iPadOS each of them is Safari inside.
type Browser string

// The browsers that are told apart.
const (
	Safari          Browser = "Safari"
	Chrome          Browser = "Chrome"
	Firefox         Browser = "Firefox"
	Edge            Browser = "Edge"
	SamsungInternet Browser = "Samsung Internet"
	Opera           Browser = "Opera"
	Whale           Browser = "Whale"
	OtherBrowser    Browser = ""
)

// App is an app that shows web pages in a window of its own, where neither
// downloads nor added roots work.
type App string

// The apps that are told apart, and any other one.
const (
	KakaoTalk App = "KakaoTalk"
	Naver     App = "Naver"
	LINE      App = "LINE"
	Facebook  App = "Facebook" // and Messenger
	Instagram App = "Instagram"
	SomeApp   App = "app"
	NoApp     App = "" // a browser
)

// Device is what a User-Agent header says about who asks.
type Device struct {
	Platform Platform
	Browser  Browser
	App      App
	// MaybeIPad is set with MacOS for what is Safari inside: an iPad says the same,
	// and only a script sees that it has a touch screen.
	MaybeIPad bool
	Samsung   bool // an Android device whose settings are Samsung's
	// Name is short and for a terminal: "iPhone", "Android phone (Samsung)",
	// "iPad (KakaoTalk)", "unknown device".
	Name string
}

// Recognize reads a User-Agent header. It never fails: what it does not know is
// Unknown, and what is unlikely is taken for a browser.
func Recognize(userAgent string) Device {
	ua := agent(userAgent)
	d := Device{Platform: ua.platform(), App: ua.app()}
	d.Browser = ua.browser(d)
	switch d.Platform {
	case MacOS:
		// Apps of phones and browsers made for iOS say Macintosh on an iPad only.
		if d.App != NoApp || ua.has("CriOS/", "FxiOS/", "EdgiOS/", "OPT/") {
			d.Platform = IPadOS
		} else {
			d.MaybeIPad = ua.has("AppleWebKit/") && !ua.has("Chrome/")
		}
	case Android:
		d.Samsung = d.Browser == SamsungInternet || ua.has("; SM-", "SAMSUNG")
	}
	d.Name = ua.name(d)
	return d
}

// TrustIn is where on the device the root is switched on or installed once it has been
// downloaded, in a line for a terminal; empty where that is not known. The names are
// those of the page's steps.
func (d Device) TrustIn() string {
	switch {
	case d.App != NoApp:
		return "open the page in the device’s browser, not in an app"
	case d.Platform == IOS, d.Platform == IPadOS:
		return "Settings › General › About › Certificate Trust Settings"
	case d.Platform == Android && d.Browser == Firefox:
		return "Firefox › Settings › About Firefox › tap the logo, then Secret Settings › Use third party CA certificates"
	case d.Platform == Android:
		return "search the Settings app for “CA certificate”, and install rtcdev-ca.crt there"
	case d.Platform == Windows:
		return "open rtcdev-ca.crt › Install Certificate… › Trusted Root Certification Authorities"
	case d.MaybeIPad:
		return "Mac: System Settings › General › Device Management; iPad: Settings › General › About › Certificate Trust Settings"
	case d.Platform == MacOS:
		return "System Settings › General › Device Management"
	case d.Platform == Linux && d.Browser == Firefox:
		return "Settings › Privacy & Security › View Certificates… › Authorities › Import…"
	case d.Platform == Linux, d.Platform == ChromeOS:
		return "chrome://certificate-manager › Installed by you › Import"
	}
	return ""
}

// agent is a User-Agent header (RFC 9110 §10.1.5).
type agent string

func (ua agent) has(words ...string) bool {
	for _, w := range words {
		if strings.Contains(string(ua), w) {
			return true
		}
	}
	return false
}

// platform asks for the special before the general: Android says Linux too, and
// an iPhone says "like Mac OS X".
func (ua agent) platform() Platform {
	switch {
	case ua.has("iPhone", "iPod"):
		return IOS
	case ua.has("iPad"):
		return IPadOS
	case ua.has("Android", "SamsungBrowser/"): // which calls itself Linux on a tablet
		return Android
	case ua.has("CrOS"):
		return ChromeOS
	case ua.has("Windows"):
		return Windows
	case ua.has("Macintosh"):
		return MacOS
	case ua.has("Linux", "X11"):
		return Linux
	}
	return Unknown
}

// app knows the windows of apps by the words they add; any other WebView of
// Android by "; wv" (Chrome's page "User-Agent strings"), and of iOS by
// the missing "Safari/".
func (ua agent) app() App {
	lower := agent(strings.ToLower(string(ua)))
	switch {
	case lower.has("kakaotalk"):
		return KakaoTalk
	case ua.has("NAVER(inapp"):
		return Naver
	case ua.has(" Line/"):
		return LINE
	case ua.has("Instagram "):
		return Instagram
	case ua.has("FBAN/", "FBAV/", "FB_IAB/"):
		return Facebook
	case ua.has("Android") && ua.has("; wv)"):
		return SomeApp
	case ua.has("iPhone", "iPad", "iPod") && ua.has("AppleWebKit/") && !ua.has("Safari/"):
		return SomeApp
	}
	return NoApp
}

// browser asks for the special before the general: nearly all say Chrome and
// Safari as well.
func (ua agent) browser(d Device) Browser {
	switch {
	case d.App != NoApp:
		return OtherBrowser
	case ua.has("SamsungBrowser/"):
		return SamsungInternet
	case ua.has("Edg/", "EdgA/", "EdgiOS/"):
		return Edge
	case ua.has("OPR/", "OPT/"):
		return Opera
	case ua.has("Whale/"):
		return Whale
	case ua.has("Firefox/", "FxiOS/"):
		return Firefox
	case ua.has("Chrome/", "CriOS/"):
		return Chrome
	case ua.has("Safari/") && ua.has("Version/") && (d.Platform == IOS || d.Platform == IPadOS || d.Platform == MacOS):
		return Safari
	}
	return OtherBrowser
}

func (ua agent) name(d Device) string {
	name := "unknown device"
	var more []string
	switch d.Platform {
	case IOS:
		name = "iPhone"
	case IPadOS:
		name = "iPad"
	case Android:
		name = "Android tablet"
		if ua.has("Mobile") {
			name = "Android phone"
		}
		if d.Samsung {
			more = append(more, "Samsung")
		} else if ua.has("; Pixel") {
			more = append(more, "Pixel")
		}
	case Windows:
		name = "Windows PC"
	case MacOS:
		name = "Mac"
		if d.MaybeIPad {
			name = "Mac or iPad"
		}
	case Linux:
		name = "Linux computer"
	case ChromeOS:
		name = "Chromebook"
	}
	if d.App != NoApp && d.App != SomeApp {
		more = append(more, string(d.App))
	}
	if len(more) > 0 {
		name += " (" + strings.Join(more, ", ") + ")"
	}
	return name
}
