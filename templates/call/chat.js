// The data channel: a line for messages of our own beside picture and sound, in the
// same connection. It carries JSON: { text } is a line of chat, { audio, video } says
// what the other one sends, for a camera that is off looks just like a dark room.

import * as page from "./page.js";

export class Chat {
  #channel;

  // onOpen is called when messages can be sent, onClose when that is over because
  // the other side closed: most likely its page is gone.
  constructor(connection, onOpen, onClose) {
    // Both sides make the channel with the same number (negotiated), so there is no
    // question who opens it.
    this.#channel = connection.createDataChannel("chat", { negotiated: true, id: 0 });
    this.#channel.onopen = () => {
      page.openChat(true);
      onOpen();
    };
    this.#channel.onmessage = ({ data }) => page.showMessage(data);
    this.#channel.onclose = onClose;
  }

  // Tells whether the message could be sent.
  send(message) {
    const isOpen = this.#channel.readyState === "open";
    if (isOpen) this.#channel.send(JSON.stringify(message));
    return isOpen;
  }

  // For when we close the connection ourselves.
  forget() {
    this.#channel.onopen = this.#channel.onmessage = this.#channel.onclose = null;
    page.openChat(false);
  }
}
