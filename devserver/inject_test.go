package devserver

import (
	"bytes"
	"compress/gzip"
	"io"
	"log/slog"
	"math/rand/v2"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"testing"
	"testing/fstest"
	"testing/iotest"
)

const ourTag = `<script src="/_rtcdev/inject.js"></script>`

func newTestInjector(t *testing.T) (*injector, *strings.Builder) {
	t.Helper()
	var told strings.Builder
	return &injector{tell: func(e Event) { told.WriteString(e.(PageLeft).Reason) }, told: make(map[string]bool)}, &told
}

// Where ^ is, the script goes; pages without one are left alone.
func TestFind(t *testing.T) {
	in, _ := newTestInjector(t)
	for _, marked := range []string{
		`<!doctype html><html><head><title>a</title>^<script src=a.js></script></head></html>`,
		`<!doctype html><html lang=en><head><meta charset=utf-8><style>a{}</style></head>^<body>`,
		`<!doctype html><meta charset=utf-8>^<link rel=stylesheet href=x onload="start()"><script></script>`,
		`^<script>1</script>`,
		`^<p>a</p><script>1</script>`,
		`^text <b>b</b>`,
		"\xef\xbb\xbf ^text",
		"\xef\xbb\xbf<!doctype html>^<body>",
		`</head title="<b>">^<script></script>`,
		`<title></title title="<b>">^<script></script>`,
		`<!-- a --!>^<script>1</script><p>-->`,
		`<!--->^<script>1</script>`,
		`<!-- <script> --><title><script></title>^<body>`,
		`<head>^<noscript><meta name=rtcdev content=no-inject></noscript></head>`,
		`<head>^<base href="https://other.example/x/"><script type=module></script>`, // it moves our address
		`<meta name="rtcdev" content="no-inject"><script></script>`,
		`<META NAME=RTCDEV CONTENT='a No-Inject b'><script></script>`,
		`<meta name="rtcdev" content="inject">^<script></script>`,
		`<meta http-equiv="content-security-policy" content="default-src 'none'"><script></script>`,
		`<meta http-equiv="Content-Security-Policy" content="script-src &#39;self&#39;">^<script></script>`,
		`<title>no script and no body</title>`,
		``, `^just text`, `<!doctype html>`,
		"\xff\xfe<\x00s\x00c\x00r\x00",
	} {
		page, want := strings.Replace(marked, "^", "", 1), strings.Index(marked, "^")
		got, ok := in.find([]byte(page), true, nil, "localhost:8443")
		if !ok || (got.tag != "") != (want >= 0) || want >= 0 && got.at != want {
			t.Errorf("%s: %+v %v, want it at %d", page, got, ok, want)
		}
		// What comes piece by piece gives the same, or asks for more.
		for n := range page {
			if early, ok := in.find([]byte(page[:n]), false, nil, "localhost:8443"); ok && early != got {
				t.Errorf("%q: %+v, and of the whole page %+v", page[:n], early, got)
			}
		}
	}
}

func FuzzFind(f *testing.F) {
	f.Add(`<!doctype html><head><meta name=a content="b>"><title><script></title><script nonce=a>`, 20)
	f.Add(`<meta http-equiv=content-security-policy content="script-src 'nonce-&quot;'"><body>`, 60)
	f.Fuzz(func(t *testing.T, page string, cut int) {
		in := &injector{}
		whole, ok := in.find([]byte(page), true, nil, "localhost")
		if !ok || whole.at < 0 || whole.at > len(page) || whole.tag != "" && page[whole.at] != '<' {
			t.Fatalf("%+v %v", whole, ok)
		}
		if cut < 0 || cut > len(page) {
			return
		}
		if early, ok := in.find([]byte(page[:cut]), false, nil, "localhost"); ok && early != whole {
			t.Fatalf("after %d bytes %+v, of all %+v", cut, early, whole)
		}
	})
}

func TestNonceIsEscaped(t *testing.T) {
	got := scriptAt(0, []string{`script-src 'nonce-a"><b>'`}, "localhost")
	if want := `<script src="/_rtcdev/inject.js" nonce="a&#34;&gt;&lt;b&gt;"></script>`; got.tag != want {
		t.Errorf("%s, want %s", got.tag, want)
	}
}

func TestSpliced(t *testing.T) {
	file := strings.Repeat("0123456789", 100)
	for _, at := range []int{0, 1, 500, len(file)} {
		s := splice{at: at, tag: "<in>"}
		want := file[:at] + s.tag + file[at:]
		if err := iotest.TestReader(newSpliced(strings.NewReader(file), int64(len(file)), s), []byte(want)); err != nil {
			t.Errorf("at %d: %v", at, err)
		}
	}
}

