package trust

import (
	"bytes"
	"slices"
	"strings"
	"testing"
)

// TestJSONListOfSomebodyElse adds to files as people write them, and takes it out
// again to the byte.
func TestJSONListOfSomebodyElse(t *testing.T) {
	keys := []string{"policies", "Certificates", "Install"}
	for name, test := range map[string]struct{ before, after, left string }{
		"no file":             {"", "{\"policies\":{\"Certificates\": \t {\"Install\": \t [\"/x\"]}}}\n", "{\"policies\":{}}\n"},
		"an empty object":     {"{}", "{\"policies\": \t {\"Certificates\": \t {\"Install\": \t [\"/x\"]}}}", "same"},
		"no policies":         {"{ \"policies\": {\n} }", "{ \"policies\": {\"Certificates\": \t {\"Install\": \t [\"/x\"]}\n} }", "same"},
		"other policies":      {"{\n  \"policies\": {\n    \"A\": 1.0e+2\n  }\n}\n", "{\n  \"policies\": {\n    \"A\": 1.0e+2,\n    \"Certificates\": \t {\"Install\": \t [\"/x\"]}\n  }\n}\n", "same"},
		"other certificates":  {`{"policies":{"Certificates":{"ImportEnterpriseRoots":true}},"z":null}`, "{\"policies\":{\"Certificates\":{\"ImportEnterpriseRoots\":true,\"Install\": \t [\"/x\"]}},\"z\":null}", "same"},
		"other members":       {`{"policies":{"Certificates":{"Install":["/a", 7, "/b" ],"B":[ ]}}}`, `{"policies":{"Certificates":{"Install":["/a", 7, "/b", "/x" ],"B":[ ]}}}`, "same"},
		"one to a line":       {"{\"policies\":{\"Certificates\":{\"Install\":[\n\t\"/a\",\n\t\"/b\"\n]}}}", "{\"policies\":{\"Certificates\":{\"Install\":[\n\t\"/a\",\n\t\"/b\",\n\t\"/x\"\n]}}}", "same"},
		"an empty list":       {`{"policies":{"Certificates":{"Install":[ ]}}}`, `{"policies":{"Certificates":{"Install":["/x" ]}}}`, "same"},
		"no certificates":     {`{"policies":{"Certificates":{ }}}`, "{\"policies\":{\"Certificates\":{\"Install\": \t [\"/x\"] }}}", "same"},
		"written anew since":  {`{"policies": {"Certificates": {"Install": []}}}`, `{"policies": {"Certificates": {"Install": ["/x"]}}}`, "same"},
		"the key twice":       {`{"policies":{"Certificates":{"Install":["/a"],"Install":["/b"]}}}`, `{"policies":{"Certificates":{"Install":["/a"],"Install":["/b","/x"]}}}`, "same"},
		"keys with escapes":   {`{"pol\u0069cies":{"Certificates":{"Install":["/a"]}},"é\ud800":"\"}]"}`, `{"pol\u0069cies":{"Certificates":{"Install":["/a","/x"]}},"é\ud800":"\"}]"}`, "same"},
		"the key in a string": {`{"a":"{\"policies\":{}}","policies":{"a":{"Certificates":[]}}}`, "{\"a\":\"{\\\"policies\\\":{}}\",\"policies\":{\"a\":{\"Certificates\":[]},\"Certificates\": \t {\"Install\": \t [\"/x\"]}}}", "same"},
	} {
		t.Run(name, func(t *testing.T) {
			before := []byte(test.before)
			if test.before == "" {
				before = nil
			}
			after, err := jsonAdd(before, keys, "/x")
			if err != nil || string(after) != test.after {
				t.Fatalf("added: %q, %v, want %q", after, err, test.after)
			}
			if test.left == "same" {
				test.left = test.before
			}
			if left, err := jsonRemove(after, keys, "/x"); err != nil || string(left) != test.left {
				t.Errorf("removed: %q, %v, want %q", left, err, test.left)
			}
			if left, err := jsonRemove(after, keys, "/other"); err != nil || string(left) != test.after {
				t.Errorf("what is not there was removed: %q, %v", left, err)
			}
		})
	}
	// Several of ours go in any order.
	for _, before := range []string{`{}`, `{"policies":{"Certificates":{"Install":[]}}}`, `{"policies":{"Certificates":{}}}`, `{"policies": { "Certificates":{"Install":[ "/a"]} } }`} {
		for _, order := range [][]string{{"/x", "/y", "/z"}, {"/z", "/y", "/x"}, {"/y", "/x", "/z"}} {
			raw := []byte(before)
			var err error
			for _, value := range []string{"/x", "/y", "/z"} {
				raw, err = jsonAdd(raw, keys, value)
				must(t, err)
			}
			for _, value := range order {
				raw, err = jsonRemove(raw, keys, value)
				must(t, err)
			}
			if string(raw) != before {
				t.Errorf("%s became %s", before, raw)
			}
		}
	}
	// Ours in the middle, and twice.
	left, err := jsonRemove([]byte(`{"policies":{"Certificates":{"Install":["/x", "/a","/x" , "/b"]}}}`), keys, "/x")
	if want := `{"policies":{"Certificates":{"Install":["/a" , "/b"]}}}`; err != nil || string(left) != want {
		t.Errorf("%s, %v", left, err)
	}
}

