// Signaling: the line to the server over which two browsers find each other and
// agree on their connection. WebRTC does not say how; this is a WebSocket that
// carries JSON. The picture and the sound never pass through here.
//
// The server's messages:  welcome, peer-joined, peer-left, signal, error
// Ours:                   signal (to one peer), leave

export class Signaling {
  #room;
  #onMessage;
  #onLost;
  #socket;
  #timer;
  #attempt = 0;

  // onMessage gets every message of the server. onLost is called when the line
  // broke; it is then opened again until that works or leave() is called.
  constructor(room, onMessage, onLost) {
    this.#room = room;
    this.#onMessage = onMessage;
    this.#onLost = onLost;
    this.#connect();
  }

  send(to, data) {
    this.#write({ type: "signal", to, data });
  }

  leave() {
    clearTimeout(this.#timer);
    this.#write({ type: "leave" });
    this.#socket.onclose = this.#socket.onmessage = null;
    this.#socket.close();
  }

  #write(message) {
    if (this.#socket.readyState === WebSocket.OPEN) this.#socket.send(JSON.stringify(message));
  }

  #connect() {
    const address = `wss://${location.host}/_rtcdev/signal?room=${encodeURIComponent(this.#room)}`;
    this.#socket = new WebSocket(address);
    this.#socket.onmessage = ({ data }) => this.#receive(JSON.parse(data));
    this.#socket.onclose = () => this.#retry();
  }

  #receive(message) {
    if (message.type === "welcome") this.#attempt = 0;
    // When we come back from a break, the place that is taken may be our own: the
    // server has not noticed yet that the old line is dead.
    const full = message.type === "error" && message.code === "room-full";
    if (full && this.#attempt > 0 && this.#attempt < 4) return;
    // These two pass: the other one has just left, or the server stops and comes back.
    if (["no-such-peer", "shutting-down"].includes(message.code)) return;
    this.#onMessage(message);
  }

  // Exponential back-off: half a second, one, two, four, then always eight. The
  // jitter keeps many pages from all coming back in the same moment.
  #retry() {
    this.#onLost();
    const delay = Math.min(8000, 500 * 2 ** this.#attempt++);
    this.#timer = setTimeout(() => this.#connect(), delay * (0.75 + Math.random() / 2));
  }
}
