// Two ways into the server. Both carry the same messages, each a JSON object, and one
// can go on where the other broke off. line.js chooses between them.
//
// A door gets what its address ends with, and two functions: onMessage is called with
// each message of the server, onEnd when no more will come. After abandon() and finish()
// neither is called.

// A WebSocket is one connection for both directions.
export class SocketDoor {
  #socket;

  constructor(query, onMessage, onEnd) {
    this.#socket = new WebSocket(`wss://${location.host}/_rtcdev/signal?${query}`);
    this.#socket.onmessage = ({ data }) => onMessage(JSON.parse(data));
    this.#socket.onclose = onEnd;
  }

  send(text) {
    this.#socket.send(text);
  }

  // Gives up a line that is silent, but does not close it: should it only be slow, the
  // server would take that for our leaving.
  abandon() {
    this.#socket.onmessage = this.#socket.onclose = null;
  }

  finish(lastText, number) {
    this.abandon();
    if (this.#socket.readyState === WebSocket.OPEN) lastText && this.#socket.send(lastText);
    else sendBeacon(lastText, number);
    this.#socket.close();
  }
}

// Where there is no WebSocket, ordinary requests do the same: Server-Sent Events are an
// answer of the server that does not end, and each message of ours is a POST. An iPhone,
// for example, shows a page whose certificate warning was clicked away, but refuses it
// any WebSocket.
export class EventsDoor {
  #events;
  #onMessage;
  #onEnd;
  #waiting = []; // our messages that the server has not confirmed yet
  #aborter = new AbortController();

  constructor(query, onMessage, onEnd) {
    this.#onMessage = onMessage;
    this.#onEnd = onEnd;
    this.#events = new EventSource(`/_rtcdev/signal/events?${query}`);
    this.#events.onmessage = ({ data }) => onMessage(JSON.parse(data));
    this.#events.onerror = onEnd; // it would try again by itself, but line.js does that
  }

  // number says whose message this is, and which one.
  send(text, number) {
    this.#waiting.push({ text, number });
    if (this.#waiting.length === 1) this.#post();
  }

  // One after the other: of two at once the second may arrive first.
  async #post() {
    const { signal } = this.#aborter;
    try {
      while (this.#waiting.length > 0) {
        const { text, number } = this.#waiting[0];
        const response = await fetch(addressOf(number), { method: "POST", body: text, signal });
        if (response.status === 409) throw new Error("the server has missed one");
        if (!response.ok) return this.#onMessage(await response.json()); // says what is wrong
        this.#waiting.shift();
      }
    } catch {
      // Did it arrive or not? When the line is taken up again the server says what it has
      // got, and the rest is sent again under the same numbers.
      if (!signal.aborted) this.#onEnd();
    }
  }

  abandon() {
    this.#events.close();
    this.#aborter.abort();
  }

  // What still waits would be for people whom we leave.
  finish(lastText, number) {
    this.abandon();
    sendBeacon(lastText, number);
  }
}

const addressOf = (number) => `/_rtcdev/signal/send?${number}`;

// A page that goes away can not wait for answers. The browser delivers its beacons.
function sendBeacon(text, number) {
  if (text) navigator.sendBeacon(addressOf(number), text);
}
