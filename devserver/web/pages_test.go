package web

import (
	"encoding/xml"
	"fmt"
	"html"
	"io"
	"net/http"
	"net/http/httptest"
	"regexp"
	"slices"
	"strings"
	"testing"
)

const target = "http://192.168.0.5:8443/?room=kitchen&token=s3cret"

func get(t *testing.T, h http.HandlerFunc, target, ua, lang string) *httptest.ResponseRecorder {
	t.Helper()
	r := httptest.NewRequest("GET", target, nil)
	r.Header.Set("User-Agent", ua)
	r.Header.Set("Accept-Language", lang)
	w := httptest.NewRecorder()
	h(w, r)
	return w
}

func agentOf(t *testing.T, name string) string {
	t.Helper()
	for _, a := range agents {
		if a.name == name {
			return a.ua
		}
	}
	t.Fatalf("no device %q", name)
	return ""
}

// text is what a person reads of a page, in one line.
func text(page string) string {
	for _, cut := range []string{`(?s)<(style|script|template)\b.*?</(style|script|template)>`, `<[^>]*>`} {
		page = regexp.MustCompile(cut).ReplaceAllString(page, "")
	}
	return strings.Join(strings.Fields(html.UnescapeString(page)), " ")
}

// facts are what the page must say to a device, and what it must not.
var facts = []struct {
	device, lang string
	download     string
	says         []string
	silent       []string
}{
	{"iphone", "en", "ca.mobileconfig", []string{
		"Settings › Profile Downloaded", "Settings › General › VPN & Device Management",
		"Settings › General › About › Certificate Trust Settings", "rtcdev minji@studio-mac", "studio-mac"}, []string{"Open this page in Safari", "Firefox on Android"}},
	{"iphone", "ko", "ca.mobileconfig", []string{
		"설정 › 프로파일이 다운로드됨", "설정 › 일반 › VPN 및 기기 관리", "설정 › 일반 › 정보 › 인증서 신뢰 설정", "루트 인증서 전체 신뢰 활성화"}, nil},
	{"iphone-chrome", "en", "ca.mobileconfig", []string{"Open this page in Safari", "http://192.168.0.5:8443/?room=kitchen&token=s3cret"}, nil},
	{"ipad-chrome", "ko", "ca.mobileconfig", []string{"이 iPad 설정하기", "Safari로 여세요"}, nil},
	{"android-chrome", "en", "ca.crt", []string{
		"Do not tap the downloaded file", "rtcdev-ca.crt", "Install anyway",
		"Settings › Security & privacy › More security & privacy › Encryption & credentials › Install a certificate › CA certificate",
		"Settings › Security and privacy › More security settings › Install from phone storage › CA certificate",
		"Firefox on Android ignores", "Use third party CA certificates"}, []string{"mobileconfig"}},
	{"android-chrome", "ko", "ca.crt", []string{"설정 › 보안 및 개인정보 보호 › 기타 보안 설정 › 기기에 저장된 인증서 설치 › CA 인증서",
		"암호화 및 사용자 인증 정보 › 인증서 설치 › CA 인증서", "무시하고 설치"}, nil},
	{"android-samsung", "en", "ca.crt", []string{"Install from phone storage › CA certificate", "Biometrics and security › Other security settings › Install from device storage"},
		[]string{"Encryption & credentials › Install a certificate"}},
	{"android-firefox", "en", "ca.crt", []string{"Settings › About Firefox", "Settings › Secret Settings", "Use third party CA certificates"}, nil},
	{"windows-edge", "en", "ca.crt", []string{"Install Certificate… › Current User", "Browse… › Trusted Root Certification Authorities › OK"}, []string{"Restart Firefox"}},
	{"windows-edge", "ko", "ca.crt", []string{"찾아보기 › 신뢰할 수 있는 루트 인증 기관 › 확인", "모든 인증서를 다음 저장소에 저장"}, nil},
	{"windows-firefox", "en", "ca.crt", []string{"Restart Firefox", "Allow Firefox to automatically trust third-party root certificates you install"}, nil},
	{"mac-chrome", "en", "ca.mobileconfig", []string{"System Settings › General › Device Management", "Trust › Always Trust"}, []string{"On an iPad", "Certificate Trust Settings"}},
	{"mac-safari", "en", "ca.mobileconfig", []string{"System Settings › General › Device Management", "Settings › General › About › Certificate Trust Settings"}, nil},
	{"linux-chrome", "en", "ca.pem", []string{"chrome://certificate-manager", "Trusted Certificates", "Firefox has a store of its own"}, nil},
	{"linux-firefox", "en", "ca.pem", []string{"View Certificates… › Authorities › Import…", "Trust this CA to identify websites"}, []string{"chrome://"}},
	{"chromeos", "ko", "ca.pem", []string{"chrome://certificate-manager", "신뢰할 수 있는 인증서"}, []string{"Linux, Firefox’를"}},
	{"android-kakaotalk", "ko", "ca.crt", []string{"카카오톡 안에서 열린 화면입니다", "다른 브라우저로 열기", "http://192.168.0.5:8443/?room=kitchen"}, nil},
	{"iphone-instagram", "en", "ca.mobileconfig", []string{"This is Instagram’s own window", "Open in external browser", "Safari"}, nil},
	{"android-app", "en", "ca.crt", []string{"This is an app’s own window", "Open in Chrome"}, nil},
	{"curl", "en", "", []string{"What kind of device is this?", "Choose your device"}, nil},
}

