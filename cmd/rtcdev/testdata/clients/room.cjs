// Two socket.io clients in a room. Arguments: the server's URL, the room, and the
// modules of the two clients. Prints "good", or why it is not and exits with 1.
'use strict';
const assert = require('assert');
const [url, room, ...modules] = process.argv.slice(2);

// open connects in the way that the client does by itself: HTTP polling, then a
// WebSocket. next() is what it hears next, but for the lines for the console.
function open(name, path) {
  const socket = require(path)(url, { forceNew: true, reconnection: false });
  const heard = [];
  const waiting = [];
  for (const event of ['created', 'joined', 'join', 'full', 'ready', 'message', 'bye', 'drawing']) {
    socket.on(event, (...args) => {
      heard.push([event, ...args]);
      if (waiting.length > 0) waiting.shift()(heard.shift());
    });
  }
  for (const event of ['error', 'connect_error']) {
    socket.on(event, (error) => fail(new Error(`${name}: ${event}: ${error.message || error}`)));
  }
  const next = () => new Promise((resolve) => (heard.length > 0 ? resolve(heard.shift()) : waiting.push(resolve)));
  return { socket, next };
}

function fail(error) {
  console.log(error.stack);
  process.exit(1);
}

async function main() {
  const a = open('a', modules[0]);
  a.socket.emit('create or join', room); // before there is a connection
  assert.deepStrictEqual((await a.next()).slice(0, 2), ['created', room]);
  const b = open('b', modules[1]);
  b.socket.emit('create or join', room);
  assert.deepStrictEqual((await b.next()).slice(0, 2), ['joined', room]);
  assert.deepStrictEqual(await b.next(), ['ready', room]);
  assert.deepStrictEqual(await a.next(), ['join', room]);
  assert.deepStrictEqual(await a.next(), ['ready', room]);

  const offer = { type: 'offer', sdp: 'v=0\r\n안녕 😀', none: null, list: [1.5, true, {}] };
  a.socket.emit('message', offer);
  assert.deepStrictEqual(await b.next(), ['message', offer]);
  b.socket.emit('drawing', 1, 'é', null, { points: [[0, 1]] });
  assert.deepStrictEqual(await a.next(), ['drawing', 1, 'é', null, { points: [[0, 1]] }]);
  for (let i = 0; i < 200; i++) {
    a.socket.emit('message', i);
    b.socket.emit('message', { n: i });
  }
  for (let i = 0; i < 200; i++) {
    assert.deepStrictEqual(await b.next(), ['message', i]);
    assert.deepStrictEqual(await a.next(), ['message', { n: i }]);
  }
  assert.strictEqual(a.socket.io.engine.transport.name, 'websocket');

  const third = open('third', modules[1]);
  third.socket.emit('create or join', room);
  assert.deepStrictEqual(await third.next(), ['full', room]);
  third.socket.close();

  b.socket.close();
  assert.deepStrictEqual(await a.next(), ['message', 'bye']);
  assert.deepStrictEqual((await a.next()).slice(0, 2), ['created', room]);
  assert.deepStrictEqual(await a.next(), ['bye', room]);
  console.log('good');
  process.exit(0);
}

setTimeout(() => fail(new Error('it takes too long')), 15000);
main().catch(fail);
