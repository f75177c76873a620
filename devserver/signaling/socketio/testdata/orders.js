// Two pages in the codelab's manner, in every order of opening, granting the camera,
// reloading, and of lines that break: in the end there is a call. Arguments: the ws module, the server's URL,
// the ways a page has (comma-separated), how many orders to leave out after each one tried.
'use strict';
const { openWindow } = require('./browser.js');
const [wsPath, url, ways, leaveOut] = process.argv.slice(2);
const WebSocket = require(wsPath);

let connections = 0;

// Connection stands for an RTCPeerConnection: it pairs by its number.
class Connection {
  constructor() { this.number = ++connections; }
  offer() { this.offering = true; return { type: 'offer', sdp: String(this.number) }; }
  takeOffer(offer) {
    this.offering = false; // a browser takes its own back for it
    if (this.remote) throw new Error('an offer of another connection'); // its certificate would be another
    this.remote = offer.sdp;
    this.role = 'answers';
    return { type: 'answer', sdp: String(this.number), of: offer.sdp };
  }
  takeAnswer(answer) {
    if (!this.offering) throw new Error('an answer to no offer');
    this.offering = false;
    if (answer.of !== String(this.number)) throw new Error('an answer to another offer');
    this.remote = answer.sdp;
    this.role = 'offers';
  }
}

// Page has the state and the reactions of the codelab's page.
class Page {
  constructor(room, saysBye) {
    this.saysBye = saysBye;
    this.window = openWindow(url, WebSocket, ways.split(','), 0.2);
    this.initiator = this.channelReady = this.started = false;
    this.heard = [];
    const socket = this.socket = this.window.io.connect();
    socket.emit('create or join', room);
    for (const name of ['created', 'join', 'joined', 'full', 'ready', 'bye']) socket.on(name, () => this.heard.push(name));
    socket.on('created', () => { this.initiator = true; });
    socket.on('join', () => { this.channelReady = true; });
    socket.on('joined', () => { this.channelReady = true; });
    socket.on('message', (m) => {
      this.heard.push(m.type || m);
      if (m === 'got user media') this.maybeStart();
      else if (m.type === 'offer') {
        if (!this.initiator && !this.started) this.maybeStart();
        const answer = this.pc.takeOffer(m); // throws, as the page does, without a pc
        setImmediate(() => this.say(answer));
      } else if (m.type === 'answer' && this.started) this.pc.takeAnswer(m);
      else if (m === 'bye' && this.started) {
        this.started = this.initiator = false;
        this.pc = null;
      }
    });
  }
  say(m) { if (!this.window.unloaded) this.socket.emit('message', m); }
  maybeStart() {
    if (this.started || !this.stream || !this.channelReady) return;
    const pc = this.pc = new Connection();
    this.started = true;
    if (this.initiator) setImmediate(() => this.pc === pc && (this.say(pc.offer()), this.say({ type: 'candidate', candidate: 'c' })));
  }
  grant() {
    this.stream = true;
    this.say('got user media');
    if (this.initiator) this.maybeStart();
  }
  cut() {
    this.back = new Promise((resolve) => this.socket.once('created', resolve).once('joined', resolve));
    this.window.cut();
  }
  unload() {
    if (this.saysBye) this.say('bye');
    this.window.unload();
  }
}

const inCall = (a, b) => a.pc && b.pc && a.pc.role !== b.pc.role && a.pc.remote === String(b.pc.number) && b.pc.remote === String(a.pc.number);

const sleep = (ms) => new Promise((resolve) => setTimeout(resolve, ms));

// settle waits until all that is under way has arrived, and what came of it too. Of a
// page whose line was cut, an acknowledgement may be lost; on a busy machine, where the
// server's deadlines of a second pass, of another too.
async function settle(pages) {
  for (let i = 0; i < 4; i++) {
    for (const p of pages) {
      if (!p) continue;
      const acknowledged = new Promise((resolve) => p.socket.emit('ipaddr', resolve));
      await Promise.race([Promise.all([p.back, acknowledged]), sleep(p.back ? 300 : 5000)]);
    }
    await new Promise((resolve) => setImmediate(resolve));
  }
}

