// The line to the server. It can break, or fall silent without breaking, or be possible
// in one way only (see doors.js). All that is dealt with here: the line comes back as
// soon as that is possible.

import { EventsDoor, SocketDoor } from "./doors.js";
import { recall, remember } from "./memory.js";

// All in milliseconds
const silence = 15_000; // after this we ask whether the line still lives
const patience = 7_000; // the answer may take this long
const moment = 2_000; // a shorter break is not worth mentioning
const holding = 5_000; // a line that lasts this long was no failure
const refusal = 600_000; // where a WebSocket was refused, we do without for this long

export class Line {
  isOpen = false; // the server has let us in
  #owner;
  #onChange;
  #way = window.WebSocket && !wasRefused() ? "socket" : "events";
  #wayWorks = false;
  #refusals = 0; // doors in a row that failed although the server was there
  #refusedAt = 0; // when that was found, until it is remembered
  #attempt = 0; // doors since a line has held
  #query;
  #door;
  #hasSpoken; // something has come through this door
  #silentDoors = []; // given up, but the server may still have them open
  #openedAt;
  #heardAt;
  #sentAt;
  #timers = {};
  #listeners = new AbortController();

  // owner.query() tells what the address is to say, owner.onMessage(message) gets what
  // the server says, and owner.ping() has to send what the server answers. onChange gets
  // "socket" or "events" when there is a line, and null when there is none.
  constructor(owner, onChange) {
    this.#owner = owner;
    this.#onChange = onChange;
    const { signal } = this.#listeners;
    const seen = () => document.visibilityState === "visible" && this.#check();
    document.addEventListener("visibilitychange", seen, { signal });
    addEventListener("online", () => this.#check(), { signal });
    this.#timers.clock = setInterval(() => this.#lookAtClock(), 5000);
    this.reopen();
  }

  // number says which of our messages this is: some doors have to tell.
  send(text, number) {
    this.#sentAt = Date.now();
    this.#door.send(text, number);
  }

  // The owner calls this when the server has let us in.
  opened() {
    this.isOpen = true;
    this.#openedAt = this.#sentAt = Date.now();
    for (const door of this.#silentDoors.splice(0)) door.finish();
    clearTimeout(this.#timers.moment);
    this.#timers.moment = null;
    if (this.#refusedAt && this.#way === "events") remember("webSocketRefusedAt", this.#refusedAt);
    this.#refusedAt = 0;
    this.#onChange(this.#way);
  }

  // Ends the line for good, with a last message.
  finish(text, number) {
    this.#giveUp();
    this.#listeners.abort();
    clearInterval(this.#timers.clock);
    clearTimeout(this.#timers.moment);
    for (const door of this.#silentDoors) door.finish();
    this.#door.finish(text, number);
  }

  // ---- A line that breaks ----

  reopen() {
    this.#giveUp();
    this.#attempt++;
    this.#timers.answer = setTimeout(() => this.#silent(), 2 * patience);
    this.#hasSpoken = false;
    this.#query = this.#owner.query();
    const Door = this.#way === "socket" ? SocketDoor : EventsDoor;
    this.#door = new Door(this.#query, (message) => this.#hear(message), () => this.#broke());
  }

  // Exponential back-off: half a second, one, two, four, then always eight. The jitter
  // keeps many pages from all coming back in the same moment.
  reopenLater(attempt = this.#attempt) {
    this.#giveUp();
    this.#attempt = attempt;
    const delay = Math.min(8000, 250 * 2 ** attempt);
    this.#timers.retry = setTimeout(() => this.reopen(), delay * (0.75 + Math.random() / 2));
  }

  #giveUp() {
    this.isOpen = false;
    clearTimeout(this.#timers.answer);
    clearTimeout(this.#timers.retry);
    this.#timers.answer = this.#timers.retry = null;
    this.#timers.moment ??= setTimeout(this.#onChange, moment, null);
    this.#door?.abandon();
  }

  #broke() {
    if (!this.#hasSpoken) this.#considerOtherWay();
    const held = this.isOpen && Date.now() - this.#openedAt > holding;
    if (!held) return this.reopenLater();
    this.#attempt = 0;
    this.reopen(); // the first time at once
  }

  // Does the WebSocket not come through, or is the server away, or full? It is the
  // WebSocket, if somebody is let in by the other door, if only to hear that there is no
  // such token; where it has worked before, we ask twice, and once more after the server
  // was full, which it may have been until a moment ago.
  async #considerOtherWay() {
    if (this.#way === "events") {
      if (window.WebSocket && !this.#wayWorks) this.#way = "socket";
      return;
    }
    const answer = await fetch("/_rtcdev/signal/events?resume=none&seen=0").catch(() => null);
    if (answer?.status === 503) this.#refusals = -1;
    if (!answer?.ok || ++this.#refusals < (this.#wayWorks ? 2 : 1)) return;
    this.#way = "events";
    this.#wayWorks = false;
    this.#refusedAt = Date.now();
    if (this.#timers.retry) this.reopen();
  }

  // ---- A line that falls silent ----

  #hear(message) {
    this.#hasSpoken = this.#wayWorks = true;
    this.#refusals = 0;
    this.#heardAt = Date.now();
    clearTimeout(this.#timers.answer);
    this.#timers.answer = null;
    this.#owner.onMessage(message);
  }

  // A clock shows a sleeping computer's lost time too, when it wakes up.
  #lookAtClock() {
    const quiet = Date.now() - Math.min(this.#heardAt, this.#sentAt);
    if (this.isOpen && quiet >= silence) this.#check();
  }

  // The network has changed, or somebody looks at the page again, or it was quiet for
  // long: does the line still live?
  #check() {
    if (this.#timers.retry) return this.reopen();
    if (!this.isOpen || this.#timers.answer) return;
    this.#timers.answer = setTimeout(() => this.#silent(), patience);
    this.#owner.ping();
  }

  // Should it only be slow, closing it now would look like our leaving. So we let it be
  // until we are back on another one. Only where nobody knows us yet it must not let us
  // in any more.
  #silent() {
    if (this.isOpen || this.#query.has("resume")) this.#silentDoors.push(this.#door);
    else this.#door.finish();
    this.#broke();
  }
}

const wasRefused = () => Date.now() - recall("webSocketRefusedAt") < refusal;
