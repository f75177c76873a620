// What client.js promises, one case a line. Arguments: the ws module, the server's
// URL. Prints "waiting" when the server is to stop and another to start at its address.
'use strict';
const assert = require('assert');
const http = require('http');
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

  async 'binary data is refused where it is emitted'() {
    const a = open();
    const socket = a.io();
    for (const bytes of [new Uint8Array([1, 2]), new ArrayBuffer(2), new DataView(new ArrayBuffer(2)), new Blob(['x']), Buffer.from('x')]) {
      assert.throws(() => socket.emit('x', { deep: [bytes] }), /"x".*binary/);
    }
    assert.throws(() => socket.emit('x', 1n));
    socket.emit('create or join', 'binary');
    await once(socket, 'created');
    await roundTrip(socket);
    assert.deepStrictEqual(Object.keys(socket._acks), []);
    a.unload();
  },

  async 'onAny, listeners, acknowledgements with a time limit'() {
    const a = open();
    const socket = a.io();
    const heard = [];
    const hear = (...args) => heard.push(args);
    const fn = () => {};
    socket.onAny(hear).on('created', fn);
    assert.deepStrictEqual([socket.hasListeners('created'), socket.hasListeners('joined'), socket.listeners('joined').length], [true, false, 0]);
    assert.ok(socket.listeners('created')[0] === fn);
    socket.volatile.emit('create or join', 'any');
    assert.strictEqual(await socket.emitWithAck('ipaddr'), undefined);
    assert.deepStrictEqual(heard.map((e) => e[0]).filter((e) => e !== 'log'), ['created', 'ipaddr']);
    assert.deepStrictEqual(heard.find((e) => e[0] === 'created'), ['created', 'any', socket.id]);
    assert.strictEqual(await socket.timeout(20000).emitWithAck('ipaddr'), undefined);
    assert.deepStrictEqual(await new Promise((resolve) => socket.timeout(20000).emit('ipaddr', (...args) => resolve(args))), [null]);
    socket._line.send = () => {}; // nothing arrives any more
    await assert.rejects(socket.timeout(10).emitWithAck('ipaddr'), /timed out/);
    const [error] = await new Promise((resolve) => socket.timeout(10).emit('ipaddr', (...args) => resolve(args)));
    assert.match(error.message, /timed out/);
    const lost = assert.rejects(socket.emitWithAck('ipaddr'), /disconnected/);
    a.cut();
    await lost;
    await once(socket, 'created'); // entered again
    assert.strictEqual(await socket.emitWithAck('ipaddr'), undefined);
    a.unload();
  },

  async 'a page that knows of rooms says so, also when it comes back'() {
    const [a, b, c] = [open(), open(), open()];
    const [socket, codelab, chat] = [a.io(), b.io(), c.io()];
    const heard = [];
    for (const s of [socket, codelab]) s.on('hello', () => heard.push('hello'));
    codelab.on('created', () => {}).on('joined', () => {});
    await Promise.all([once(socket, 'connect'), once(codelab, 'connect')]);
    socket.emit('create or join', 'known').emit('bye');
    await roundTrip(socket);
    a.cut();
    await once(socket, 'connect');
    chat.emit('hello');
    await roundTrip(chat);
    const line = once(codelab, 'log');
    codelab.emit('hello');
    assert.match((await line)[0].join(' '), /nobody hears/);
    await roundTrip(socket);
    await roundTrip(codelab);
    assert.deepStrictEqual(heard, []);
    for (const w of [a, b, c]) w.unload();
  },

  async 'a refused page hears why'() {
    const refusing = http.createServer((request, response) => {
      response.writeHead(status, { 'Content-Type': 'text/plain' });
      response.end(text);
    });
    await new Promise((resolve) => refusing.listen(0, '127.0.0.1', resolve));
    const there = 'http://127.0.0.1:' + refusing.address().port;
    let [status, text] = [403, 'Pages of this origin may not use this server.\n'];
    const until = async (socket, pattern) => {
      for (let error; !pattern.test(error && error.message); ) {
        [error] = await once(socket, 'connect_error');
        assert.match(JSON.stringify(error), /^\{"message":"[^"]+"/);
      }
    };
    for (const ways of [['events'], ['refused', 'events']]) {
      const a = openWindow(there, WebSocket, ways);
      const socket = a.io();
      await until(socket, /^the server refused this page: Pages of this origin may not use this server\.$/);
      [status, text] = [503, '{"type":"error","code":"overloaded","message":"too many"}'];
      await until(socket, /^the server refused this page: too many$/);
      [status, text] = [403, 'Pages of this origin may not use this server.\n'];
      socket.disconnect();
      a.unload();
    }
    refusing.close();
    refusing.closeAllConnections();
    const a = openWindow(there, WebSocket, ['events']);
    await until(a.io(), /could not be reached/);
    a.unload();
    const b = openWindow('http://elsewhere.example', WebSocket, ['events']);
    await until(b.io(there), /could not be reached.*--allow-origin http:\/\/elsewhere\.example/);
    b.unload();
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
    await roundTrip(socket);
    other.emit('create or join', 'break');
    await once(other, 'joined');
    await roundTrip(other); // with what was said before it came
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

  async 'a break: what was to be said in the dead call is not said in the next'() {
    const [a, b] = [open(), open()];
    const [socket, other] = [a.io(), b.io()];
    socket.emit('create or join', 'dead');
    await once(socket, 'created');
    other.emit('create or join', 'dead');
    await once(other, 'joined');
    const heard = [];
    other.on('message', (m) => heard.push(m?.type || m));
    const broken = once(socket, 'disconnect');
    a.cut();
    await broken;
    for (const type of ['offer', 'candidate', 'answer']) socket.emit('message', { type });
    socket.emit('message', 'got user media').emit('message').emit('message', null).emit('chat', { type: 'offer' });
    const lost = assert.rejects(socket.emitWithAck('message', { type: 'candidate' }), /disconnected/);
    const chat = once(other, 'chat');
    await once(socket, 'joined');
    await lost;
    await chat;
    assert.deepStrictEqual(heard, ['bye', 'got user media', undefined, null]);
    a.unload();
    b.unload();
  },

  async 'a break: a page that disconnects at the bye stays so'() {
    const a = open();
    const socket = a.io();
    socket.emit('create or join', 'enough');
    await once(socket, 'created');
    socket.once('message', () => socket.disconnect());
    const ends = [];
    socket.on('disconnect', (why) => ends.push(why));
    a.cut();
    await once(socket, 'message');
    await new Promise(setImmediate);
    assert.deepStrictEqual([ends, a.errors], [['transport close', 'io client disconnect'], []]);
    a.unload();
  },

  async 'a break before the room has answered'() {
    const a = open();
    const socket = a.io();
    await once(socket, 'connect');
    socket.emit('create or join', 'unanswered');
    a.cut();
    assert.strictEqual((await once(socket, 'created'))[0], 'unanswered');
    a.unload();
  },

  async 'events and what comes of them have any name'() {
    const [a, b] = [open(), open()];
    const [socket, other] = [a.io(), b.io()];
    const heard = [];
    for (const s of [socket, other]) s.emit('create or join', 'names');
    await Promise.all([socket, other].map((s) => Promise.race([once(s, 'created'), once(s, 'joined')])));
    socket.emit('constructor', 1).emit('toString', 2); // which nobody listens for
    await roundTrip(socket);
    await roundTrip(other);
    for (const name of ['constructor', '__proto__', 'toString']) {
      assert.strictEqual(other.hasListeners(name), false);
      other.on(name, (arg) => heard.push([name, arg]));
      socket.emit(name, 3);
    }
    await roundTrip(socket);
    await roundTrip(other);
    assert.deepStrictEqual(heard, [['constructor', 3], ['__proto__', 3], ['toString', 3]]);
    assert.deepStrictEqual([a.errors, b.errors], [[], []]);
    a.unload();
    b.unload();
  },

  async 'much at once goes in requests that are not too large'() {
    const [a, b] = [open(['events']), open()];
    const [socket, other] = [a.io(), b.io()];
    other.emit('create or join', 'much');
    await once(other, 'created');
    const heard = [];
    other.on('message', (m) => heard.push(m.length));
    const drops = [];
    socket.on('disconnect', (reason) => drops.push(reason));
    socket.emit('create or join', 'much');
    const lengths = [10, 10000, 10000, 10000, 20000, 20000, 20000, 20000, 20000, 10]; // of three bytes each
    for (const length of lengths) socket.emit('message', '한'.repeat(length));
    await once(socket, 'joined');
    await roundTrip(socket);
    await roundTrip(other);
    assert.deepStrictEqual([heard, drops], [lengths, []]);
    a.unload();
    b.unload();
  },

  async 'where there is no way at all, tries are few'() {
    const a = open(['refused']);
    const socket = a.io();
    await once(socket, 'connect_error');
    await new Promise((resolve) => setTimeout(resolve, 200));
    assert.strictEqual(a.refused, 1); // the second after 250 ms at least
    while (a.refused < 3) await once(socket, 'connect_error');
    socket.disconnect();
    a.unload();
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
