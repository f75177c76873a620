package devserver

import (
	"net/url"
	"slices"
	"strings"
)

// scriptNonce tells whether the policies (CSP Level 3) let a script element with an address of
// this server run, and the nonce that it needs for that, if any.
func scriptNonce(policies []string, host string) (nonce string, ok bool) {
	var strict [][]string // the source lists that want more than the address
	for _, list := range policies {
		for policy := range strings.SplitSeq(list, ",") { // one header may have several (§3.1)
			if sources, bound := scriptSources(policy); bound && !letsOwn(sources, host) {
				strict = append(strict, sources)
			}
		}
	}
	if len(strict) == 0 {
		return "", true
	}
	for _, source := range strict[0] {
		nonce, ok := nonceOf(source)
		if ok && !slices.ContainsFunc(strict, func(sources []string) bool { return !hasNonce(sources, nonce) }) {
			return nonce, true
		}
	}
	return "", false
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
		return nil, true // nothing runs
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
	host = strings.ToLower(host)
	return slices.ContainsFunc(sources, func(source string) bool {
		source = strings.ToLower(source)
		switch source {
		case "'self'", "*", "https:", host:
			return true
		}
		return namesOwn(source, host)
	})
}

// namesOwn tells a source with a scheme and perhaps a path, as
// "https://localhost:8443/_rtcdev/".
func namesOwn(source, host string) bool {
	u, err := url.Parse(source)
	if err != nil || u.Scheme != "https" || u.Host != host {
		return false
	}
	return u.Path == "" || u.Path == injectPath || strings.HasSuffix(u.Path, "/") && strings.HasPrefix(injectPath, u.Path)
}

func hasNonce(sources []string, nonce string) bool {
	return slices.ContainsFunc(sources, func(source string) bool {
		got, ok := nonceOf(source)
		return ok && got == nonce
	})
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
	return slices.ContainsFunc(words, func(w string) bool { return strings.EqualFold(w, word) })
}