func TestSetUpSays(t *testing.T) {
	pages := newPages(t)
	for _, f := range facts {
		t.Run(f.device+"-"+f.lang, func(t *testing.T) {
			w := get(t, pages.SetUp, target, agentOf(t, f.device), f.lang)
			page, said := w.Body.String(), text(w.Body.String())
			for _, s := range f.says {
				if !strings.Contains(said, s) {
					t.Errorf("it does not say %q", s)
				}
			}
			if f.download != "" && !strings.Contains(said, testConfig().Fingerprint) {
				t.Error("it does not show the fingerprint")
			}
			for _, s := range f.silent {
				if strings.Contains(said, s) {
					t.Errorf("it says %q", s)
				}
			}
			links := regexp.MustCompile(`class="button download" href="([^"]*)"`).FindAllStringSubmatch(page, -1)
			for _, l := range links {
				if l[1] != "/_rtcdev/"+f.download {
					t.Errorf("the download is %s, want %s", l[1], f.download)
				}
			}
			if (len(links) == 0) != (f.download == "") {
				t.Errorf("%d downloads", len(links))
			}
			if app := `data-app="https://192.168.0.5:8443/?room=kitchen&amp;token=s3cret"`; !strings.Contains(page, app) {
				t.Errorf("no %s", app)
			}
		})
	}
}

// TestChoices follows the links to the other devices.
func TestChoices(t *testing.T) {
	pages := newPages(t)
	page := get(t, pages.SetUp, target, "", "en").Body.String()
	for _, id := range guideIDs() {
		link := "/?device=" + id + "&room=kitchen&token=s3cret"
		if !strings.Contains(page, `href="`+html.EscapeString(link)+`"`) {
			t.Errorf("no link %s", link)
		}
		chosen := get(t, pages.SetUp, "http://192.168.0.5:8443"+link, "", "en").Body.String()
		if strings.Count(chosen, "<section class=\"guide\"") != 1 || !strings.Contains(chosen, `data-guide="`+id+`"`) {
			t.Errorf("%s does not show the guide", link)
		}
	}
}

// everyPage calls f with each page for each device in both languages.
func everyPage(t *testing.T, f func(t *testing.T, w *httptest.ResponseRecorder)) {
	pages := newPages(t)
	for _, lang := range []string{"en", "ko"} {
		for _, a := range agents {
			for name, h := range map[string]http.HandlerFunc{"set-up": pages.SetUp, "need-secret": pages.NeedSecret, "to-https": pages.ToHTTPS} {
				t.Run(fmt.Sprintf("%s-%s-%s", name, a.name, lang), func(t *testing.T) {
					f(t, get(t, h, target, a.ua, lang))
				})
			}
		}
	}
}

