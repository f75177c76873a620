package devserver

import (
	"net/url"
	"strings"
)

// scriptNonce tells whether the policies (CSP Level 3) let a script element with an address of
// this server run, and the nonce that it needs for that, if any.
func scriptNonce(policies []string, host string) (nonce string, ok bool) {
	var all [][]string
	for _, list := range policies {
		for policy := range strings.SplitSeq(list, ",") { // one header may have several (§3.1)
			if sources, bound := scriptSources(policy); bound {
				all = append(all, sources)
			}
		}
	}
	needed := false
	for _, sources := range all {
		if letsOwn(sources, host) {
			continue
		}
		needed = true
		if nonce == "" {
			nonce = firstNonce(sources)
		}
	}
	if !needed {
		return "", true
	}
	for _, sources := range all {
		if !letsOwn(sources, host) && !hasNonce(sources, nonce) {
			return "", false
		}
	}
	return nonce, nonce != ""
}

// scriptSources is the policy's source list for script elements (§6.8.4), in lower case but for
// nonces. Without one the policy does not bind them.
func scriptSources(policy string) (sources []string, bound bool) {
	lists := make(map[string][]string)
	for directive := range strings.SplitSeq(policy, ";") {
		words := strings.Fields(directive)
		if len(words) == 0 {
			continue
		}
		name := strings.ToLower(words[0])
		if _, twice := lists[name]; !twice { // the first one counts (§2.2.1)
			lists[name] = words[1:]
		}
	}
	if allowed, ok := lists["sandbox"]; ok && !containsFold(allowed, "allow-scripts") {
		return nil, true
	}
	for _, name := range []string{"script-src-elem", "script-src", "default-src"} {
		if sources, bound = lists[name]; bound {
			return sources, true
		}
	}
	return nil, false
}

// letsOwn tells whether a source list lets a script of this server run by its address
// alone (§6.7.2.8). With 'strict-dynamic' no address counts.
func letsOwn(sources []string, host string) bool {
	if containsFold(sources, "'strict-dynamic'") {
		return false
	}
	for _, source := range sources {
		switch source = strings.ToLower(source); {
		case source == "'self'", source == "*", source == "https:":
			return true
		case source == strings.ToLower(host), source == "https://"+strings.ToLower(host), source == "https://"+strings.ToLower(host)+"/":
			return true
		case strings.HasPrefix(source, "https://") && matchesHost(source, host):
			return true
		}
	}
	return false
}

// matchesHost tells a source with a path, as "https://localhost:8443/_rtcdev/".
func matchesHost(source, host string) bool {
	u, err := url.Parse(source)
	return err == nil && u.Host == strings.ToLower(host) && (u.Path == injectPath || strings.HasSuffix(u.Path, "/") && strings.HasPrefix(injectPath, u.Path))
}

func firstNonce(sources []string) string {
	for _, source := range sources {
		if nonce, ok := nonceOf(source); ok {
			return nonce
		}
	}
	return ""
}

func hasNonce(sources []string, nonce string) bool {
	for _, source := range sources {
		if got, ok := nonceOf(source); ok && got == nonce {
			return true
		}
	}
	return false
}

// nonceOf reads 'nonce-…' (§2.3.1).
func nonceOf(source string) (string, bool) {
	const begin = "'nonce-"
	if len(source) <= len(begin)+1 || !strings.EqualFold(source[:len(begin)], begin) || !strings.HasSuffix(source, "'") {
		return "", false
	}
	return source[len(begin) : len(source)-1], true
}

func containsFold(words []string, word string) bool {
	for _, w := range words {
		if strings.EqualFold(w, word) {
			return true
		}
	}
	return false
}
