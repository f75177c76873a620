// What client.js promises, one case a line. Arguments: the ws module, the server's
// URL. Prints "waiting" when the server is to stop and another to start at its address.
'use strict';
const assert = require('assert');
const { openWindow } = require('./browser.js');
const [wsPath, url] = process.argv.slice(2);
const WebSocket = require(wsPath);

const all = ['websocket', 'events'];
const once = (socket, name) => new Promise((resolve) => socket.once(name, (...args) => resolve(args)));
const roundTrip = (socket) => new Promise((resolve) => socket.emit('ipaddr', resolve));
const open = (ways) => openWindow(url, WebSocket, ways || all);

const cases = {
  async 'what is emitted before the connection arrives in order, as JSON has it'() {
    const [a, b] = [open(), open()];
    const listener = b.io(url.replace(/^http:\/\//, '')); // host:port is enough
    listener.emit('create or join', 'order');
    await once(listener, 'created');
    const heard = [];
    listener.on('message', (...args) => heard.push(args));
    const socket = a.io();
    assert.deepStrictEqual([socket.connected, socket.disconnected, socket.id], [false, true, undefined]);
    socket.emit('create or join', 'order');
    socket.emit('message', 1).emit('message', null).emit('message').send({ toJSON: () => 'made' });
    socket.emit('message', 'é한😀', undefined, [{}]);
    await once(socket, 'connect');
    assert.ok(socket.connected && /^p\w+$/.test(socket.id));
    socket.emit('message', 'last');
    await roundTrip(socket);
    await roundTrip(listener);
    assert.deepStrictEqual(JSON.stringify(heard), JSON.stringify([[1], [null], [], ['made'], ['é한😀', null, [{}]], ['last']]));
    assert.strictEqual(a.opened, 1);
    a.unload();
    b.unload();
  },

  async 'listeners: several arguments, once, off, and one that throws'() {
    const a = open();
    const socket = a.io.connect('/');
    const heard = [];
    const hear = (name) => function (...args) { heard.push(name, ...args); assert.strictEqual(this, socket); };
    const [one, two, three] = [hear('one'), hear('two'), hear('three')];
    socket.on('created', () => { throw new Error('not our fault'); });
    socket.on('created', one).once('created', two).once('created', three).off('created', three);
    socket.emit('create or join', 'listeners');
    await once(socket, 'created');
    await roundTrip(socket);
    assert.deepStrictEqual(heard, ['one', 'listeners', socket.id, 'two', 'listeners', socket.id]);
    while (a.errors.length === 0) await new Promise(setImmediate); // where the page can see it
    assert.strictEqual(a.errors.length, 1);
    heard.length = 0;
    socket.removeListener('created', one);
    socket.emit('create or join', 'listeners 2');
    await roundTrip(socket);
    assert.deepStrictEqual(heard, []);
    assert.throws(() => socket.emit('connect'), /reserved/);
    a.unload();
  },

  async 'disconnect says why, and the page can connect again'() {
    const a = open();
    const socket = a.io({ autoConnect: false });
    assert.strictEqual(a.opened, 0);
    socket.connect();
    await once(socket, 'connect');
    let why = once(socket, 'disconnect');
    socket.disconnect();
    assert.deepStrictEqual(await why, ['io client disconnect']);
    socket.open();
    await once(socket, 'connect');
    why = once(socket, 'disconnect');
    socket.close('enough');
    assert.deepStrictEqual(await why, ['enough']);
    assert.strictEqual(a.opened, 2);
    a.unload();
  },

  async 'another namespace is a connect error'() {
    const a = open();
    const socket = a.io('/admin');
    const [error] = await once(socket, 'connect_error');
    assert.match(error.message, /Invalid namespace/);
    assert.ok(!socket.connected);
    a.unload();
  },

  async 'a break: what is emitted meanwhile waits, and the room is entered again'() {
    const [a, b] = [open(), open()];
    const [socket, other] = [a.io(), b.io()];
    socket.emit('create or join', 'break');
    await once(socket, 'created');
    socket.emit('message', 'got user media');
    other.emit('create or join', 'break');
    await once(other, 'joined');
    const [heard, itself] = [[], []];
    other.on('message', (m) => heard.push(m)).on('bye', () => heard.push('(left)'));
    socket.on('message', (m) => itself.push(m)).on('joined', () => itself.push('(joined)'));
    const broken = once(socket, 'disconnect');
    a.cut();
    assert.deepStrictEqual(await broken, ['transport close']);
    socket.emit('message', 'meanwhile');
    await once(socket, 'joined');
    await roundTrip(socket);
    await roundTrip(other);
    assert.deepStrictEqual(itself, ['bye', '(joined)']);
    assert.deepStrictEqual(heard, ['bye', '(left)', 'got user media', 'meanwhile']);
    a.unload();
    b.unload();
  },

  async 'a half-open line does not keep its page out of the room'() {
    const [a, b] = [open(), open()];
    const [socket, other] = [a.io(), b.io()];
    socket.emit('create or join', 'half');
    await once(socket, 'created');
    other.emit('create or join', 'half');
    await once(other, 'joined');
    socket._line.close = () => {};
    socket._lose('ping timeout'); // as if nothing had been heard: the server knows of no break
    const line = await Promise.race([once(socket, 'joined'), once(socket, 'full')]);
    assert.strictEqual(line[1], socket.id);
    a.unload();
    b.unload();
  },

  async 'a page that joins by itself on connect is left to it'() {
    const a = open();
    const socket = a.io();
    let joins = 0;
    socket.on('connect', () => socket.emit('create or join', 'own'));
    socket.on('created', () => joins++);
    await once(socket, 'created');
    a.cut();
    await once(socket, 'created');
    await roundTrip(socket);
    assert.strictEqual(joins, 2);
    a.unload();
  },

  async 'without a WebSocket, or where it is refused, it goes by events'() {
    for (const ways of [['events'], ['refused', 'events']]) {
      const [a, b] = [open(ways), open()];
      const [socket, other] = [a.io(), b.io()];
      const errors = [];
      socket.on('connect_error', (e) => errors.push(e.message));
      other.emit('create or join', 'fallback');
      await once(other, 'created');
      socket.emit('create or join', 'fallback');
      for (let i = 0; i < 250; i++) socket.emit('message', i);
      const heard = [];
      other.on('message', (m) => heard.push(m));
      await once(socket, 'joined');
      await roundTrip(socket);
      await roundTrip(other);
      assert.deepStrictEqual(heard, Array.from({ length: 250 }, (_, i) => i));
      other.emit('message', { newline: '\n' });
      assert.deepStrictEqual(JSON.stringify(await once(socket, 'message')), '[{"newline":"\\n"}]');
      assert.deepStrictEqual([a.refused, errors.length], ways.length === 2 ? [1, 1] : [undefined, 0]);
      const broken = once(socket, 'disconnect');
      a.cut();
      await broken;
      await once(socket, 'joined');
      socket.disconnect();
      await once(other, 'bye');
      a.unload();
      b.unload();
    }
  },

  async 'a server that stops and starts again is found'() {
    const windows = [open(), open(['events'])];
    const sockets = windows.map((w) => w.io());
    for (const socket of sockets) socket.emit('create or join', 'restart' + sockets.indexOf(socket));
    await Promise.all(sockets.map((s) => once(s, 'created')));
    const back = Promise.all(sockets.map((s) => once(s, 'disconnect').then(() => once(s, 'created'))));
    console.log('waiting');
    await back;
    for (const w of windows) w.unload();
  },
};

async function main() {
  for (const [name, run] of Object.entries(cases)) {
    let timer;
    const late = new Promise((_, reject) => { timer = setTimeout(() => reject(new Error('took too long')), 20000); });
    await Promise.race([run(), late]).catch((e) => { console.error(name + ':', e); process.exit(1); });
    clearTimeout(timer);
    console.log('ok', name);
  }
  process.exit(0);
}

main();
