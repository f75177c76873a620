package vp8

import (
	"context"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/chromedp/chromedp"
)

const patience = 2 * time.Minute

// decodeInPage feeds /scene.ivf to WebCodecs and gives the digest of every picture,
// in hexadecimal, or the error.
const decodeInPage = `(async () => {
	const ivf = new DataView(await (await fetch("/scene.ivf")).arrayBuffer());
	const digests = [];
	let shown = Promise.resolve();
	let problem = "";
	const decoder = new VideoDecoder({
		error: (e) => { problem = String(e); },
		output: (picture) => {
			shown = shown.then(async () => {
				const samples = new Uint8Array(picture.allocationSize());
				await picture.copyTo(samples);
				if (picture.format !== "I420") problem = "the format is " + picture.format;
				picture.close();
				const digest = new Uint8Array(await crypto.subtle.digest("SHA-256", samples));
				digests.push(Array.from(digest, (b) => b.toString(16).padStart(2, "0")).join(""));
			});
		},
	});
	decoder.configure({ codec: "vp8", hardwareAcceleration: "prefer-software", optimizeForLatency: true });
	for (let at = 32, n = 0; at < ivf.byteLength && !problem; n++) {
		const size = ivf.getUint32(at, true);
		const data = new Uint8Array(ivf.buffer, at + 12, size);
		decoder.decode(new EncodedVideoChunk({ type: data[0] & 1 ? "delta" : "key", timestamp: 40000 * n, data }));
		at += 12 + size;
		while (decoder.decodeQueueSize > 8) await new Promise((done) => decoder.addEventListener("dequeue", done, { once: true }));
		await shown;
	}
	if (!problem) await decoder.flush().catch((e) => { problem = problem || String(e); });
	await shown;
	return JSON.stringify({ problem, digests });
})()`

// openBrowser starts a headless Chromium with a fresh profile.
func openBrowser(t *testing.T) context.Context {
	t.Helper()
	home := t.TempDir()
	options := append(chromedp.DefaultExecAllocatorOptions[:],
		chromedp.ExecPath(need(t, "chromium", "chromium")),
		chromedp.NoInheritEnv,
		chromedp.Env("HOME="+home, "PATH="+os.Getenv("PATH")),
		chromedp.UserDataDir(filepath.Join(home, "profile")),
		chromedp.DisableGPU,
		chromedp.Flag("disable-component-update", true),
		chromedp.WSURLReadTimeout(patience),
	)
	if os.Geteuid() == 0 { // Chromium's sandbox refuses root
		options = append(options, chromedp.NoSandbox)
	}
	alloc, cancel := chromedp.NewExecAllocator(context.Background(), options...)
	t.Cleanup(cancel)
	ctx, cancel := chromedp.NewContext(alloc)
	t.Cleanup(cancel)
	// The browser lives as long as the context of the first action.
	if _, err := chromedp.Run(ctx, chromedp.Navigate("about:blank")); err != nil {
		t.Fatalf("starting Chromium: %v", err)
	}
	return ctx
}

// A browser's decoder shows every frame as the encoder has it.
func TestChromiumShowsTheReconstruction(t *testing.T) {
	var file []byte
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path == "/scene.ivf" {
			w.Write(file)
			return
		}
		w.Header().Set("Content-Type", "text/html")
		fmt.Fprint(w, "<!DOCTYPE html><title>VP8</title>")
	}))
	defer server.Close()
	browser := openBrowser(t)
	ctx, cancel := context.WithTimeout(browser, patience)
	defer cancel()
	for _, s := range scenes() {
		t.Run(s.name, func(t *testing.T) {
			contents, want := encodeScene(t, s)
			file = contents
			if _, err := chromedp.Run(ctx, chromedp.Navigate(server.URL)); err != nil {
				t.Fatal(err)
			}
			answer, err := chromedp.Run(ctx, chromedp.Evaluate[string](decodeInPage, chromedp.EvalAwaitPromise))
			if err != nil {
				t.Fatal(err)
			}
			var shown struct {
				Problem string
				Digests []string
			}
			if err := json.Unmarshal([]byte(answer), &shown); err != nil {
				t.Fatal(err)
			}
			if shown.Problem != "" || len(shown.Digests) != len(want) {
				t.Fatalf("%d pictures were shown, want %d: %s", len(shown.Digests), len(want), shown.Problem)
			}
			for n, digest := range shown.Digests {
				if digest != hex.EncodeToString(want[n][:]) {
					t.Fatalf("frame %d is not the encoder's reconstruction", n)
				}
			}
		})
	}
}