func TestJSONThatIsRefused(t *testing.T) {
	keys := []string{"policies", "Certificates", "Install"}
	for _, raw := range []string{"", " ", "x", "{", `{"policies":{}`, `{"policies":{}} {}`, "[]", "7", `"policies"`, `{"policies":[]}`, `{"policies":{"Certificates":null}}`,
		`{"policies":{"Certificates":{"Install":"/a"}}}`, `{"policies":{"Certificates":{"Install":{}}}}`, "\ufeff{}", "{\"policies\":{}} // x", "{'policies':{}}",
		strings.Repeat("[", 20000), `{"policies":` + strings.Repeat(`{"policies":`, 20000)} {
		for name, do := range map[string]func() error{
			"list":   func() error { _, err := jsonList([]byte(raw), keys); return err },
			"add":    func() error { _, err := jsonAdd([]byte(raw), keys, "/x"); return err },
			"remove": func() error { _, err := jsonRemove([]byte(raw), keys, "/x"); return err },
		} {
			if err := do(); err == nil {
				t.Errorf("%s accepts %.60q", name, raw)
			}
		}
	}
}

func TestJSONEmpty(t *testing.T) {
	for raw, want := range map[string]bool{
		"{}": true, ` { "policies" : { } } `: true, `{"policies":[]}`: true, `{"policies":{"A":{}}}`: false, `{"other":{}}`: false,
		`{"policies":{},"other":{}}`: false, `{"policies":0}`: false, `{"policies":""}`: false, "x": false, "": false, `["policies"]`: false,
	} {
		if got := jsonEmpty([]byte(raw), "policies"); got != want {
			t.Errorf("%q: %t", raw, got)
		}
	}
}

// FuzzJSONList: whatever the file has in it, the value is added, and the file is
// what it was to the byte once the value is out again.
func FuzzJSONList(f *testing.F) {
	for _, raw := range []string{`{}`, `{"a":{"b":["/x",{"c":1}]}}`, "{ \"a\" :\n{\"z\":-1.5e3 , \"b\" : [ ] } , \"q\":\"\\u00e9\" }", `{"a":{"b":7}}`, `{"a":{},"a":{"b":["é"]}}`, `{"a":{"b":[]}}`, `{"a":{ }}`, `[`} {
		f.Add([]byte(raw), "/etc/x")
	}
	f.Fuzz(func(t *testing.T, raw []byte, value string) {
		keys := []string{"a", "b"}
		before, err := jsonList(raw, keys)
		added, addErr := jsonAdd(raw, keys, value)
		if raw == nil {
			return
		}
		if (err == nil) != (addErr == nil) {
			t.Fatalf("list: %v, add: %v", err, addErr)
		}
		if err != nil {
			return
		}
		after, err := jsonList(added, keys)
		if err != nil || len(after) != len(before)+1 || !slices.Equal(after[:len(before)], before) {
			t.Fatalf("%q was %q and is %q, %v", added, before, after, err)
		}
		value = after[len(before)] // as JSON writes it
		if slices.Contains(before, value) {
			return
		}
		removed, err := jsonRemove(added, keys, value)
		if err != nil {
			t.Fatal(err)
		}
		if !bytes.Contains(raw, []byte(jsonMade)) && !bytes.Equal(removed, raw) {
			t.Fatalf("%q became %q", raw, removed)
		}
	})
}