// run reports whether there is a call after these steps: calm, each when the one before
// has had all its effects, or with a pause of so many ms, where 0 is none at all.
async function run(order, room, pause, saysBye) {
  const calm = pause === 'calm';
  const pages = { a: null, b: null };
  for (const [who, what] of order) {
    switch (what) {
      case 'reload':
        pages[who].unload();
        if (calm) await settle(Object.values(pages).filter((p) => p && !p.window.unloaded));
        // falls through
      case 'open':
        pages[who] = new Page(room, saysBye);
        break;
      case 'cut':
        pages[who].cut();
        break;
      case 'grant':
        pages[who].grant();
    }
    if (calm) await settle(Object.values(pages));
    else if (pause) await sleep(pause);
  }
  const { a, b } = pages;
  const deadline = Date.now() + 5000;
  await Promise.race([Promise.all([a.back, b.back]), sleep(5000)]);
  do {
    await settle([a, b]);
  } while (!inCall(a, b) && Date.now() < deadline);
  const good = inCall(a, b);
  const twice = [a, b].some((p) => p.heard.join().match(/ready,(?!.*(bye|created)).*ready/));
  a.window.unload();
  b.window.unload();
  if (good && !twice) return true;
  const state = (p) => `${p.heard.join(' ')} [initiator=${p.initiator} started=${p.started} ${p.window.errors}]`;
  console.log(`${good ? 'ready twice' : 'no call'}: ${order.map((x) => x.join(' ')).join(', ')}; pause ${pause}, bye=${saysBye}\n  a: ${state(a)}\n  b: ${state(b)}`);
  return false;
}

const interleave = (x, y) => x.length === 0 || y.length === 0 ? [[...x, ...y]]
  : [...interleave(x.slice(1), y).map((z) => [x[0], ...z]), ...interleave(x, y.slice(1)).map((z) => [y[0], ...z])];
const together = (x, y) => interleave(x.map((what) => ['a', what]), y.map((what) => ['b', what]));

// tried runs every order, but leaves out so many after each: calm, and with one of the
// pauses; several at a time. It counts those without a call.
async function tried(orders, pauses, leaveOut, atOnce) {
  const runs = orders.filter((_, i) => i % (1 + leaveOut) === 0)
    .flatMap((order, i) => ['calm', pauses[i % pauses.length]].map((pause, k) => ({ order, pause, saysBye: (i + k) % 2 === 0 })));
  let bad = 0, count = 0;
  await Promise.all(Array.from({ length: atOnce }, async () => {
    while (runs.length > 0 && bad < 3) {
      const { order, pause, saysBye } = runs.shift();
      if (!await run(order, 'room' + ++rooms, pause, saysBye)) bad++;
      count++;
    }
  }));
  console.log(`${count} runs of ${orders.length} orders, ${bad} without a call`);
  return bad;
}
let rooms = 0;

async function main() {
  const lives = [['open', 'grant'], ['open', 'reload', 'grant'], ['open', 'grant', 'reload', 'grant']];
  let bad = await tried(lives.flatMap((x) => lives.flatMap((y) => together(x, y))), [0], Number(leaveOut), 4);
  // A line that breaks, at any time, is taken up again; that the two are apart for a moment
  // must not leave both waiting for the other, nor both making offers.
  const broken = [['open', 'grant'], ['open', 'cut', 'grant'], ['open', 'grant', 'cut']];
  const orders = broken.flatMap((x) => broken.flatMap((y) => together(x, y))).filter((order) => order.some(([, what]) => what === 'cut'));
  bad += await tried(orders, [3, 30, 100], Number(leaveOut), 10);
  process.exit(bad ? 1 : 0);
}

main();
