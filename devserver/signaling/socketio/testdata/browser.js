// A browser as far as client.js needs one: each window has its own globals and can
// be unloaded. Not a test by itself.
'use strict';
const fs = require('fs');
const path = require('path');
const vm = require('vm');

const script = new vm.Script(fs.readFileSync(path.join(__dirname, '..', 'client.js'), 'utf8'), { filename: 'client.js' });

// EventSource as WHATWG HTML §9.2 has it, but for what client.js does not use.
class EventSource {
  constructor(url) {
    this.abort = new AbortController();
    this.run(url).catch(() => {}).then(() => this.abort.signal.aborted || this.onerror());
  }

  async run(url) {
    const response = await fetch(url, { signal: this.abort.signal });
    if (!response.ok) throw new Error(response.status);
    let text = '';
    for await (const chunk of response.body.pipeThrough(new TextDecoderStream())) {
      const events = (text + chunk).split('\n\n');
      text = events.pop();
      for (const event of events) {
        const data = event.split('\n').map((line) => line.replace(/^data: /, '')).join('\n');
        if (!this.abort.signal.aborted) this.onmessage({ data });
      }
    }
  }

  close() {
    this.abort.abort();
  }
}

// openWindow loads client.js on a page of url's origin. ways says what it has:
// "websocket", "events", or "refused" for a WebSocket that never opens. Its pauses take
// pace times as long as a real one's; what it allows the server does not.
function openWindow(url, WebSocket, ways, pace = 1) {
  const open = new Set();
  const window = { ways, location: new URL(url), URL, TextEncoder, JSON, console, opened: 0, unloaded: false, errors: [] };
  const keep = (make) => {
    if (window.unloaded) throw new Error('the page is gone');
    const it = make();
    open.add(it);
    window.opened++;
    return it;
  };
  if (ways.includes('websocket')) {
    window.WebSocket = function (address) { return keep(() => new WebSocket(address).on('error', () => {})); };
  }
  if (ways.includes('refused')) {
    window.WebSocket = function () {
      window.refused = (window.refused || 0) + 1;
      setTimeout(() => this.onclose());
      this.close = () => {};
    };
  }
  if (ways.includes('events')) {
    window.EventSource = function (address) { return keep(() => new EventSource(address)); };
    window.fetch = async (address, options) => {
      if (options?.keepalive && Buffer.byteLength(options.body) > 65536) throw new TypeError('too much for keepalive'); // WHATWG Fetch §4.6
      return fetch(address, options);
    };
  }
  window.setTimeout = (fn, ms) => setTimeout(() => {
    try {
      if (!window.unloaded) fn();
    } catch (e) {
      window.errors.push(e);
    }
  }, ms < 10_000 ? ms * pace : ms);
  window.clearTimeout = clearTimeout;
  vm.createContext(window);
  script.runInContext(window);
  // cut breaks the connections; unload leaves the page.
  window.cut = () => { for (const it of open) { if (it.terminate) { it.terminate(); } else { it.close(); it.onerror(); } } open.clear(); };
  window.unload = () => { window.unloaded = true; for (const it of open) it.close(1001); open.clear(); };
  return window;
}

module.exports = { openWindow };
