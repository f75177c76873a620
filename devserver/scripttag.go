package devserver

import (
	"bytes"
	"iter"
	"strings"
)

// scriptTag is a script element of a page that loads its script from elsewhere.
type scriptTag struct {
	src        string // as written, without the spaces around it
	start, end int    // where src is in the page
	integrity  bool   // it has an integrity attribute (W3C SRI §3.3)
}

// scriptTags finds the script elements with a src attribute.
func scriptTags(page []byte) (tags []scriptTag) {
	for tag := range startTags(page) {
		if tag.name != "script" {
			continue
		}
		_, integrity := tag.attribute("integrity")
		src, ok := tag.attribute("src")
		if !ok {
			continue
		}
		text := page[src.from:src.to]
		from := src.from + len(text) - len(bytes.TrimLeft(text, htmlSpace))
		if text = bytes.Trim(text, htmlSpace); len(text) > 0 {
			tags = append(tags, scriptTag{string(text), from, from + len(text), integrity})
		}
	}
	return tags
}

// startTag is the start tag of an element.
type startTag struct {
	name       string // in small letters
	open       int    // where its "<" is in the page
	attributes []attribute
	whole      bool // its end is in the page, too
}

// attribute is one of a start tag.
type attribute struct {
	name     string // in small letters
	from, to int    // where its value is in the page
}

// attribute returns the first one of that name: it counts.
func (t startTag) attribute(name string) (attribute, bool) {
	for _, a := range t.attributes {
		if a.name == name {
			return a, true
		}
	}
	return attribute{}, false
}

// startTags finds the start tags of a page, in the way that a browser's tokenizer does
// (WHATWG HTML §13.2.5) as far as that matters here: not in comments, nor in the text of
// elements whose text is no markup.
func startTags(page []byte) iter.Seq[startTag] {
	return func(yield func(startTag) bool) {
		for at := 0; ; {
			open := bytes.IndexByte(page[at:], '<')
			if open < 0 {
				return
			}
			at += open + 1
			switch rest := page[at:]; {
			case bytes.HasPrefix(rest, []byte("!--")):
				end := commentEnd(rest)
				if end < 0 {
					return
				}
				at += end
			case len(rest) > 1 && rest[0] == '/' && isLetter(rest[1]): // may have attributes, which do nothing
				_, at = readTag(page, at+1)
			case len(rest) > 0 && isLetter(rest[0]):
				tag, next := readTag(page, at)
				if !yield(tag) {
					return
				}
				at = next
				if isRawText(tag.name) {
					at = afterText(page, at, tag.name)
				}
			}
		}
	}
}

// commentEnd is where the comment ends that begins with "!--"; -1 if it does not. "<!-->" is
// a whole one, and "--!>" ends one, too (§13.2.5.51).
func commentEnd(comment []byte) int {
	end := -1
	for _, mark := range []struct {
		text string
		from int
	}{{"-->", 1}, {"--!>", 3}} {
		if at := bytes.Index(comment[mark.from:], []byte(mark.text)); at >= 0 {
			if at += mark.from + len(mark.text); end < 0 || at < end {
				end = at
			}
		}
	}
	return end
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

// afterText returns where the end tag of a raw text element begins, with its "<".
func afterText(page []byte, at int, name string) int {
	for at < len(page) {
		open := bytes.Index(page[at:], []byte("</"))
		if open < 0 {
			break
		}
		at += open + 2
		end := at + len(name)
		if end < len(page) && strings.EqualFold(string(page[at:end]), name) && endsName(page[end]) {
			return at - 2
		}
	}
	return len(page)
}

// readTag reads the start tag whose name begins at at, and returns where it ends.
func readTag(page []byte, at int) (tag startTag, next int) {
	tag.open = at - 1
	start := at
	for at < len(page) && !endsName(page[at]) {
		at++
	}
	tag.name = strings.ToLower(string(page[start:at]))
	for {
		for at < len(page) && (isSpace(page[at]) || page[at] == '/') {
			at++
		}
		tag.whole = at < len(page)
		var a attribute
		a.name, a.from, a.to, at = readAttribute(page, at)
		if a.name == "" {
			return tag, at
		}
		tag.attributes = append(tag.attributes, a)
	}
}

// readAttribute reads the attribute that begins at at, whose value is at from to to, and
// returns where it ends. The name is empty at the end of the tag.
func readAttribute(page []byte, at int) (name string, from, to, next int) {
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
