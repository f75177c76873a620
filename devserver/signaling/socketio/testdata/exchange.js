// Two and three real socket.io clients in a room. Arguments: the clients' module,
// the server's URL, the transports (comma-separated), the room. Exits with 1 and says
// why when something is not as it should be; prints "waiting" before it waits for the
// server to stop.
'use strict';
const assert = require('assert');
const [modulePath, url, transports, room] = process.argv.slice(2);
const io = require(modulePath);
const names = ['created', 'join', 'joined', 'full', 'ready', 'message', 'ipaddr', 'bye', 'chat'];

function open(name, namespace) {
  const socket = io(url + (namespace || ''), { transports: transports.split(','), forceNew: true, reconnection: false });
  const heard = [];
  let wake = () => {};
  for (const event of names) {
    socket.on(event, (...args) => { heard.push([event, ...args]); wake(); });
  }
  const next = (...want) => new Promise((resolve, reject) => {
    const timer = setTimeout(() => reject(new Error(`${name} waited for ${want} and heard ${JSON.stringify(heard)}`)), 10000);
    wake = () => {
      if (heard.length === 0) return;
      clearTimeout(timer);
      wake = () => {};
      const got = heard.shift();
      try { assert.deepStrictEqual(got.slice(0, want.length), want, name); resolve(got); } catch (e) { reject(e); }
    };
    wake();
  });
  const once = (event) => new Promise((resolve) => socket.once(event, resolve));
  return { socket, heard, next, once, connected: once('connect') };
}

async function main() {
  const a = open('a');
  a.socket.emit('create or join', room); // before the connection, as the codelab does
  const created = await a.next('created', room);
  const b = open('b');
  b.socket.emit('create or join', room);
  await b.connected;
  const joined = await b.next('joined', room);
  await b.next('ready', room);
  await a.next('join', room);
  await a.next('ready', room);
  assert.notStrictEqual(created[2], joined[2]);
  const secret = a.socket.io.engine.id;
  assert.notStrictEqual(created[2], secret);

  const description = { type: 'offer', sdp: 'v=0\r\n한국어 😀 é Ã©x', nothing: null, deep: [{}, [1.5, true]] };
  a.socket.emit('message', description);
  await b.next('message', description);
  b.socket.emit('message', 'got user media');
  await a.next('message', 'got user media');
  b.socket.emit('chat', 1, null, { a: [] }, 'é', '한');
  assert.deepStrictEqual(await a.next('chat'), ['chat', 1, null, { a: [] }, 'é', '한']);
  a.socket.emit('chat');
  assert.deepStrictEqual(await b.next('chat'), ['chat']);
  const large = 'x'.repeat(60000);
  a.socket.emit('message', large);
  await b.next('message', large);
  for (let i = 0; i < 100; i++) {
    a.socket.emit('message', i);
    b.socket.emit('message', { n: i });
  }
  for (let i = 0; i < 100; i++) {
    await b.next('message', i);
    await a.next('message', { n: i });
  }
  await new Promise((resolve) => a.socket.emit('message', 'asked', resolve));
  await b.next('message', 'asked');
  a.socket.emit('ipaddr');
  await a.next('ipaddr', '192.0.2.7');
  const want = transports.split(',').pop();
  assert.strictEqual(a.socket.io.engine.transport.name, want);
  assert.strictEqual(b.socket.io.engine.transport.name, want);

  const admin = open('admin', '/admin');
  const refused = await Promise.race([admin.once('error'), admin.once('connect_error')]);
  assert.match(String(refused.message || refused), /Invalid namespace/);
  admin.socket.io.engine.close();

  const c = open('c');
  c.socket.emit('create or join', room);
  await c.next('full', room);
  c.socket.emit('bye', room);
  c.socket.close();
  b.socket.emit('message', 'still here'); // and nothing of the third before it
  await a.next('message', 'still here');

  b.socket.close();
  await a.next('message', 'bye');
  assert.deepStrictEqual(await a.next('created', room), created);
  await a.next('bye', room);
  const d = open('d');
  d.socket.emit('create or join', room);
  await d.next('joined', room);
  await d.next('ready', room);
  await a.next('join', room);
  await a.next('ready', room);
  assert.deepStrictEqual([a.heard, b.heard, c.heard, d.heard], [[], [], [], []]);

  const ends = Promise.all([a.once('disconnect'), d.once('disconnect')]);
  console.log('waiting');
  await ends;
}

main().then(() => process.exit(0), (e) => { console.error(e); process.exit(1); });
