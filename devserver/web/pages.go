package web

import (
	"bytes"
	"crypto/sha256"
	"embed"
	"encoding/base64"
	"fmt"
	"html/template"
	"net/http"
	"strings"
)

//go:embed *.tmpl setup.css setup.js secret.js inject.js
var files embed.FS

// Config is what the pages say about this machine.
type Config struct {
	// Computer is the name that people know this machine by, for example
	// "studio-mac".
	Computer string
	// Fingerprint is the SHA-256 of the root's DER form as the terminal shows it:
	// 32 hexadecimal bytes with colons between them.
	Fingerprint string
	// RootName is the root's common name, which a device's settings list it by.
	RootName string
}

// Pages are the pages that a device sees before it is in the app. Its methods
// are safe for concurrent use.
type Pages struct {
	cfg       Config
	languages map[string]*template.Template // by language: its texts and the frames
	style     template.CSS
	script    template.JS
	secret    template.JS // of the page that asks for one
	policy    string      // the Content-Security-Policy, without connect-src
}

// New reads the embedded pages. An error is a mistake in them.
func New(cfg Config) (*Pages, error) {
	style, err := files.ReadFile("setup.css")
	if err != nil {
		return nil, fmt.Errorf("reading the page's style: %w", err)
	}
	script, err := files.ReadFile("setup.js")
	if err != nil {
		return nil, fmt.Errorf("reading the page's script: %w", err)
	}
	secret, err := files.ReadFile("secret.js")
	if err != nil {
		return nil, fmt.Errorf("reading the script for secrets: %w", err)
	}
	p := &Pages{
		cfg:       cfg,
		languages: make(map[string]*template.Template),
		style:     template.CSS(style),
		script:    template.JS(script),
		secret:    template.JS(secret),
		policy: "default-src 'none'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'; img-src data:; " +
			"style-src " + hashOf(style) + "; script-src " + hashOf(script) + " " + hashOf(secret),
	}
	for _, lang := range []string{"en", "ko"} {
		t := template.New(lang).Funcs(template.FuncMap{"menu": menu})
		p.languages[lang], err = t.ParseFS(files, "frames.tmpl", "pages."+lang+".tmpl", "setup."+lang+".tmpl")
		if err != nil {
			return nil, fmt.Errorf("reading the pages in %q: %w", lang, err)
		}
	}
	return p, nil
}

// hashOf names an inline style or script for a policy (CSP Level 3 §2.3.1).
func hashOf(text []byte) string {
	sum := sha256.Sum256(text)
	return "'sha256-" + base64.StdEncoding.EncodeToString(sum[:]) + "'"
}

// menu writes the way through menus, such as Settings › General › About.
func menu(names ...string) template.HTML {
	var b strings.Builder
	b.WriteString(`<span class="menu">`)
	for i, name := range names {
		if i > 0 {
			b.WriteString(` <i aria-hidden="true">›</i> `)
		}
		b.WriteString("<b>" + template.HTMLEscapeString(name) + "</b>")
	}
	b.WriteString("</span>")
	return template.HTML(b.String())
}

// frame is what every page has around it.
type frame struct {
	Config
	Lang    string
	Style   template.CSS
	Visit   visit
	OtherIn string // this page in the other language
}

func (p *Pages) frame(v visit) frame {
	other := "ko"
	if v.lang == "ko" {
		other = "en"
	}
	return frame{Config: p.cfg, Lang: v.lang, Style: p.style, Visit: v, OtherIn: v.with("lang", other)}
}

// show answers with a page. connect is the policy's connect-src.
func (p *Pages) show(w http.ResponseWriter, r *http.Request, status int, lang, name, connect string, data any) {
	var page bytes.Buffer
	if err := p.languages[lang].ExecuteTemplate(&page, name, data); err != nil {
		http.Error(w, "rtcdev could not write this page: "+err.Error(), http.StatusInternalServerError)
		return
	}
	h := w.Header()
	h.Set("Content-Type", "text/html; charset=utf-8")
	h.Set("Content-Language", lang)
	h.Set("Content-Security-Policy", p.policy+"; connect-src "+connect)
	h.Set("X-Content-Type-Options", "nosniff")
	h.Set("Referrer-Policy", "no-referrer") // the link may hold a room's secret
	h.Set("Cache-Control", "no-store")
	w.WriteHeader(status)
	if r.Method != http.MethodHead {
		w.Write(page.Bytes())
	}
}

// NeedSecret answers a link that lacks the room's secret: 403 (RFC 9110 §15.5.4).
func (p *Pages) NeedSecret(w http.ResponseWriter, r *http.Request) {
	v, ok := visitOf(w, r)
	if ok {
		page := struct {
			frame
			Script template.JS
		}{p.frame(v), p.secret}
		p.show(w, r, http.StatusForbidden, v.lang, "need-secret", "'none'", page)
	}
}

// ToHTTPS sends a request for plain HTTP to the same address on HTTPS, with a
// page for those who are not taken along. It is 307, which keeps the method and
// is not remembered (RFC 9110 §15.4.8).
func (p *Pages) ToHTTPS(w http.ResponseWriter, r *http.Request) {
	v, ok := visitOf(w, r)
	if ok {
		w.Header().Set("Location", v.Same())
		p.show(w, r, http.StatusTemporaryRedirect, v.lang, "to-https", "'none'", p.frame(v))
	}
}