const forPages = "text/html,application/xhtml+xml,*/*;q=0.8"

func TestStaticPagesGetTheScript(t *testing.T) {
	page := "<!doctype html><title>a</title><script>1</script>"
	large := page + strings.Repeat("<p>"+strings.Repeat("x", 1000), 3000)
	late := "<title>" + strings.Repeat("x", maxHead) + "</title><body>"
	r := run(t, func(c *Config) {
		c.BuiltIn = fstest.MapFS{
			"index.html": {Data: []byte(page)}, "large.html": {Data: []byte(large)}, "late.html": {Data: []byte(late)},
			"app.js": {Data: []byte("<script>")}, "empty.html": {},
		}
	})
	ask := func(method, path string, header ...string) *http.Response {
		t.Helper()
		request, err := http.NewRequest(method, r.ready.URL[:len(r.ready.URL)-1]+path, nil)
		if err != nil {
			t.Fatal(err)
		}
		request.Host = "localhost"
		for i := 0; i < len(header); i += 2 {
			request.Header.Set(header[i], header[i+1])
		}
		request.URL.Host = "127.0.0.1" + request.URL.Host[strings.LastIndex(request.URL.Host, ":"):]
		resp, err := r.client.Do(request)
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { resp.Body.Close() })
		return resp
	}
	with := func(page string) string { return strings.Replace(page, "<script>", ourTag+"<script>", 1) }
	for _, tt := range []struct {
		path, want string
		header     []string
	}{
		{"/", with(page), []string{"Accept", forPages}},
		{"/", with(page), []string{"Sec-Fetch-Dest", "iframe"}},
		{"/", with(page), []string{"Sec-Fetch-Dest", "empty", "Sec-Fetch-Mode", "navigate"}}, // a service worker asks
		{"/large.html", with(large), []string{"Sec-Fetch-Dest", "document"}},
		{"/late.html", late, []string{"Sec-Fetch-Dest", "document"}},
		{"/empty.html", "", []string{"Sec-Fetch-Dest", "document"}},
		{"/", page, []string{"Sec-Fetch-Dest", "empty", "Accept", forPages}}, // fetch()
		{"/", page, []string{"Accept", "*/*"}},                               // curl
		{"/app.js", "<script>", []string{"Sec-Fetch-Dest", "document", "Accept", forPages}},
	} {
		resp := ask("GET", tt.path, tt.header...)
		if got := body(resp); got != tt.want {
			t.Errorf("%s %v: %.200s", tt.path, tt.header, got)
		}
		if head := ask("HEAD", tt.path, tt.header...); head.ContentLength != int64(len(tt.want)) {
			t.Errorf("HEAD %s %v: %d bytes, want %d", tt.path, tt.header, head.ContentLength, len(tt.want))
		}
		if vary := resp.Header.Get("Vary"); (vary != "") != strings.HasSuffix(tt.path, "/") && !strings.HasSuffix(tt.path, ".html") {
			t.Errorf("%s varies with %q", tt.path, vary)
		}
		tag := resp.Header.Get("ETag")
		if again := ask("GET", tt.path, append(tt.header, "If-None-Match", tag)...); again.StatusCode != http.StatusNotModified {
			t.Errorf("%s %v: with its tag %s the answer is %s", tt.path, tt.header, tag, again.Status)
		}
	}
	plain, page1 := ask("GET", "/large.html", "Accept", "*/*"), ask("GET", "/large.html", "Accept", forPages)
	if a, b := plain.Header.Get("ETag"), page1.Header.Get("ETag"); a == b {
		t.Errorf("a page is %s with and without the script", a)
	}
	if part := ask("GET", "/large.html", "Accept", forPages, "Range", "bytes=10-59"); body(part) != with(large)[10:60] {
		t.Errorf("a part of a page is of another one")
	}
}

// Pages are left alone when they are to be, and when there is nothing to give.
func TestNoInject(t *testing.T) {
	for name, change := range map[string]func(*Config){
		"no-inject": func(c *Config) { c.NoInject = true },
		"no-turn":   func(c *Config) { c.NoTURN = true },
	} {
		r := run(t, change)
		request, _ := http.NewRequest("GET", r.ready.URL, nil)
		request.URL.Host = strings.Replace(request.URL.Host, "localhost", "127.0.0.1", 1)
		request.Header.Set("Accept", forPages)
		resp, err := r.client.Do(request)
		if err != nil {
			t.Fatal(err)
		}
		if got := body(resp); got != "built-in" {
			t.Errorf("%s: %s", name, got)
		}
		resp.Body.Close()
	}
}

