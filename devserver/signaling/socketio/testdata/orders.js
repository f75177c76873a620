// Two pages in the codelab's manner, in every order of opening, granting the camera
// and reloading: in the end there is a call. Arguments: the ws module, the server's URL,
// the ways a page has (comma-separated), how many orders to leave out after each one tried.
'use strict';
const { openWindow } = require('./browser.js');
const [wsPath, url, ways, leaveOut] = process.argv.slice(2);
const WebSocket = require(wsPath);

let connections = 0;

// Connection stands for an RTCPeerConnection: it pairs by its number.
class Connection {
  constructor() { this.number = ++connections; }
  offer() { return { type: 'offer', sdp: String(this.number) }; }
  takeOffer(offer) {
    if (this.remote) throw new Error('an offer of another connection'); // its certificate would be another
    this.remote = offer.sdp;
    return { type: 'answer', sdp: String(this.number), of: offer.sdp };
  }
  takeAnswer(answer) {
    if (answer.of === String(this.number)) this.remote = answer.sdp;
  }
}

// Page has the state and the reactions of the codelab's page.
class Page {
  constructor(room, saysBye) {
    this.saysBye = saysBye;
    this.window = openWindow(url, WebSocket, ways.split(','));
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
  unload() {
    if (this.saysBye) this.say('bye');
    this.window.unload();
  }
}

const inCall = (a, b) => a.pc && b.pc && a.pc.remote === String(b.pc.number) && b.pc.remote === String(a.pc.number);

// settle waits until all that is under way has arrived, and what came of it too.
async function settle(pages) {
  for (let i = 0; i < 4; i++) {
    for (const p of pages) {
      if (p) await new Promise((resolve) => p.socket.emit('ipaddr', resolve));
    }
    await new Promise((resolve) => setImmediate(resolve));
  }
}

async function run(order, room, calm, saysBye) {
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
      case 'grant':
        pages[who].grant();
    }
    if (calm) await settle(Object.values(pages));
  }
  const { a, b } = pages;
  const deadline = Date.now() + 5000;
  do {
    await settle([a, b]);
  } while (!inCall(a, b) && Date.now() < deadline);
  const good = inCall(a, b);
  const twice = [a, b].some((p) => p.heard.join().match(/ready,(?!.*(bye|created)).*ready/));
  a.window.unload();
  b.window.unload();
  if (good && !twice) return true;
  const state = (p) => `${p.heard.join(' ')} [initiator=${p.initiator} started=${p.started} ${p.window.errors}]`;
  console.log(`${good ? 'ready twice' : 'no call'}: ${order.map((x) => x.join(' ')).join(', ')}; ${calm ? 'calm' : 'hurried'}, bye=${saysBye}\n  a: ${state(a)}\n  b: ${state(b)}`);
  return false;
}

const interleave = (x, y) => x.length === 0 || y.length === 0 ? [[...x, ...y]]
  : [...interleave(x.slice(1), y).map((z) => [x[0], ...z]), ...interleave(x, y.slice(1)).map((z) => [y[0], ...z])];

async function main() {
  const lives = [['open', 'grant'], ['open', 'reload', 'grant'], ['open', 'grant', 'reload', 'grant']];
  const orders = lives.flatMap((x) => lives.flatMap((y) => interleave(x.map((what) => ['a', what]), y.map((what) => ['b', what]))));
  let bad = 0, count = 0;
  for (let i = 0; i < orders.length && bad < 3; i += 1 + Number(leaveOut)) {
    for (const calm of [true, false]) {
      count++;
      if (!await run(orders[i], 'room' + count, calm, calm === (i % 2 === 0))) bad++;
    }
  }
  console.log(`${count} runs of ${orders.length} orders, ${bad} without a call`);
  process.exit(bad ? 1 : 0);
}

main();
