package trust

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strings"
)

// The functions below change one list of strings in a JSON file that is somebody
// else's, and leave every other byte of it alone: the order of members, numbers
// and spaces, too. What jsonAdd adds, jsonRemove takes out again to the byte, also
// objects and lists that had to be made: their marks tell them from empty ones
// that were there before.

// jsonMade is the space after the colon of a member that jsonAdd made: valid, and
// nothing that a person or program writes. In a file that somebody's program has
// written anew since, the marks are gone, and emptied objects and lists stay.
const jsonMade = " \t "

// part is a member of an object or an element of an array.
type part struct {
	key   string // of an object's member
	from  int    // where it begins: an object's member with its key
	start int    // where its value begins
	end   int    // where it and its value end
}

// parts returns what is in the object or array that begins at raw[start].
func parts(raw []byte, start int) ([]part, error) {
	d := json.NewDecoder(bytes.NewReader(raw[start:]))
	open, err := d.Token()
	if err != nil {
		return nil, err
	}
	var found []part
	for d.More() {
		p := part{from: start + int(d.InputOffset())}
		for strings.ContainsRune(" \t\r\n,", rune(raw[p.from])) {
			p.from++
		}
		if open == json.Delim('{') {
			key, err := d.Token()
			if err != nil {
				return nil, err
			}
			p.key, _ = key.(string) // a key is nothing else
		}
		var value json.RawMessage
		if err := d.Decode(&value); err != nil {
			return nil, err
		}
		p.end = start + int(d.InputOffset())
		p.start = p.end - len(value)
		found = append(found, p)
	}
	return found, nil
}

// locate follows keys down from the object that raw is, as far as they are there:
// the first part is that object itself, the last of len(keys)+1 parts the list.
// Of members with the same key the last counts, as it does in a browser.
func locate(raw []byte, keys []string) ([]part, error) {
	if !json.Valid(raw) {
		return nil, errors.New("it is not valid JSON")
	}
	whole := len(raw) - len(bytes.TrimLeft(raw, " \t\r\n"))
	path := []part{{start: whole, end: len(raw)}}
	for i, key := range keys {
		at := path[i].start
		if raw[at] != '{' {
			return nil, fmt.Errorf("there is no object for %s", strings.Join(keys[:i+1], "."))
		}
		members, err := parts(raw, at)
		if err != nil {
			return nil, err
		}
		slices.Reverse(members)
		k := slices.IndexFunc(members, func(p part) bool { return p.key == key })
		if k < 0 {
			return path, nil
		}
		path = append(path, members[k])
	}
	if len(keys) > 0 && raw[path[len(keys)].start] != '[' {
		return nil, fmt.Errorf("%s is not a list", strings.Join(keys, "."))
	}
	return path, nil
}

// made reports whether jsonAdd made the member p.
func (p part) made(raw []byte) bool {
	return bytes.HasSuffix(raw[p.from:p.start], []byte(":"+jsonMade))
}

// jsonList returns the strings in the list; none when there is no list, or no file.
func jsonList(raw []byte, keys []string) ([]string, error) {
	if raw == nil {
		return nil, nil
	}
	path, err := locate(raw, keys)
	if err != nil || len(path) <= len(keys) {
		return nil, err
	}
	elements, err := parts(raw, path[len(keys)].start)
	var found []string
	for _, e := range elements {
		var s *string
		if json.Unmarshal(raw[e.start:e.end], &s) == nil && s != nil {
			found = append(found, *s)
		}
	}
	return found, err
}

// jsonAdd puts value at the end of the list, which it makes if need be. A nil raw
// is no file: it makes one, with the outermost object of several without a mark,
// because Firefox complains of a file without policies.
func jsonAdd(raw []byte, keys []string, value string) ([]byte, error) {
	if raw == nil && len(keys) > 1 {
		raw = fmt.Appendf(nil, "{%q:{}}\n", keys[0])
	} else if raw == nil {
		raw = []byte("{}\n")
	}
	path, err := locate(raw, keys)
	if err != nil {
		return nil, err
	}
	text, err := json.Marshal(value)
	if err != nil {
		return nil, err
	}
	into := len(path) - 1 // the innermost that is there
	for i := len(keys) - 1; i >= into; i-- {
		key, err := json.Marshal(keys[i])
		if err != nil {
			return nil, err
		}
		if i == len(keys)-1 {
			text = slices.Concat([]byte("["), text, []byte("]"))
		} else {
			text = slices.Concat([]byte("{"), text, []byte("}"))
		}
		text = slices.Concat(key, []byte(":"+jsonMade), text)
	}
	at := path[into].start + 1
	before, err := parts(raw, path[into].start)
	if err != nil {
		return nil, err
	}
	if len(before) > 0 { // after the last, with the space that is before the last
		last := before[len(before)-1]
		space := last.from - len(bytes.TrimRight(raw[:last.from], " \t\r\n"))
		text = slices.Concat([]byte(","), raw[last.from-space:last.from], text)
		at = last.end
	}
	return slices.Insert(slices.Clone(raw), at, text...), nil
}

// jsonRemove takes value out of the list, and what jsonAdd made as far as it is
// empty then.
func jsonRemove(raw []byte, keys []string, value string) ([]byte, error) {
	members, err := jsonList(raw, keys)
	if err != nil || !slices.Contains(members, value) {
		return raw, err
	}
	for range slices.DeleteFunc(members, func(member string) bool { return member != value }) {
		path, err := locate(raw, keys)
		if err != nil {
			return nil, err
		}
		raw, err = cut(raw, path[len(keys)], func(p part) bool {
			var s *string
			return json.Unmarshal(raw[p.start:p.end], &s) == nil && s != nil && *s == value
		})
		if err != nil {
			return nil, err
		}
	}
	for n := len(keys); n > 0; n-- {
		path, err := locate(raw, keys)
		if err != nil || len(path) <= n || !path[n].made(raw) {
			return raw, err
		}
		inside, err := parts(raw, path[n].start)
		if err != nil || len(inside) > 0 {
			return raw, err
		}
		if raw, err = cut(raw, path[n-1], func(p part) bool { return p.from == path[n].from }); err != nil {
			return nil, err
		}
	}
	return raw, nil
}

// cut takes the first part that is chosen out of an object or array.
func cut(raw []byte, of part, chosen func(part) bool) ([]byte, error) {
	all, err := parts(raw, of.start)
	i := slices.IndexFunc(all, chosen)
	if err != nil || i < 0 {
		return raw, err
	}
	from, to := all[i].from, all[i].end
	switch {
	case i > 0:
		from = all[i-1].end
	case len(all) > 1:
		to = all[1].from
	}
	return slices.Delete(slices.Clone(raw), from, to), nil
}

// jsonEmpty reports whether there is nothing in raw, but perhaps an empty object
// or list under key.
func jsonEmpty(raw []byte, key string) bool {
	path, err := locate(raw, nil)
	if err != nil {
		return false
	}
	members, err := parts(raw, path[0].start)
	if err != nil || len(members) == 0 {
		return err == nil
	}
	inside, err := parts(raw, members[0].start)
	open := raw[members[0].start]
	return err == nil && len(members) == 1 && members[0].key == key && len(inside) == 0 && (open == '{' || open == '[')
}
