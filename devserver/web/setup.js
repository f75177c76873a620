// The set-up page tests, again and again, what the app will need: HTTPS and WebSocket
// that this device trusts. When both work it goes on to the app.

const EVERY = 2000; // ms between two tests
const PATIENCE = 8000; // ms that a test may take; Chromium lets a WebSocket wait for up to 5 s when others failed
const OFFER_AFTER = 20000; // ms until one may go on without installing
const HIDDEN_MOST = 30000; // ms between two tests while nobody looks
const DOUBT = 5; // every so many tests in vain, the WebSocket is tested although HTTPS does not work

// Watcher decides. It touches no page itself: world has what it tests with and acts on.
//
//   https(), socket(), plain()   promises of true or false: does this way in work?
//   hidden()                     does nobody look at the page?
//   progress()                   "start", "install" or "last": how far the person seems to be
//   say(name), offer(), leave()  show a text, offer to go on all the same, go on
//   now(), later(f, ms), cancel(id)   the clock
export class Watcher {
  #world;
  #began;
  #timer;
  #busy = false;
  #again = false; // somebody came back while a test was under way
  #pause = EVERY;
  #vain = 0; // tests since HTTPS worked
  #halves = 0; // how often in a row only one of the two worked

  constructor(world) {
    this.#world = world;
    this.#began = world.now();
    world.say("checking");
  }

  // Tests now: at the start, and whenever the person comes back.
  async look() {
    if (this.#busy) {
      this.#again = true;
      return;
    }
    this.#busy = true;
    this.#world.cancel(this.#timer);
    const gone = await this.#test();
    this.#busy = false;
    if (gone) return;
    if (this.#again) {
      this.#again = false;
      return this.look();
    }
    this.#pause = this.#world.hidden() ? Math.min(this.#pause * 2, HIDDEN_MOST) : EVERY;
    this.#timer = this.#world.later(() => this.look(), this.#pause);
  }

  // Returns whether it went on to the app.
  async #test() {
    const world = this.#world;
    const https = await world.https();
    this.#vain = https ? 0 : this.#vain + 1;
    // A WebSocket that must fail is left alone: each one slows down the next. But a
    // content blocker may be what stops the other test.
    const worthIt = https || this.#halves > 0 || this.#vain % DOUBT === 0;
    const socket = worthIt && (await world.socket());
    if (https && socket) {
      world.say("ready");
      world.leave();
      return true;
    }
    if (https || socket) {
      this.#halves++; // once may be chance
      if (this.#halves > 1) world.say(https ? "no-socket" : "no-fetch");
      return false;
    }
    this.#halves = 0;
    if (!(await world.plain())) {
      world.say("away");
      return false;
    }
    world.say(world.progress());
    if (world.now() - this.#began >= OFFER_AFTER) world.offer();
    return false;
  }
}

// Can the page of this device fetch something from there?
async function canFetch(address, method) {
  const abort = new AbortController();
  const timer = setTimeout(() => abort.abort(), PATIENCE);
  try {
    const options = { method, cache: "no-store", credentials: "omit", signal: abort.signal };
    return (await fetch(address, options)).ok;
  } catch {
    return false; // refused, or nobody there: the browser does not say which
  } finally {
    clearTimeout(timer);
  }
}

// Does a WebSocket open there? The server closes it at once, without a room.
function canOpen(address) {
  return new Promise((done) => {
    let socket;
    const end = (opened) => {
      clearTimeout(timer);
      socket?.close();
      done(opened);
    };
    const timer = setTimeout(() => end(false), PATIENCE);
    try {
      socket = new WebSocket(address);
    } catch {
      return end(false); // the browser allows none here
    }
    socket.onopen = () => end(true);
    socket.onerror = () => end(false);
  });
}

// How far the person seems to be. A phone may throw the page away while its settings are
// open, so it is written down.
class Progress {
  #key = "rtcdev-set-up";
  #memory = "start"; // private windows may keep nothing

