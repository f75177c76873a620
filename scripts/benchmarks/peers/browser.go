package main

import (
	"context"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"time"

	"github.com/chromedp/chromedp"
)

// patience is how long a page may take for one thing.
const patience = 20 * time.Second

// A browser is a headless Chromium that trusts the stage's server.
type browser struct {
	stage *stage
	tab   context.Context
	close context.CancelFunc
}

func (s *stage) browser(ctx context.Context) (*browser, error) {
	name, err := exec.LookPath("chromium")
	if err != nil {
		return nil, fmt.Errorf("looking for Chromium (apt-get install chromium): %w", err)
	}
	options := append(chromedp.DefaultExecAllocatorOptions[:],
		chromedp.ExecPath(name),
		chromedp.NoInheritEnv,
		chromedp.Env(s.env...),
		chromedp.UserDataDir(filepath.Join(s.dir, "profile")),
		chromedp.DisableGPU,
		chromedp.Flag("disable-component-update", true),
		chromedp.WSURLReadTimeout(patience),
	)
	if os.Geteuid() == 0 { // Chromium's sandbox refuses root
		options = append(options, chromedp.NoSandbox)
	}
	alloc, endAlloc := chromedp.NewExecAllocator(ctx, options...)
	tab, endTab := chromedp.NewContext(alloc)
	b := &browser{stage: s, tab: tab, close: func() { endTab(); endAlloc() }}
	if err := b.open("about:blank"); err != nil {
		b.close()
		return nil, fmt.Errorf("starting Chromium: %w", err)
	}
	return b, nil
}

func (b *browser) open(url string) error {
	_, err := chromedp.Run(b.tab, chromedp.Navigate(url))
	return err
}

// number evaluates JavaScript that gives a number, or a promise of one.
func (b *browser) number(js string) (float64, error) {
	ctx, cancel := context.WithTimeout(b.tab, patience)
	defer cancel()
	n, err := chromedp.Run(ctx, chromedp.Evaluate[float64](js, chromedp.EvalAwaitPromise))
	if err != nil {
		return 0, fmt.Errorf("evaluating %s: %w", js, err)
	}
	return n, nil
}

// picture waits for the nth peer's first picture, and returns how long it took.
func (b *browser) picture(n int) (float64, error) {
	return b.number(fmt.Sprintf(`new Promise((done) => {
		const look = () => shown.length >= %[1]d ? done(shown[%[1]d - 1]) : setTimeout(look, 10);
		look();
	})`, n))
}

// peer starts a test peer in a room.
func (b *browser) peer(ctx context.Context, room string) (*program, error) {
	return b.stage.start(ctx, func([]byte) {}, "peer", b.stage.room(room))
}

// peerComes has one peer after the other come to a page.
func (b *browser) peerComes(ctx context.Context, joins int) (times []float64, err error) {
	if err := b.open(b.stage.room("peer-comes")); err != nil {
		return nil, err
	}
	for i := range joins {
		p, err := b.peer(ctx, "peer-comes")
		if err != nil {
			return nil, err
		}
		took, err := b.picture(i + 1)
		p.stop()
		if err != nil {
			return nil, fmt.Errorf("%w\n%s", err, p.log.String())
		}
		times = append(times, took)
	}
	return times, nil
}

// pageComes loads a page again and again, in a room with a peer.
func (b *browser) pageComes(ctx context.Context, joins int) (times []float64, err error) {
	here := make(chan struct{})
	said := false
	p, err := b.stage.start(ctx, func([]byte) { // it speaks once it is there
		if !said {
			said = true
			close(here)
		}
	}, "peer", b.stage.room("page-comes"), "--stats")
	if err != nil {
		return nil, err
	}
	defer p.stop()
	select {
	case <-here:
	case <-p.ended:
		return nil, fmt.Errorf("the peer ended: %s", p.log.String())
	}
	for range joins {
		if err := b.open(b.stage.room("page-comes")); err != nil {
			return nil, err
		}
		took, err := b.picture(1)
		if err != nil {
			return nil, err
		}
		times = append(times, took)
		if _, err := b.number("leave()"); err != nil {
			return nil, err
		}
	}
	return times, nil
}

// keyFrames asks for key frames, one after the other.
func (b *browser) keyFrames(ctx context.Context, count int) (times []float64, err error) {
	if err := b.open(b.stage.room("keys") + "&keys"); err != nil {
		return nil, err
	}
	p, err := b.peer(ctx, "keys")
	if err != nil {
		return nil, err
	}
	defer p.stop()
	if _, err := b.picture(1); err != nil {
		return nil, err
	}
	if _, err := b.number("keyFrame()"); err != nil { // its way is warm then
		return nil, err
	}
	for range count {
		if err := wait(ctx, 200*time.Millisecond); err != nil { // no two in a hurry
			return nil, err
		}
		took, err := b.number("keyFrame()")
		if err != nil {
			return nil, err
		}
		times = append(times, took)
	}
	return times, nil
}
