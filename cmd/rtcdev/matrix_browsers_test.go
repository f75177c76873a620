//go:build unix

package main

import (
	"context"
	"crypto/x509"
	"net"
	"path/filepath"
	"strconv"
	"strings"
	"testing"

	"github.com/chromedp/chromedp"
)

// visitWithChromium trusts the root by the account's NSS database, and comes to
// every site by way of the proxy, to those of this machine too.
func visitWithChromium(t *testing.T, root *x509.Certificate, sites []*site) []string {
	a := newAccount(t)
	a.trustInNSS(filepath.Join(a.home, ".pki", "nssdb"), a.writeRoot(root))
	p := a.startBrowser(
		chromedp.ProxyServer("http://"+serveProxy(t, sites)),
		chromedp.Flag("proxy-bypass-list", "<-loopback>"), // nothing goes past it
	)
	said := make([]string, len(sites))
	ctx := p.ctx
	for i, s := range sites {
		said[i] = visitInTab(ctx, s)
		if !strings.Contains(said[i], s.secret) {
			// From the third refusal on, the same session waits 3 s before it
			// says so: it looks for a hotel's login page instead.
			fresh, cancel := chromedp.NewContext(p.ctx, chromedp.WithNewBrowserContext())
			defer cancel()
			ctx = fresh
		}
	}
	return said
}

// visitInTab returns the text of the page, or why it does not load.
func visitInTab(ctx context.Context, s *site) string {
	limited, cancel := context.WithTimeout(ctx, patience)
	defer cancel()
	if _, err := chromedp.Run(limited, chromedp.Navigate(s.url())); err != nil {
		return err.Error()
	}
	page, err := chromedp.Run(limited, chromedp.Evaluate[string]("document.body.textContent"))
	if err != nil {
		return err.Error()
	}
	return page
}

// visitWithFirefox trusts the root by its profile's NSS database, and comes to
// every site by way of the proxy as well.
func visitWithFirefox(t *testing.T, root *x509.Certificate, sites []*site) []string {
	a := newAccount(t)
	profile := filepath.Join(a.home, "profile")
	a.trustInNSS(profile, a.writeRoot(root))
	host, number, err := net.SplitHostPort(serveProxy(t, sites))
	if err != nil {
		t.Fatal(err)
	}
	proxyPort, err := strconv.Atoi(number)
	if err != nil {
		t.Fatal(err)
	}
	f := startFirefox(t, a.home, profile, map[string]any{
		"network.proxy.type":                      1, // the proxy that is named here
		"network.proxy.ssl":                       host,
		"network.proxy.ssl_port":                  proxyPort,
		"network.proxy.no_proxies_on":             "",
		"network.proxy.allow_hijacking_localhost": true,
	})
	said := make([]string, len(sites))
	for i, s := range sites {
		if err := f.navigate(s.url()); err != nil {
			said[i] = err.Error()
		} else if said[i], err = f.evaluate("document.body.textContent"); err != nil {
			said[i] = err.Error()
		}
	}
	return said
}