// TestMarkup checks that what opens is closed in order, that ids are unique and
// meet those they are named by, and that nothing is inline that a strict policy
// refuses or comes from elsewhere.
func TestMarkup(t *testing.T) {
	everyPage(t, func(t *testing.T, w *httptest.ResponseRecorder) {
		page := w.Body.String()
		// What HTML may leave out is put in, so that XML's strict rules hold.
		for form, with := range map[string]string{
			`(?s)(<style>).*?(</style>)`: "$1$2", `(?s)(<script type="module">).*?(</script>)`: "$1$2",
			`(<(?:meta|link)[^>]*)>`: "$1/>", ` hidden([ >])`: ` hidden=""$1`,
		} {
			page = regexp.MustCompile(form).ReplaceAllString(page, with)
		}
		if rest, ok := strings.CutPrefix(page, "<!doctype html>\n"); !ok || strings.Contains(page, "ZgotmplZ") || strings.Contains(page, "<no value>") {
			t.Fatalf("the page is broken: %.300s", page)
		} else {
			page = rest
		}
		var ids, uses []string
		d := xml.NewDecoder(strings.NewReader(page))
		d.Entity = xml.HTMLEntity
		for depth := 0; ; {
			token, err := d.Token()
			if err == io.EOF {
				if depth != 0 {
					t.Errorf("%d elements are not closed", depth)
				}
				break
			}
			if err != nil {
				t.Fatal(err)
			}
			switch e := token.(type) {
			case xml.EndElement:
				depth--
			case xml.StartElement:
				depth++
				for _, a := range e.Attr {
					switch name := a.Name.Local; {
					case name == "id":
						ids = append(ids, a.Value)
					case name == "style" || strings.HasPrefix(name, "on") || name == "src":
						t.Errorf("<%s %s=%q>", e.Name.Local, name, a.Value)
					case name == "href" && strings.HasPrefix(a.Value, "#"):
						uses = append(uses, a.Value[1:])
					case name == "href" && strings.HasPrefix(a.Value, "http") && !strings.HasPrefix(a.Value, "https://192.168.0.5:8443/"):
						t.Errorf("a link to %s", a.Value)
					}
				}
			}
		}
		slices.Sort(ids)
		if len(slices.Compact(slices.Clone(ids))) != len(ids) {
			t.Errorf("an id twice: %q", ids)
		}
		for _, u := range uses {
			if !slices.Contains(ids, u) {
				t.Errorf("no element has the id %q", u)
			}
		}
	})
}

func TestHeaders(t *testing.T) {
	everyPage(t, func(t *testing.T, w *httptest.ResponseRecorder) {
		h := w.Header()
		policy := h.Get("Content-Security-Policy")
		for _, want := range []string{"default-src 'none'", "script-src 'sha256-", "style-src 'sha256-", "frame-ancestors 'none'", "base-uri 'none'", "form-action 'none'"} {
			if !strings.Contains(policy, want) {
				t.Errorf("the policy lacks %s: %s", want, policy)
			}
		}
		if strings.Contains(policy, "unsafe") {
			t.Errorf("the policy is %s", policy)
		}
		for name, want := range map[string]string{"Content-Type": "text/html; charset=utf-8", "Cache-Control": "no-store",
			"Referrer-Policy": "no-referrer", "X-Content-Type-Options": "nosniff"} {
			if got := h.Get(name); got != want {
				t.Errorf("%s: %q, want %q", name, got, want)
			}
		}
	})
}

func TestStatus(t *testing.T) {
	pages := newPages(t)
	if w := get(t, pages.SetUp, target, "", "en"); w.Code != 200 {
		t.Errorf("SetUp: %d", w.Code)
	}
	w := get(t, pages.NeedSecret, target, "", "ko")
	if said := text(w.Body.String()); w.Code != 403 || !strings.Contains(said, "링크의 비밀 값이 빠졌거나 맞지 않습니다") || !strings.Contains(said, "room-token=") {
		t.Errorf("NeedSecret: %d %s", w.Code, said)
	}
	w = get(t, pages.ToHTTPS, "http://192.168.0.5:8443/a%2Fb?c=d&lang=ko", "", "en")
	if to := w.Header().Get("Location"); w.Code != 307 || to != "https://192.168.0.5:8443/a%2Fb?c=d&lang=ko" {
		t.Errorf("ToHTTPS: %d %s", w.Code, to)
	}
	if link := `href="/_rtcdev/trust?c=d&amp;lang=ko"`; !strings.Contains(w.Body.String(), link) {
		t.Errorf("ToHTTPS has no %s", link)
	}
	r := httptest.NewRequest("GET", "/", nil)
	r.Host = "a;b"
	w = httptest.NewRecorder()
	if pages.SetUp(w, r); w.Code != 400 {
		t.Errorf("a Host that is none: %d", w.Code)
	}
	r = httptest.NewRequest("HEAD", target, nil)
	w = httptest.NewRecorder()
	if pages.SetUp(w, r); w.Code != 200 || w.Body.Len() != 0 {
		t.Errorf("HEAD: %d with %d bytes", w.Code, w.Body.Len())
	}
}

// TestGroups checks that lines put together are what the terminal shows.
func TestGroups(t *testing.T) {
	for _, f := range []string{testConfig().Fingerprint, "AA", ""} {
		lines := groups(f)
		if strings.Join(lines, "") != f || len(lines) > 4 {
			t.Errorf("%q in lines is %q", f, lines)
		}
	}
}
