package devserver

import (
	"bytes"
	"strings"
)

// scriptTag is a script element of a page that loads its script from elsewhere.
type scriptTag struct {
	src        string // as written, without the spaces around it
	start, end int    // where src is in the page
	integrity  bool   // it has an integrity attribute (W3C SRI §3.3)
}

// scriptTags finds the script elements with a src attribute, in the way that a
// browser's tokenizer does (WHATWG HTML §13.2.5) as far as that matters here:
// not in comments, nor in the text of elements whose text is no markup.
func scriptTags(page []byte) (tags []scriptTag) {
	for at := 0; ; {
		open := bytes.IndexByte(page[at:], '<')
		if open < 0 {
			return tags
		}
		at += open + 1
		switch rest := page[at:]; {
		case bytes.HasPrefix(rest, []byte("!--")): // "<!-->" is a whole comment
			end := bytes.Index(rest[1:], []byte("-->"))
			if end < 0 {
				return tags
			}
			at += 1 + end + len("-->")
		case len(rest) > 0 && isLetter(rest[0]):
			name, tag, next := readTag(page, at)
			if name == "script" && tag.src != "" {
				tags = append(tags, tag)
			}
			at = next
			if isRawText(name) {
				at = afterText(page, at, name)
			}
		}
	}
}

// isRawText tells the elements whose content is text to a browser that runs
// scripts (WHATWG HTML §13.2.6), whatever it looks like.
func isRawText(name string) bool {
	switch name {
	case "script", "style", "textarea", "title", "xmp", "iframe", "noembed", "noframes", "noscript":
		return true
	}
	return false
}

// afterText returns where the end tag of a raw text element begins.
func afterText(page []byte, at int, name string) int {
	for at < len(page) {
		open := bytes.Index(page[at:], []byte("</"))
		if open < 0 {
			break
		}
		at += open + 2
		end := at + len(name)
		if end < len(page) && strings.EqualFold(string(page[at:end]), name) && endsName(page[end]) {
			return at
		}
	}
	return len(page)
}

// readTag reads the start tag whose name begins at at, and returns where it ends.
func readTag(page []byte, at int) (name string, tag scriptTag, next int) {
	start := at
	for at < len(page) && !endsName(page[at]) {
		at++
	}
	name = strings.ToLower(string(page[start:at]))
	hasSource := false
	for {
		var attribute string
		var from, to int
		attribute, from, to, at = readAttribute(page, at)
		switch attribute {
		case "":
			return name, tag, at
		case "integrity":
			tag.integrity = true
		case "src":
			if hasSource {
				continue // only the first one counts
			}
			hasSource = true
			value := page[from:to]
			from += len(value) - len(bytes.TrimLeft(value, htmlSpace))
			value = bytes.Trim(value, htmlSpace)
			tag.src, tag.start, tag.end = string(value), from, from+len(value)
		}
	}
}

// readAttribute reads the next attribute, whose value is at from to to, and
// returns where it ends. The name is empty at the end of the tag.
func readAttribute(page []byte, at int) (name string, from, to, next int) {
	for at < len(page) && (isSpace(page[at]) || page[at] == '/') {
		at++
	}
	if at >= len(page) || page[at] == '>' {
		return "", at, at, min(at+1, len(page))
	}
	start := at
	at++ // a name may begin with "="
	for at < len(page) && !endsName(page[at]) && page[at] != '=' {
		at++
	}
	name = strings.ToLower(string(page[start:at]))
	value := skipSpace(page, at)
	if value >= len(page) || page[value] != '=' {
		return name, at, at, at
	}
	from = skipSpace(page, value+1)
	if from < len(page) && (page[from] == '"' || page[from] == '\'') {
		quote := page[from]
		from++
		for to = from; to < len(page) && page[to] != quote; to++ {
		}
		return name, from, to, min(to+1, len(page))
	}
	for to = from; to < len(page) && !isSpace(page[to]) && page[to] != '>'; to++ {
	}
	return name, from, to, to
}

// htmlSpace is the white space of HTML (WHATWG Infra §4.6, "ASCII whitespace").
const htmlSpace = "\t\n\f\r "

func skipSpace(page []byte, at int) int {
	for at < len(page) && isSpace(page[at]) {
		at++
	}
	return at
}

func isSpace(c byte) bool  { return strings.IndexByte(htmlSpace, c) >= 0 }
func endsName(c byte) bool { return isSpace(c) || c == '/' || c == '>' }
func isLetter(c byte) bool { return 'a' <= c|0x20 && c|0x20 <= 'z' }
