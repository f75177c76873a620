package web

import (
	"strings"
	"testing"
	"unicode/utf8"
)

// agents are User-Agent headers as devices of 2024 to 2026 send them.
var agents = []struct {
	name string
	ua   string
	want Device
}{
	{"iphone", "Mozilla/5.0 (iPhone; CPU iPhone OS 17_5_1 like Mac OS X) AppleWebKit/605.1.15 (KHTML, like Gecko) Version/17.5 Mobile/15E148 Safari/604.1",
		Device{Platform: IOS, Browser: Safari, Name: "iPhone"}},
	{"iphone-26", "Mozilla/5.0 (iPhone; CPU iPhone OS 18_6 like Mac OS X) AppleWebKit/605.1.15 (KHTML, like Gecko) Version/26.0 Mobile/15E148 Safari/604.1",
		Device{Platform: IOS, Browser: Safari, Name: "iPhone"}},
	{"iphone-chrome", "Mozilla/5.0 (iPhone; CPU iPhone OS 17_5 like Mac OS X) AppleWebKit/605.1.15 (KHTML, like Gecko) CriOS/126.0.6478.54 Mobile/15E148 Safari/604.1",
		Device{Platform: IOS, Browser: Chrome, Name: "iPhone"}},
	{"iphone-firefox", "Mozilla/5.0 (iPhone; CPU iPhone OS 14_5_1 like Mac OS X) AppleWebKit/605.1.15 (KHTML, like Gecko) FxiOS/127.0 Mobile/15E148 Safari/605.1.15",
		Device{Platform: IOS, Browser: Firefox, Name: "iPhone"}},
	{"iphone-edge", "Mozilla/5.0 (iPhone; CPU iPhone OS 17_7 like Mac OS X) AppleWebKit/605.1.15 (KHTML, like Gecko) Version/17.0 EdgiOS/131.0.2903.92 Mobile/15E148 Safari/605.1.15",
		Device{Platform: IOS, Browser: Edge, Name: "iPhone"}},
	{"iphone-kakaotalk", "Mozilla/5.0 (iPhone; CPU iPhone OS 17_4_1 like Mac OS X) AppleWebKit/605.1.15 (KHTML, like Gecko) Mobile/15E148 KAKAOTALK/11.1.3 (INAPP)",
		Device{Platform: IOS, App: KakaoTalk, Name: "iPhone (KakaoTalk)"}},
	{"iphone-naver", "Mozilla/5.0 (iPhone; CPU iPhone OS 18_1 like Mac OS X) AppleWebKit/605.1.15 (KHTML, like Gecko) Version/18.1 Mobile/15E148 Safari/605.1 NAVER(inapp; search; 2000; 12.9.3; 15PRO)",
		Device{Platform: IOS, App: Naver, Name: "iPhone (Naver)"}},
	{"iphone-line", "Mozilla/5.0 (iPhone; CPU iPhone OS 17_6_1 like Mac OS X) AppleWebKit/605.1.15 (KHTML, like Gecko) Mobile/15E148 Safari Line/14.14.0",
		Device{Platform: IOS, App: LINE, Name: "iPhone (LINE)"}},
	{"iphone-instagram", "Mozilla/5.0 (iPhone; CPU iPhone OS 17_5_1 like Mac OS X) AppleWebKit/605.1.15 (KHTML, like Gecko) Mobile/21F90 Instagram 336.0.7.29.91 (iPhone14,5; iOS 17_5_1; ko_KR; ko; scale=3.00; 1170x2532; 613131223)",
		Device{Platform: IOS, App: Instagram, Name: "iPhone (Instagram)"}},
	{"iphone-facebook", "Mozilla/5.0 (iPhone; CPU iPhone OS 17_5_1 like Mac OS X) AppleWebKit/605.1.15 (KHTML, like Gecko) Mobile/21F90 [FBAN/FBIOS;FBAV/470.1.0.40.108;FBBV/613553530;FBDV/iPhone14,5;FBMD/iPhone;FBSN/iOS;FBSV/17.5.1;FBSS/3;FBID/phone;FBLC/en_US;FBOP/5;FBRV/0]",
		Device{Platform: IOS, App: Facebook, Name: "iPhone (Facebook)"}},
	{"iphone-app", "Mozilla/5.0 (iPhone; CPU iPhone OS 18_3 like Mac OS X) AppleWebKit/605.1.15 (KHTML, like Gecko) Mobile/15E148",
		Device{Platform: IOS, App: SomeApp, Name: "iPhone"}},
	{"ipad-mobile", "Mozilla/5.0 (iPad; CPU OS 17_5_1 like Mac OS X) AppleWebKit/605.1.15 (KHTML, like Gecko) Version/17.5 Mobile/15E148 Safari/604.1",
		Device{Platform: IPadOS, Browser: Safari, Name: "iPad"}},
	{"ipad-chrome", "Mozilla/5.0 (Macintosh; Intel Mac OS X 10_15_7) AppleWebKit/605.1.15 (KHTML, like Gecko) CriOS/126 Version/11.1.1 Safari/605.1.15",
		Device{Platform: IPadOS, Browser: Chrome, Name: "iPad"}},
	{"ipad-kakaotalk", "Mozilla/5.0 (Macintosh; Intel Mac OS X 10_15_7) AppleWebKit/605.1.15 (KHTML, like Gecko) KAKAOTALK/11.1.3 (INAPP)",
		Device{Platform: IPadOS, App: KakaoTalk, Name: "iPad (KakaoTalk)"}},
	{"mac-safari", "Mozilla/5.0 (Macintosh; Intel Mac OS X 10_15_7) AppleWebKit/605.1.15 (KHTML, like Gecko) Version/18.3 Safari/605.1.15",
		Device{Platform: MacOS, Browser: Safari, MaybeIPad: true, Name: "Mac or iPad"}},
	{"mac-chrome", "Mozilla/5.0 (Macintosh; Intel Mac OS X 10_15_7) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/131.0.0.0 Safari/537.36",
		Device{Platform: MacOS, Browser: Chrome, Name: "Mac"}},
	{"mac-firefox", "Mozilla/5.0 (Macintosh; Intel Mac OS X 10.15; rv:133.0) Gecko/20100101 Firefox/133.0",
		Device{Platform: MacOS, Browser: Firefox, Name: "Mac"}},
	{"android-chrome", "Mozilla/5.0 (Linux; Android 10; K) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/131.0.0.0 Mobile Safari/537.36",
		Device{Platform: Android, Browser: Chrome, Name: "Android phone"}},
	{"android-tablet", "Mozilla/5.0 (Linux; Android 10; K) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/131.0.0.0 Safari/537.36",
		Device{Platform: Android, Browser: Chrome, Name: "Android tablet"}},
	{"pixel", "Mozilla/5.0 (Linux; Android 15; Pixel 8 Build/AP4A.250105.002) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/133.0.6943.50 Mobile Safari/537.36",
		Device{Platform: Android, Browser: Chrome, Name: "Android phone (Pixel)"}},
	{"android-samsung", "Mozilla/5.0 (Linux; Android 10; K) AppleWebKit/537.36 (KHTML, like Gecko) SamsungBrowser/27.0 Chrome/125.0.0.0 Mobile Safari/537.36",
		Device{Platform: Android, Browser: SamsungInternet, Samsung: true, Name: "Android phone (Samsung)"}},
	{"samsung-desktop", "Mozilla/5.0 (X11; Linux x86_64) AppleWebKit/537.36 (KHTML, like Gecko) SamsungBrowser/27.0 Chrome/125.0.0.0 Safari/537.36",
		Device{Platform: Android, Browser: SamsungInternet, Samsung: true, Name: "Android tablet (Samsung)"}},
	{"android-firefox", "Mozilla/5.0 (Android 14; Mobile; rv:133.0) Gecko/133.0 Firefox/133.0",
		Device{Platform: Android, Browser: Firefox, Name: "Android phone"}},
	{"android-edge", "Mozilla/5.0 (Linux; Android 10; K) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/131.0.0.0 Mobile Safari/537.36 EdgA/131.0.0.0",
		Device{Platform: Android, Browser: Edge, Name: "Android phone"}},
	{"android-opera", "Mozilla/5.0 (Linux; Android 10; K) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/129.0.0.0 Mobile Safari/537.36 OPR/86.0.0.0",
		Device{Platform: Android, Browser: Opera, Name: "Android phone"}},
	{"android-whale", "Mozilla/5.0 (Linux; Android 14; SM-S918N) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/126.0.0.0 Whale/3.27.254.15 Mobile Safari/537.36",
		Device{Platform: Android, Browser: Whale, Samsung: true, Name: "Android phone (Samsung)"}},
	{"android-kakaotalk", "Mozilla/5.0 (Linux; Android 14; SM-S928N Build/UP1A.231005.007; wv) AppleWebKit/537.36 (KHTML, like Gecko) Version/4.0 Chrome/126.0.6478.122 Mobile Safari/537.36;KAKAOTALK 2610920",
		Device{Platform: Android, App: KakaoTalk, Samsung: true, Name: "Android phone (Samsung, KakaoTalk)"}},
	{"android-naver", "Mozilla/5.0 (Linux; Android 14; SM-F946N Build/UP1A.231005.007; wv) AppleWebKit/537.36 (KHTML, like Gecko) Version/4.0 Chrome/126.0.6478.122 Mobile Safari/537.36 NAVER(inapp; search; 1970; 12.8.51)",
		Device{Platform: Android, App: Naver, Samsung: true, Name: "Android phone (Samsung, Naver)"}},
	{"android-line", "Mozilla/5.0 (Linux; Android 13; SO-51C Build/64.2.A.3.9; wv) AppleWebKit/537.36 (KHTML, like Gecko) Version/4.0 Chrome/129.0.6668.54 Mobile Safari/537.36 Line/14.16.0/IAB",
		Device{Platform: Android, App: LINE, Name: "Android phone (LINE)"}},
	{"android-facebook", "Mozilla/5.0 (Linux; Android 14; Pixel 7 Build/AP1A.240505.004; wv) AppleWebKit/537.36 (KHTML, like Gecko) Version/4.0 Chrome/125.0.6422.113 Mobile Safari/537.36 [FB_IAB/FB4A;FBAV/467.1.0.53.83;]",
		Device{Platform: Android, App: Facebook, Name: "Android phone (Pixel, Facebook)"}},
	{"android-instagram", "Mozilla/5.0 (Linux; Android 14; SM-A546B Build/UP1A.231005.007; wv) AppleWebKit/537.36 (KHTML, like Gecko) Version/4.0 Chrome/124.0.6367.179 Mobile Safari/537.36 Instagram 333.0.0.42.91 Android (34/14; 450dpi; 1080x2116; samsung; SM-A546B; a54x; s5e8835; de_DE; 606477101)",
		Device{Platform: Android, App: Instagram, Samsung: true, Name: "Android phone (Samsung, Instagram)"}},
	{"android-app", "Mozilla/5.0 (Linux; Android 14; 23049PCD8G Build/UKQ1.230804.001; wv) AppleWebKit/537.36 (KHTML, like Gecko) Version/4.0 Chrome/126.0.6478.71 Mobile Safari/537.36",
		Device{Platform: Android, App: SomeApp, Name: "Android phone"}},
	{"windows-chrome", "Mozilla/5.0 (Windows NT 10.0; Win64; x64) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/131.0.0.0 Safari/537.36",
		Device{Platform: Windows, Browser: Chrome, Name: "Windows PC"}},
	{"windows-edge", "Mozilla/5.0 (Windows NT 10.0; Win64; x64) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/131.0.0.0 Safari/537.36 Edg/131.0.0.0",
		Device{Platform: Windows, Browser: Edge, Name: "Windows PC"}},
	{"windows-firefox", "Mozilla/5.0 (Windows NT 10.0; Win64; x64; rv:133.0) Gecko/20100101 Firefox/133.0",
		Device{Platform: Windows, Browser: Firefox, Name: "Windows PC"}},
	{"linux-chrome", "Mozilla/5.0 (X11; Linux x86_64) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/131.0.0.0 Safari/537.36",
		Device{Platform: Linux, Browser: Chrome, Name: "Linux computer"}},
	{"linux-firefox", "Mozilla/5.0 (X11; Ubuntu; Linux x86_64; rv:133.0) Gecko/20100101 Firefox/133.0",
		Device{Platform: Linux, Browser: Firefox, Name: "Linux computer"}},
	{"chromeos", "Mozilla/5.0 (X11; CrOS x86_64 14541.0.0) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/131.0.0.0 Safari/537.36",
		Device{Platform: ChromeOS, Browser: Chrome, Name: "Chromebook"}},
	{"curl", "curl/8.11.0", Device{Name: "unknown device"}},
	{"nothing", "", Device{Name: "unknown device"}},
}