// passed is what a browser that asks for a page gets through the proxy.
func passed(t *testing.T, in *injector, app http.HandlerFunc, header ...string) *http.Response {
	t.Helper()
	closeIdle(t)
	s := httptest.NewServer(app)
	t.Cleanup(s.Close)
	target, err := url.Parse(s.URL)
	if err != nil {
		t.Fatal(err)
	}
	proxy := newProxy(target, in, slog.NewLogLogger(slog.DiscardHandler, slog.LevelDebug))
	return get(proxy, "GET", "/page", append([]string{"Sec-Fetch-Dest", "document", "Accept-Encoding", "gzip, br"}, header...)...)
}

func packed(text string) []byte {
	var b bytes.Buffer
	w := gzip.NewWriter(&b)
	io.WriteString(w, text)
	w.Close()
	return b.Bytes()
}

func TestProxiedPagesGetTheScript(t *testing.T) {
	const page = "<!doctype html><title>a</title><script>1</script>"
	with := strings.Replace(page, "<script>", ourTag+"<script>", 1)
	for _, tt := range []struct {
		name   string
		header http.Header
		body   string
		want   string
		log    string
	}{
		{"plain", http.Header{"Content-Type": {"text/html; charset=utf-8"}}, page, with, ""},
		{"gzip", http.Header{"Content-Type": {"text/html"}, "Content-Encoding": {"gzip"}}, string(packed(page)), with, ""},
		{"br", http.Header{"Content-Type": {"text/html"}, "Content-Encoding": {"br"}}, "\x01\x02", "\x01\x02", "compressed with br"},
		{"json", http.Header{"Content-Type": {"application/json"}}, `"<script>"`, `"<script>"`, ""},
		{"xhtml", http.Header{"Content-Type": {"application/xhtml+xml"}}, page, page, ""},
		{"no type", http.Header{"Content-Type": {""}}, page, page, ""},
		{"utf-16", http.Header{"Content-Type": {"text/html; charset=UTF-16LE"}}, page, page, ""},
		{"download", http.Header{"Content-Type": {"text/html"}, "Content-Disposition": {`attachment; filename="a.html"`}}, page, page, ""},
		{"policy", http.Header{"Content-Type": {"text/html"}, "Content-Security-Policy": {"script-src 'none'"}}, page, page, "Content-Security-Policy"},
		{"report only", http.Header{"Content-Type": {"text/html"}, "Content-Security-Policy-Report-Only": {"script-src 'none'"}}, page, with, ""},
		{"nonce", http.Header{"Content-Type": {"text/html"}, "Content-Security-Policy": {"script-src 'nonce-abc'"}}, page,
			strings.Replace(with, `inject.js"`, `inject.js" nonce="abc"`, 1), ""},
		{"nonce in the page", http.Header{"Content-Type": {"text/html"}}, `<meta http-equiv=Content-Security-Policy content="script-src 'nonce-x'"><body>`,
			`<meta http-equiv=Content-Security-Policy content="script-src 'nonce-x'"><script src="/_rtcdev/inject.js" nonce="x"></script><body>`, ""},
		{"late", http.Header{"Content-Type": {"text/html"}}, "<title>" + strings.Repeat("x", maxHead) + "</title><body>",
			"<title>" + strings.Repeat("x", maxHead) + "</title><body>", "first 64 KB"},
		{"not found", http.Header{"Content-Type": {"text/html"}, "X-Status": {"404"}}, page, with, ""},
		{"empty", http.Header{"Content-Type": {"text/html"}}, "", "", ""},
	} {
		t.Run(tt.name, func(t *testing.T) {
			in, log := newTestInjector(t)
			resp := passed(t, in, func(w http.ResponseWriter, r *http.Request) {
				for name, values := range tt.header {
					w.Header()[name] = values
				}
				w.Header().Set("ETag", `"strong"`)
				if tt.header.Get("X-Status") != "" {
					w.WriteHeader(404)
				}
				io.WriteString(w, tt.body)
			})
			if got := body(resp); got != tt.want {
				t.Errorf("%.300q, want %.300q", got, tt.want)
			}
			if tt.want != tt.body && resp.Header.Get("ETag") != `W/"strong"` {
				t.Errorf("the other page has the tag %s", resp.Header.Get("ETag"))
			}
			if tt.want != tt.body && (resp.Header.Get("Content-Length") != "" || resp.Header.Get("Content-Encoding") != "") {
				t.Errorf("the headers are those of the other page: %v", resp.Header)
			}
			if got := log.String(); (got != "") != (tt.log != "") || !strings.Contains(got, tt.log) {
				t.Errorf("logged %q, want %q", got, tt.log)
			}
		})
	}
}

