// The socket.io client of rtcdev: a global `io` for pages that load
// /socket.io/socket.io.js. It speaks Engine.IO 4 over a WebSocket or, where that is
// refused, over server-sent events and POST. JSON only, one namespace; what is
// emitted without a connection is sent, in order, when there is one.
(function () {
'use strict';

const RESERVED = ['connect', 'connect_error', 'disconnect', 'disconnecting', 'newListener', 'removeListener'];
const SEPARATOR = '\x1e'; // between packets; JSON has it only escaped
const MAX_BATCH = 60000; // bytes in a POST of several packets: keepalive allows 64 KiB
const ANY = Symbol('any event');
const OPEN_TIME = 10000; // ms until a way that does not open is given up
const FIRST_DELAY = 500; // ms before the first new try
const MAX_DELAY = 5000; // ms

// encode makes a packet of an event. JSON would mangle binary data.
function encode(id, name, args) {
  return '42' + id + JSON.stringify([name, ...args], function (key, value) {
    const raw = this[key]; // before its toJSON
    if (ArrayBuffer.isView(raw) || /(ArrayBuffer|Blob|File)\]$/.test(Object.prototype.toString.call(raw))) {
      throw new Error('emit("' + name + '"): binary data is not supported here; send JSON, such as Array.from(bytes)');
    }
    return value;
  });
}

// isOfACall tells what a page of the codelab says about one call.
function isOfACall(name, said) {
  return name === 'message' && (said === 'got user media' || ['offer', 'answer', 'candidate'].includes(said?.type));
}

// failure is an Error that is not {} in JSON.
function failure(message) {
  return Object.defineProperty(new Error(message), 'message', { enumerable: true });
}

// why asks the server what it has against a page that got no line.
async function why(base) {
  const { origin } = new URL(base);
  try {
    const response = await fetch(base + 'events');
    if (response.ok) {
      await response.body.cancel();
      return origin + ' answers, but no connection could be opened';
    }
    const text = await response.text();
    return 'the server refused this page: ' + (text[0] === '{' ? JSON.parse(text).message : text.trim());
  } catch (error) {
    return origin + ' could not be reached' +
      (origin === location.origin ? '' : ', or does not let this page in: rtcdev serve --allow-origin ' + location.origin);
  }
}

// A way opens a line to the server. It calls receive(packet), and lost(reason)
// once when it is over; it returns {send, close}.
function openWebSocket(base, receive, lost) {
  const socket = new WebSocket(base.replace(/^http/, 'ws') + '?EIO=4&transport=websocket');
  socket.onmessage = (event) => receive(event.data);
  socket.onclose = () => lost('transport close');
  return {
    send: (packet) => socket.send(packet),
    close: () => socket.close(),
  };
}

function openEvents(base, receive, lost) {
  const source = new EventSource(base + 'events');
  let sid = '';
  let waiting = [];
  let sending = false;
  source.onmessage = (event) => {
    if (event.data[0] === '0') {
      sid = JSON.parse(event.data.slice(1)).sid;
    }
    receive(event.data);
  };
  source.onerror = () => {
    source.close();
    lost('transport close');
  };
  // One request at a time keeps the order; what comes meanwhile goes together.
  function flush() {
    if (sending || waiting.length === 0) {
      return;
    }
    sending = true;
    const batch = [sid];
    let size = 0;
    while (waiting.length > 0 && batch.length <= 100) {
      const bytes = new TextEncoder().encode(waiting[0]).length + 1;
      if (size > 0 && size + bytes > MAX_BATCH) {
        break;
      }
      size += bytes;
      batch.push(waiting.shift());
    }
    fetch(base + 'send', { method: 'POST', body: batch.join(SEPARATOR), keepalive: size <= MAX_BATCH, headers: { 'Content-Type': 'text/plain' } })
      .then((response) => {
        if (!response.ok) {
          throw new Error('HTTP status ' + response.status);
        }
        sending = false;
        flush();
      })
      .catch(source.onerror);
  }
  return {
    send(packet) {
      waiting.push(packet);
      flush();
    },
    close: () => source.close(),
  };
}

class Socket {
  constructor(base, namespace) {
    this.connected = false;
    this.id = undefined; // what others know this page by
    this._base = base;
    this._namespace = namespace;
    this._handlers = Object.create(null); // a page may call its event "constructor"
    this._queue = []; // what waits for the connection
    this._acks = Object.create(null);
    this._nextAck = 0;
    this._limit = 0; // for the next acknowledgement, in ms
    this._active = false; // the page wants a connection
    this._line = null;
    this._sid = ''; // the session's secret: proves that we are who had the last line
    this._failures = 0;
    this._proven = false; // a WebSocket has worked
    this._events = typeof WebSocket === 'undefined';
    this._room = null; // the one we are in, or have asked for
    this._named = false; // the page has named one
    this._media = false; // it has said 'got user media'
  }

  get disconnected() {
    return !this.connected;
  }

  on(name, fn) {
    (this._handlers[name] = this._handlers[name] || []).push(fn);
    return this;
  }

  once(name, fn) {
    const one = (...args) => {
      this.off(name, one);
      fn.apply(this, args);
    };
    one.fn = fn;
    return this.on(name, one);
  }

  off(name, fn) {
    if (name === undefined) {
      this._handlers = Object.create(null);
    } else {
      this._handlers[name] = (this._handlers[name] || []).filter((h) => fn && h !== fn && h.fn !== fn);
    }
    return this;
  }

  listeners(name) {
    return (this._handlers[name] || []).map((h) => h.fn || h);
  }

  hasListeners(name) {
    return !!this.listeners(name)[0];
  }

  onAny(fn) {
    return this.on(ANY, fn);
  }

  get volatile() {
    return this;
  }

  // timeout is for the next emit: its acknowledgement gets an error or null first.
  timeout(ms) {
    this._limit = ms;
    return this;
  }

  emitWithAck(...args) {
    return new Promise((resolve, reject) => {
      const done = (error, value) => (error ? reject(error) : resolve(value));
      done.errorFirst = true;
      this.emit(...args, done);
    });
  }

  emit(name, ...args) {
    const limit = this._limit;
    this._limit = 0;
    if (RESERVED.includes(name)) {
      throw new Error('"' + name + '" is a reserved event name');
    }
    const ack = typeof args[args.length - 1] === 'function' && args.pop();
    const id = ack ? this._nextAck++ : '';
    const packet = encode(id, name, args);
    if (ack) {
      const timer = limit && setTimeout(() => this._answer(id, 'operation has timed out'), limit);
      this._acks[id] = { ack, timer, errorFirst: limit || ack.errorFirst };
    }
    if (name === 'create or join') {
      this._named = true;
      this._room = args[0] ?? '';
    }
    this._media = this._media || (name === 'message' && args[0] === 'got user media');
    if (name === 'bye') {
      this._room = null;
    }
    if (this.connected && !this._greeting) {
      this._line.send(packet);
    } else {
      this._queue.push({ packet, id, name, ofACall: isOfACall(name, args[0]) });
    }
    return this;
  }

  // _answer ends the wait for an acknowledgement.
  _answer(id, error, args = []) {
    const { ack, timer, errorFirst } = this._acks[id] || {};
    delete this._acks[id];
    clearTimeout(timer);
    if (errorFirst) {
      ack.call(this, error && failure(error), ...args);
    } else if (ack && !error) {
      ack.apply(this, args);
    }
  }

  send(...args) {
    return this.emit('message', ...args);
  }

  connect() {
    if (!this._active) {
      this._active = true;
      this._failures = 0;
      this._open();
    }
    return this;
  }

  disconnect(reason) {
    if (this.connected) {
      this._line.send('41');
    }
    this._active = false;
    clearTimeout(this._retry);
    this._sid = '';
    this._room = null;
    this._lose(typeof reason === 'string' ? reason : 'io client disconnect');
    return this;
  }

  // _open begins a line, or fails in the way that a line does.
  _open() {
    const line = {};
    const current = (fn) => (value) => this._line === line && fn(value);
    this._line = line;
    this._watch(OPEN_TIME);
    try {
      const way = this._events ? openEvents : openWebSocket;
      Object.assign(line, way(this._base, current((packet) => this._receive(packet)), current((reason) => this._lose(reason))));
    } catch (error) {
      setTimeout(current(() => this._lose('transport error')));
    }
  }

  // _watch gives the line up after ms without a sign of life.
  _watch(ms) {
    clearTimeout(this._timer);
    this._timer = setTimeout(() => this._lose('ping timeout'), ms);
  }

  // _lose is the end of a line, and the beginning of the next if one is wanted.
  _lose(reason) {
    clearTimeout(this._timer);
    const line = this._line;
    const was = this.connected;
    this._line = null;
    this.connected = false;
    this._greeting = false;
    this.id = undefined;
    line?.close?.();
    if (was) {
      Object.keys(this._acks).forEach((id) => this._answer(id, 'socket has been disconnected'));
      this._fire('disconnect', reason);
    }
    if (!this._active) {
      return;
    }
    // A WebSocket that has never worked may be refused for good: try the other way at
    // once, and take turns if that fails as well.
    const turns = !was && !this._proven && typeof WebSocket !== 'undefined' && typeof EventSource !== 'undefined';
    const atOnce = turns && !this._events;
    if (!atOnce) {
      const delay = Math.min(MAX_DELAY, FIRST_DELAY * 2 ** this._failures++);
      this._retry = setTimeout(() => this._open(), delay * (0.5 + Math.random()));
    }
    if (!was) {
      if (turns) {
        this._events = !this._events;
      }
      const tell = (text) => this._active && !this.connected && this._fire('connect_error', failure(text));
      if (atOnce) {
        tell('no WebSocket could be opened; trying server-sent events');
      } else {
        why(this._base).then(tell);
      }
      if (atOnce && this._active) {
        this._open();
      }
    }
  }

  _receive(packet) {
    if (this._interval) {
      this._watch(this._interval);
    }
    switch (packet[0]) {
      case '0': {
        const { sid, pingInterval, pingTimeout } = JSON.parse(packet.slice(1));
        const before = this._sid;
        this._sid = sid;
        this._interval = pingInterval + pingTimeout;
        this._watch(this._interval);
        this._line.send('40' + (this._namespace === '/' ? '' : this._namespace + ',') + JSON.stringify({
          replaces: before,
          rooms: this._named || (this.hasListeners('created') && this.hasListeners('joined')),
        }));
        break;
      }
      case '1':
        this._lose('transport close');
        break;
      case '2':
        this._line.send('3' + packet.slice(1));
        break;
      case '4':
        this._message(packet[1], packet.slice(2));
        break;
    }
  }

  _message(kind, text) {
    const comma = text[0] === '/' ? text.indexOf(',') + 1 : 0;
    const id = /^\d*/.exec(text.slice(comma))[0];
    const json = text.slice(comma + id.length);
    const data = json ? JSON.parse(json) : undefined;
    switch (kind) {
      case '0':
        this._greet(data.sid);
        break;
      case '1':
        this._active = false;
        this._lose('io server disconnect');
        break;
      case '2':
        if (data[0] === 'created' || data[0] === 'joined') {
          this._room = data[1];
        } else if (data[0] === 'full') {
          this._room = null;
        }
        this._fire(ANY, ...data);
        this._fire(...data);
        break;
      case '3':
        this._answer(id, null, data);
        break;
      case '4':
        this._active = false;
        this._lose('io server disconnect');
        this._fire('connect_error', failure(data.message));
        break;
    }
  }

  // _greet is the beginning of a connection. After a break the page gets its room
  // back, unless it sees to that itself, and hears a 'bye' first: whom it talked to
  // has heard one of it, and so both begin again: what waits of that call is void.
  _greet(id) {
    this.id = id;
    this.connected = true;
    this._failures = 0;
    this._proven = this._proven || !this._events;
    this._greeting = true; // what is emitted now comes after what waits
    this._fire('connect');
    const room = this._room;
    const asks = this._queue.some(({ name }) => name === 'create or join');
    if (room !== null && !asks && this.connected) {
      const dead = this._queue.filter(({ ofACall }) => ofACall);
      this._queue = this._queue.filter(({ ofACall }) => !ofACall);
      dead.forEach(({ id }) => this._answer(id, 'socket has been disconnected'));
      this._fire('message', 'bye');
      if (this.connected) {
        this._line.send(encode('', 'create or join', [room]));
        if (this._media) {
          this._line.send('42["message","got user media"]');
        }
      }
    }
    this._greeting = false;
    while (this.connected && this._queue.length > 0) {
      this._line.send(this._queue.shift().packet);
    }
  }

  // _fire calls the handlers of an event. One that fails does not hold up the rest.
  _fire(name, ...args) {
    for (const fn of (this._handlers[name] || []).slice()) {
      try {
        fn.apply(this, args);
      } catch (error) {
        setTimeout(() => {
          throw error;
        });
      }
    }
  }
}

const { prototype } = Socket;
prototype.open = prototype.connect;
prototype.close = prototype.disconnect;
prototype.removeListener = prototype.removeAllListeners = prototype.off;

// io opens a connection to the page's own server, or to that of url.
function io(url, options) {
  if (typeof url === 'object') {
    options = url;
    url = undefined;
  }
  if (/^[\w.-]+:\d/.test(url)) { // "localhost:3000"
    url = location.protocol + '//' + url;
  }
  const target = new URL(url || '/', location.href);
  target.protocol = target.protocol.replace(/^ws/, 'http');
  const socket = new Socket(target.origin + '/socket.io/', target.pathname);
  if (options?.autoConnect !== false) {
    socket.connect();
  }
  return socket;
}
io.connect = io;

globalThis.io = io;
})();