func TestRecognize(t *testing.T) {
	for _, a := range agents {
		t.Run(a.name, func(t *testing.T) {
			if got := Recognize(a.ua); got != a.want {
				t.Errorf("Recognize(%q)\n got %+v\nwant %+v", a.ua, got, a.want)
			}
		})
	}
}

func FuzzRecognize(f *testing.F) {
	for _, a := range agents {
		f.Add(a.ua)
	}
	f.Fuzz(func(t *testing.T, ua string) {
		d := Recognize(ua)
		if d.Name == "" || len(d.Name) > 60 || !utf8.ValidString(d.Name) || strings.ContainsAny(d.Name, "\n\r\x1b") {
			t.Errorf("the name %q of %q is not fit for a terminal", d.Name, ua)
		}
		if d.App != NoApp && d.Browser != OtherBrowser {
			t.Errorf("%q is the app %s and the browser %s", ua, d.App, d.Browser)
		}
	})
}

// Each device that is known is told the way, the one that its page shows.
func TestTrustIn(t *testing.T) {
	for _, a := range agents {
		way := a.want.TrustIn()
		if (way == "") != (a.want.Platform == Unknown && a.want.App == NoApp) {
			t.Errorf("%s: %q", a.name, way)
		}
	}
	if way := Recognize(agentOf(t, "iphone")).TrustIn(); way != "Settings › General › About › Certificate Trust Settings" {
		t.Errorf("an iPhone's way is %q", way)
	}
}
