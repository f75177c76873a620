package devserver

import (
	"fmt"
	"log"
	"net/http"
	"net/http/httputil"
	"net/url"
	"time"
)

// proxyURL reads Config.Proxy. The error is a [*SettingError].
func proxyURL(text string) (*url.URL, error) {
	u, err := url.Parse(text)
	if err != nil || u.Scheme != "http" && u.Scheme != "https" || u.Host == "" {
		return nil, setting("%q is no address to pass requests on to: give one like http://localhost:5173", text)
	}
	return u, nil
}

// newProxy passes requests on to the app server at target, WebSockets included,
// so that its pages get HTTPS and signaling from here. The app sees its own
// address in Host and, from its own pages, in Origin: app servers refuse others.
func newProxy(target *url.URL, injector *injector, errors *log.Logger) http.Handler {
	proxy := &httputil.ReverseProxy{
		ErrorLog: errors,
		Rewrite: func(r *httputil.ProxyRequest) {
			r.SetURL(target)
			r.SetXForwarded()
			withoutToken(r.Out) // it is rtcdev's, and not for the app's logs
			injector.ask(r.In, r.Out)
			if r.In.Header.Get("Origin") == "https://"+r.In.Host {
				r.Out.Header.Set("Origin", target.Scheme+"://"+target.Host)
			}
		},
		ModifyResponse: injector.modify,
		ErrorHandler: func(w http.ResponseWriter, _ *http.Request, err error) {
			http.Error(w, fmt.Sprintf("The app at %s does not answer (%v).\nStart it, then reload this page.", target, err), http.StatusBadGateway)
		},
	}
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		// How long an answer may take is for the app to say: its event streams
		// last as long as the page.
		control := http.NewResponseController(w)
		_ = control.SetReadDeadline(time.Time{}) // a writer without deadlines has none to lift
		_ = control.SetWriteDeadline(time.Time{})
		proxy.ServeHTTP(w, r)
	})
}
