package devserver

import (
	"strings"
	"testing"
)

func TestScriptTags(t *testing.T) {
	for page, want := range map[string]string{
		`<script src="a.js"></script>`:                                   "a.js",
		`<SCRIPT SRC='a.js'></SCRIPT><script src=b.js></script>`:         "a.js b.js",
		"<script\n async\tsrc = \" a.js\n\" defer></script>":             "a.js",
		`<script/src=a.js></script>`:                                     "a.js",
		`<script src=a/b.js></script>`:                                   "a/b.js",
		`<script src=a.js/></script>`:                                    "a.js/",
		`<script src="a.js" src="b.js"></script>`:                        "a.js",
		`<script src="" src="b.js"></script>`:                            "",
		`<script async src></script>`:                                    "",
		`<script>src="a.js"</script>`:                                    "",
		`<script>"<script src='x.js'>"</script><script src=b.js>`:        "b.js",
		`<script>"</scripty>"<script src='x.js'>`:                        "",
		`<!-- <script src="x.js"></script> --><script src=b.js>`:         "b.js",
		`<!--><script src="a.js"></script>`:                              "a.js",
		`<!-- <script src="x.js"></script>`:                              "",
		`<p title="<script src='x.js'>">a</p><script src=b.js>`:          "b.js",
		`<p title='>' x=> <script src=b.js>`:                             "b.js",
		`<title><script src="x.js"></script></title><script src=b.js>`:   "b.js",
		`<TextArea><script src=x.js></script></textAREA ><script src=b>`: "b",
		`<noscript><script src=x.js></script></noscript>`:                "",
		`<scripts src="x.js"><xscript src="x.js"><img src="x.js">`:       "",
		`<script data-src="x.js" xsrc="x.js"></script>`:                  "",
		`a < b <script =src="x.js" src="b.js">`:                          "b.js",
		`<script src="a.js" integrity="sha384-x"></script>`:              "a.js!",
		`<script INTEGRITY src='a.js'></script>`:                         "a.js!",
		`<script src="a.js`:                                              "a.js",
		`<script src=`:                                                   "",
		`<script`:                                                        "",
		`<`:                                                              "",
	} {
		var got []string
		for _, tag := range scriptTags([]byte(page)) {
			text := tag.src
			if tag.integrity {
				text += "!"
			}
			got = append(got, text)
		}
		if strings.Join(got, " ") != want {
			t.Errorf("%s: %q, want %q", page, got, want)
		}
	}
}

func FuzzScriptTags(f *testing.F) {
	f.Add(`<!doctype html><!--><p a='<' b=">"><SCRIPT async src = " x.js" integrity=1></script><title><script src=y></title>`)
	f.Add("<script src='x")
	f.Add("</title><script/=src=//a/><style></STYLE\n>")
	f.Fuzz(func(t *testing.T, page string) {
		at := 0
		for _, tag := range scriptTags([]byte(page)) {
			if tag.start < at || tag.end > len(page) || tag.src == "" || page[tag.start:tag.end] != tag.src {
				t.Fatalf("%+v after %d in %q", tag, at, page)
			}
			at = tag.end
		}
	})
}