// What asks for no page is passed on as it is, and its compression with it.
func TestProxyLeavesTheRest(t *testing.T) {
	in, _ := newTestInjector(t)
	small := packed("<script>1</script>")
	resp := passed(t, in, func(w http.ResponseWriter, r *http.Request) {
		if got := r.Header.Get("Accept-Encoding"); got != "gzip, br" {
			t.Errorf("the app is asked for %q", got)
		}
		w.Header().Set("Content-Type", "text/html")
		w.Header().Set("Content-Encoding", "gzip")
		w.Write(small)
	}, "Sec-Fetch-Dest", "empty")
	if got := body(resp); got != string(small) || resp.Header.Get("Content-Encoding") != "gzip" {
		t.Errorf("%q %v", got, resp.Header)
	}
	if resp.Header.Get("Vary") == "" {
		t.Error("a browser may take it for the page")
	}
}

// An app that sends its page piece by piece has it shown so.
func TestProxyStreams(t *testing.T) {
	in, _ := newTestInjector(t)
	seen := make(chan struct{})
	s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Content-Type", "text/html")
		io.WriteString(w, "<!doctype html><title>a</ti")
		w.(http.Flusher).Flush()
		io.WriteString(w, "tle><body>first")
		w.(http.Flusher).Flush()
		select {
		case <-seen:
		case <-r.Context().Done():
		}
		io.WriteString(w, " last")
	}))
	defer s.Close()
	closeIdle(t)
	target, err := url.Parse(s.URL)
	if err != nil {
		t.Fatal(err)
	}
	front := httptest.NewServer(newProxy(target, in, slog.NewLogLogger(slog.DiscardHandler, slog.LevelDebug)))
	defer front.Close()
	request, _ := http.NewRequest("GET", front.URL, nil)
	request.Header.Set("Sec-Fetch-Dest", "document")
	resp, err := http.DefaultClient.Do(request)
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	first := "<!doctype html><title>a</title>" + ourTag + "<body>first"
	got := make([]byte, len(first))
	if _, err := io.ReadFull(resp.Body, got); err != nil || string(got) != first {
		t.Fatalf("%q, %v", got, err)
	}
	close(seen)
	if rest, err := io.ReadAll(resp.Body); err != nil || string(rest) != " last" {
		t.Errorf("%q, %v", rest, err)
	}
}

// A packed page that is broken is no page, and one that is cut off ends as such.
func TestProxyBrokenGzip(t *testing.T) {
	in, _ := newTestInjector(t)
	random := make([]byte, 50_000)
	for i := range random {
		random[i] = byte('a' + rand.IntN(26))
	}
	whole := packed("<body>" + string(random))
	for name, sent := range map[string][]byte{"no gzip": []byte("<body>hello"), "cut off early": whole[:5]} {
		resp := passed(t, in, func(w http.ResponseWriter, r *http.Request) {
			w.Header().Set("Content-Type", "text/html")
			w.Header().Set("Content-Encoding", "gzip")
			w.Write(sent)
		})
		if resp.StatusCode != http.StatusBadGateway {
			t.Errorf("%s: %s", name, resp.Status)
		}
	}
}

// An app that says text bit by bit, without any markup, has it shown so.
func TestProxyStreamsText(t *testing.T) {
	in, _ := newTestInjector(t)
	resp := &http.Response{Body: io.NopCloser(io.MultiReader(strings.NewReader("step 0\n"), iotest.ErrReader(io.ErrClosedPipe))), Header: http.Header{}}
	head, place, err := in.readHead(resp, "localhost")
	if err != nil || string(head) != "step 0\n" || place.at != 0 || place.tag != ourTag {
		t.Errorf("%q %+v %v", head, place, err)
	}
}

// Addresses without number are told of ten times.
func TestLeftIsToldOfTenTimes(t *testing.T) {
	n := 0
	in := &injector{tell: func(Event) { n++ }, told: make(map[string]bool)}
	for i := range 100 {
		in.left(strings.Repeat("/x", i), "why")
		in.left("/x", "why")
	}
	if n != mostLeft {
		t.Errorf("told %d times", n)
	}
}
