// What the page shows, and what it asks the person. The call itself is in index.js.

import { MediaFailure, openMedia } from "./media.js";
import { text, translatePage } from "./messages.js";

export const byId = (id) => document.getElementById(id);

translatePage();
openChat(false);

// The state of the call in words, for eyes and for screen readers. style.css
// looks at data-state: connected, connecting, waiting, …
export function showStatus(state) {
  document.body.dataset.state = state;
  byId("statusText").textContent = text(`status.${state}`);
}

// A quiet line below the status; no name hides it.
export function showNote(name) {
  const content = name ? text(name) : "";
  if (byId("note").textContent !== content) byId("note").textContent = content;
}

// The card in the middle: a title, some lines, and buttons, which are pairs of
// the name of a text and what to do.
export function showCard(title, lines, buttons = []) {
  byId("cardTitle").textContent = title;
  byId("cardLines").replaceChildren(...lines.map(withCode));
  byId("cardButtons").replaceChildren(
    ...buttons.map(([name, action]) => {
      const button = withText("button", text(name));
      button.type = "button";
      button.addEventListener("click", action);
      return button;
    }),
  );
  byId("card").hidden = false;
}

// The status, and a card which explains it: waiting, left, ended or full.
export function showCardFor(state, button) {
  showStatus(state);
  const lines = [text(`${state}.text`)];
  const onlyHere = ["localhost", "127.0.0.1", "[::1]"].includes(location.hostname);
  if (state === "waiting" && onlyHere) lines.push(text("waiting.localhost"));
  showCard(text(`${state}.title`), lines, [button]);
}

export function hideCard() {
  byId("card").hidden = true;
}

// Opens camera and microphone. When that fails the page says why, and the person
// chooses: try again, or go on with less, at last with an empty stream. So this
// always ends with a stream.
export async function askForMedia(constraints) {
  hideCard();
  showStatus("media");
  const hint = () => showCard(text("prompt.title"), [text("prompt.text")]);
  try {
    const stream = await openMedia(constraints, hint);
    hideCard();
    return stream;
  } catch (failure) {
    if (!(failure instanceof MediaFailure)) throw failure;
    const tryAgain = await showFailure(failure);
    if (tryAgain) return askForMedia(constraints);
    hideCard();
    showStatus("media");
    const nothing = new MediaStream();
    return failure.fallback ? openMedia(failure.fallback, hint).catch(() => nothing) : nothing;
  }
}

// Tells true for "try again" and false for "go on without".
function showFailure({ code, values, fallback }) {
  const say = (part) => text(`failure.${code}.${part}`, values);
  const goOn = fallback?.audio
    ? "goOnWithoutCamera"
    : fallback ? "goOnWithoutMicrophone" : "goOnWithoutBoth";
  showStatus("noMedia");
  return new Promise((choose) => {
    const retry = code === "insecure"
      ? ["openSecurePage", () => location.assign(values.address)]
      : ["tryAgain", () => choose(true)];
    showCard(say("what"), [say("why"), say("now")], [retry, [goOn, () => choose(false)]]);
  });
}

// The switches for the microphone (audio) and the camera (video). They keep their
// state from one call to the next.
const switches = { audio: byId("muteButton"), video: byId("cameraButton") };

export const isSwitchedOff = (kind) => switches[kind].getAttribute("aria-pressed") === "true";

export function onSwitch(changed) {
  for (const [kind, button] of Object.entries(switches)) {
    button.addEventListener("click", () => {
      button.setAttribute("aria-pressed", !isSwitchedOff(kind));
      changed();
    });
  }
}

// Shows our own picture. Where there is nothing to switch off, the switch is dead.
export function showLocal(stream) {
  const [camera] = stream.getVideoTracks();
  switches.audio.disabled = stream.getAudioTracks().length === 0;
  switches.video.disabled = !camera;
  const video = byId("localVideo");
  video.hidden = !camera;
  if (video.srcObject !== stream) video.srcObject = stream;
}

// Shows the other one's picture; null takes it away.
export function showRemote(stream) {
  const video = byId("remoteVideo");
  if (video.srcObject === stream) return;
  video.srcObject = stream;
  video.classList.remove("hasPicture");
  byId("hearButton").hidden = true;
  if (stream) playRemote();
}

// A person without a camera sends no picture; then style.css says so instead.
byId("remoteVideo").addEventListener("resize", ({ target }) => {
  target.classList.toggle("hasPicture", target.videoWidth > 0);
});

// Browsers play sound by themselves only on pages the person has touched.
async function playRemote() {
  try {
    await byId("remoteVideo").play();
    byId("hearButton").hidden = true;
  } catch (error) {
    byId("hearButton").hidden = error.name !== "NotAllowedError";
  }
}
byId("hearButton").addEventListener("click", playRemote);

// textContent, never innerHTML: what the other person writes stays mere text.
function withText(tag, content) {
  const element = document.createElement(tag);
  element.textContent = content;
  return element;
}

// A line of ours, in which `…` marks what is to be typed.
function withCode(line) {
  const element = withText("p", "");
  const parts = line.split("`").map((part, i) => (i % 2 ? withText("code", part) : part));
  element.append(...parts);
  return element;
}

export function addChatLine(who, content) {
  const line = withText("p", content);
  line.className = who;
  line.prepend(withText("b", text(who)));
  byId("chatEmpty").hidden = true;
  byId("chatLog").append(line);
  byId("chatLog").scrollTop = byId("chatLog").scrollHeight;
}

export function openChat(isOpen) {
  byId("chatFields").disabled = !isOpen;
  byId("chatInput").placeholder = text(isOpen ? "chatPlaceholder" : "chatClosed");
}

export function onChatMessage(send) {
  byId("chatForm").addEventListener("submit", (event) => {
    event.preventDefault();
    const input = byId("chatInput");
    if (!input.value.trim()) return;
    send(input.value);
    addChatLine("you", input.value);
    input.value = "";
  });
}

// Copies the page's address, or shows it to copy by hand where that is not allowed.
export async function copyLink() {
  try {
    await navigator.clipboard.writeText(location.href);
  } catch {
    prompt(text("copyByHand"), location.href);
    return;
  }
  byId("copyLinkText").textContent = text("linkCopied");
  setTimeout(() => (byId("copyLinkText").textContent = text("copyLink")), 2000);
}
byId("copyLinkButton").addEventListener("click", copyLink);
