// Signaling: how two browsers find each other through the server and agree on their
// connection. WebRTC does not say how; here it is JSON messages over the line of line.js.
// The picture and the sound never pass through here.
//
// The server's messages:  welcome, resumed, peer-joined, peer-left, signal, pong, error
// Ours:                   signal (to one peer), ping, leave
//
// A line breaks easily: a phone only has to change from Wi-Fi to mobile. The next one
// then goes on where it broke off. The server keeps our place and our messages for half
// a minute, and knows us by a token that it gave us. Both sides count what they have
// got, tell each other, and send again what is missing. So nobody else notices.

import { Line } from "./line.js";
import { recall, remember } from "./memory.js";

const kept = 256; // how many of our last messages we can send again
const placeIsKept = 35_000; // ms for which the server may keep our place, and a little more
const goodbye = JSON.stringify({ type: "leave" });

export class Signaling {
  iceServers; // helpers for finding a way through routers; the server names them
  #room;
  #onMessage;
  #onLine;
  #line;
  #token; // none: the server does not know us
  #seen = 0; // how many messages of the server have come since its welcome
  #sent = 0; // how many we have sent since then, with those that wait for a line
  #last = []; // the last of these, as text
  #hasLeft;
  #ghostUntil = 0; // till then the server may have a place for whom we were before

  // onMessage gets the server's messages, except what is about the line itself. A second
  // welcome means that we could not go on, and are a new peer now. For onLine see line.js.
  constructor(room, onMessage, onLine) {
    this.#room = room;
    this.#onMessage = onMessage;
    this.#onLine = onLine;
    this.#join();
  }

  async #join() {
    this.#token = null;
    this.#hasLeft = false;
    if (!(await endGhost())) this.#ghostUntil = Date.now() + placeIsKept;
    if (this.#hasLeft) return;
    const owner = {
      query: () => this.#query(),
      onMessage: (message) => this.#hear(message),
      ping: () => this.#write({ type: "ping" }),
    };
    this.#line = new Line(owner, this.#onLine);
  }

  // While there is no line, the message waits for the next one.
  send(to, data) {
    this.#write({ type: "signal", to, data });
  }

  leave() {
    this.#hasLeft = true;
    if (this.#token) remember("ghost", this.#token);
    this.#line?.finish(this.#token && goodbye, this.#number(this.#sent + 1));
  }

  #write(message) {
    this.#sent++;
    this.#last.push(JSON.stringify(message));
    if (this.#last.length > kept) this.#last.shift();
    if (this.#line.isOpen) this.#sendLast(1);
  }

  #sendLast(count) {
    for (let n = this.#sent - count + 1; n <= this.#sent; n++) {
      this.#line.send(this.#last.at(n - this.#sent - 1), this.#number(n));
    }
  }

  // What the address of a line says: who we are, or which room we want to join.
  #query() {
    if (!this.#token) return new URLSearchParams({ room: this.#room });
    this.#ghostUntil = Date.now() + placeIsKept;
    return new URLSearchParams({ resume: this.#token, seen: this.#seen });
  }

  // What a message says of itself where each has an address of its own.
  #number(n) {
    return new URLSearchParams({ resume: this.#token, n, seen: this.#seen });
  }

  #hear(message) {
    switch (message.type) {
      case "welcome":
        this.#begin(message);
        this.#seen = this.#sent = 0;
        this.#last = []; // what waited there was for the peers of before
        return this.#onMessage(message);
      case "resumed":
        this.#begin(message);
        return this.#resume(this.#sent - message.seen);
    }
    this.#seen++;
    if (message.type === "error") this.#refused(message);
    else if (message.type !== "pong") this.#onMessage(message);
  }

  #begin({ resume, iceServers }) {
    this.#token = resume;
    this.iceServers = iceServers;
    this.#line.opened();
  }

  #resume(missing) {
    if (missing <= this.#last.length) return this.#sendLast(missing);
    this.leave(); // so many were not kept
    this.#join();
  }

  #refused(message) {
    if (message.code === "no-such-peer") return; // just left: peer-left is on its way
    this.#token = null; // every other error ends our stay
    switch (message.code) {
      case "cannot-resume": // we were away for too long, or the server was restarted
        return this.#line.reopen();
      case "shutting-down": // most likely it comes back
        return this.#line.reopenLater(1);
      case "rate-limited":
        return this.#line.reopenLater(4);
      case "room-full": // the place that is taken may still be our own
        if (Date.now() < this.#ghostUntil) return this.#line.reopenLater();
    }
    this.#onMessage(message);
  }
}

// Our last goodbye is lost if the line was broken just then. The server would keep a place
// for whom we were, a ghost, and might have none for us. So we say it once more.
async function endGhost() {
  const token = recall("ghost");
  if (!token) return true;
  remember("ghost", "");
  const address = `/_rtcdev/signal/send?${new URLSearchParams({ resume: token, n: 1 })}`;
  const signal = AbortSignal.timeout(3000);
  const answer = await fetch(address, { method: "POST", body: goodbye, signal }).catch(() => null);
  return answer?.ok;
}