  get now() {
    try {
      return sessionStorage.getItem(this.#key) ?? this.#memory;
    } catch {
      return this.#memory;
    }
  }

  set now(value) {
    this.#memory = value;
    try {
      sessionStorage.setItem(this.#key, value);
    } catch {
      // then it is in memory only
    }
  }
}

// The room's secret comes behind the #, which is not sent over plain HTTP, where others could
// read it. It goes on to the app, over HTTPS, and to this page in another browser.
function withSecret(page, app) {
  const secret = new URLSearchParams(location.hash.slice(1)).get("room-token");
  if (!secret) return app;
  const target = new URL(app);
  target.searchParams.set("room-token", secret);
  const said = [...page.querySelectorAll("template")].map((t) => t.content);
  for (const part of [page, ...said]) {
    for (const link of part.querySelectorAll("a[href]")) {
      const to = link.getAttribute("href");
      if (to === app) link.href = target.href;
      else if (to.startsWith("kakaotalk:")) link.href = to + encodeURIComponent(location.hash); // its last parameter is this page
      else if (to.startsWith("intent:")) link.href = to.replace("#Intent;", location.hash + "#Intent;"); // Android cuts at the last #
      else if (link.origin === location.origin) link.hash = location.hash;
    }
    for (const typed of part.querySelectorAll(".code")) {
      if (typed.textContent.startsWith(location.origin)) typed.textContent += location.hash;
    }
  }
  return target.href;
}

function start(page) {
  const { origin, sockets } = page.body.dataset;
  const app = withSecret(page, page.body.dataset.app);
  const status = page.getElementById("status");
  const progress = new Progress();
  const guide = chooseGuide(page);
  let said = "";

  for (const e of page.querySelectorAll(".script")) e.hidden = false;
  for (const e of page.querySelectorAll(".no-script")) e.hidden = true;
  showDone(page, progress);

  const say = (name) => {
    const text = page.getElementById(name === "last" ? `say-last-${guide}` : `say-${name}`);
    if (!status || !text || name === said) return; // a screen reader would say it again
    said = name;
    status.hidden = false;
    status.replaceChildren(text.content.cloneNode(true));
  };
  const watcher = new Watcher({
    https: () => canFetch(`${origin}/_rtcdev/beacon`, "GET"),
    socket: () => canOpen(`${sockets}/_rtcdev/signal?probe`),
    plain: () => canFetch(location.pathname, "HEAD"),
    hidden: () => page.hidden,
    progress: () => progress.now,
    say,
    offer: () => (page.getElementById("anyway").hidden = false),
    leave: () => location.replace(app),
    now: () => Date.now(),
    later: (f, ms) => setTimeout(f, ms),
    cancel: (id) => clearTimeout(id),
  });

  for (const link of page.querySelectorAll(".download")) {
    link.addEventListener("click", () => {
      progress.now = "install";
      showDone(page, progress);
      say("install");
    });
  }
  // Who has downloaded it, was away, and is back, has been in the settings.
  const back = () => {
    if (page.hidden) return;
    if (progress.now === "install") progress.now = "last";
    watcher.look();
  };
  page.addEventListener("visibilitychange", back);
  addEventListener("pageshow", (event) => event.persisted && back());
  watcher.look();
}

function showDone(page, progress) {
  if (progress.now === "start") return;
  for (const link of page.querySelectorAll(".download")) link.closest("li").classList.add("done");
}

// An iPad calls itself a Macintosh, but only an iPad has a touch screen.
function chooseGuide(page) {
  const guides = [...page.querySelectorAll("[data-guide]")];
  if (guides.length > 1) {
    const right = navigator.maxTouchPoints > 1 ? "ios" : "mac";
    for (const guide of guides) {
      guide.hidden = guide.dataset.guide !== right;
      guide.querySelector(".which").hidden = true;
    }
    return right;
  }
  return guides[0]?.dataset.guide;
}

if (globalThis.document) start(document); // a test has no page
