// What the page shows, and what it asks the person. The call itself is in index.js.

import { MediaFailure, openMedia } from "./media.js";
import { text, translatePage } from "./messages.js";

const byId = (id) => document.getElementById(id);
const switches = { audio: byId("muteButton"), video: byId("cameraButton") };

translatePage();

// An error nobody catches ends the script just there. Then the status says so, for
// the console is closed most of the time.
let scriptError = "";
function noteError({ message }) {
  scriptError = text("scriptError", { message });
  byId("status").classList.add("broken");
  render();
}
addEventListener("error", ({ error, message }) => noteError(error ?? { message }));
addEventListener("unhandledrejection", ({ reason }) => {
  noteError({ message: reason?.message ?? String(reason) });
});

// ---- The state of the call ----

// What the page looks like follows from these.
let state = "media"; // style.css looks at it as well: see showStatus
let serverIsGone = false;
let noWebSocket = false; // the line to the server is of the second choice
let local = new MediaStream(); // what we can send
let theySend = { audio: true, video: true };
const switchedOff = { audio: false, video: false }; // kept from one call to the next
let stateCard = null; // the card that explains the state

const inCall = () => ["connecting", "connected", "disconnected", "failed"].includes(state);
const isAlone = () => state === "waiting" || state === "left";
const isInRoom = () => state === "joining" || isAlone() || inCall();
const has = (kind) => local.getTracks().some((track) => track.kind === kind);

function render() {
  const waits = serverIsGone && isAlone(); // then the card says so
  put("statusText", scriptError || text(waits ? "status.offline" : `status.${state}`));
  const note = state === "connected" ? "serverGoneInCall" : "serverGone";
  put("note", serverIsGone && isInRoom() && !waits ? text(note) : "");
  byId("noWebSocket").hidden = !noWebSocket || serverIsGone || !isInRoom();

  // Our own side: the switches show what a click does, as a label that changes.
  setText(byId("muteText"), switchedOff.audio ? "unmute" : "mute");
  setText(byId("cameraText"), switchedOff.video ? "cameraOn" : "cameraOff");
  for (const [kind, button] of Object.entries(switches)) {
    button.classList.toggle("off", switchedOff[kind]);
    button.disabled = !has(kind); // nothing to switch off
  }
  setText(byId("hangupText"), inCall() ? "hangUp" : "leave");
  byId("hangupButton").disabled = !isInRoom();
  byId("localVideo").hidden = !has("video") || switchedOff.video;
  byId("localOff").hidden = !has("video") || !switchedOff.video;
  byId("missing").hidden = !isInRoom() || (has("audio") && has("video"));
  const what = has("video") ? "noMicrophone" : has("audio") ? "noCamera" : "noDevices";
  if (!byId("missing").hidden) put("missingText", text(what));

  // The other one's side
  const talking = state === "connected";
  byId("remoteVideo").classList.toggle("off", !theySend.video);
  byId("noPicture").hidden = !talking || theySend.video;
  byId("theyAreMuted").hidden = !talking || theySend.audio;
}

// A screen reader reads aloud what is put in some places: so only what is new.
function put(id, content) {
  if (byId(id).textContent !== content) byId(id).textContent = content;
}

// In the page's language, as translatePage does it.
function setText(element, name) {
  element.dataset.text = name;
  if (element.textContent !== text(name)) element.textContent = text(name);
}

export function showStatus(now) {
  // A peer connection is "new" for a moment, and "closed" when we have closed it: no news.
  if (now === "new" || now === "closed") return;
  if (now === "connected") scriptError = ""; // it was not so bad
  byId("status").classList.toggle("broken", scriptError !== "");
  document.body.dataset.state = state = now;
  render();
}

// What kind of line there is to the server (see line.js); null: none at the moment.
export function showLine(kind) {
  const wasGone = serverIsGone;
  serverIsGone = kind === null;
  noWebSocket = kind === "events";
  render();
  if (stateCard && serverIsGone !== wasGone) showStateCard();
}

// The room in the address. Without one it is the lobby, and the address says so.
export function roomOfAddress() {
  const address = new URL(location.href);
  const room = address.searchParams.get("room") || "lobby";
  address.searchParams.set("room", room);
  history.replaceState(null, "", address);
  byId("roomName").textContent = byId("roomName").title = room;
  return room;
}

// ---- The card ----

// A title, some lines, and buttons, which are pairs of the name of a text and what
// to do.
function showCard(title, lines, buttons = []) {
  byId("cardTitle").textContent = title;
  byId("cardLines").replaceChildren(...lines.map(withCode));
  byId("cardButtons").replaceChildren(
    ...buttons.map(([name, action]) => {
      const button = document.createElement("button");
      button.type = "button";
      setText(button, name);
      button.addEventListener("click", action);
      return button;
    }),
  );
  byId("card").hidden = false;
}

// The status, and a card which explains it: waiting, left, ended, full,
// replaced or refused.
export function showCardFor(now, button, values) {
  showStatus(now);
  stateCard = { button, values };
  showStateCard();
}

function showStateCard() {
  if (!stateCard) return hideCard();
  const title = text(`${state}.title`);
  if (serverIsGone && isAlone()) return showCard(title, [text("offline.text")]);
  const onlyHere = /(^|\.)localhost$|^127\.|^\[::1\]$/.test(location.hostname);
  const name = state === "waiting" && onlyHere ? "waiting.localhost" : `${state}.text`;
  showCard(title, [text(name, stateCard.values)], [stateCard.button]);
}

export function hideCard() {
  stateCard = null;
  const hadFocus = byId("card").contains(document.activeElement);
  byId("card").hidden = true;
  if (hadFocus) byId("status").focus(); // else the keyboard would start at the top again
}

// A line of ours, in which `…` marks what is to be typed.
function withCode(line) {
  const element = withText("p", "");
  const parts = line.split("`").map((part, i) => (i % 2 ? withText("code", part) : part));
  element.append(...parts);
  return element;
}

// textContent, never innerHTML: what the other person writes stays mere text.
function withText(tag, content) {
  const element = document.createElement(tag);
  element.textContent = content;
  return element;
}

// ---- Camera and microphone ----

// Opens camera and microphone. When that fails the page says why, and the person
// chooses: try again, or go on with less, at last with an empty stream. So this
// always ends with a stream.
export async function askForMedia(constraints) {
  const inRoom = isInRoom();
  if (!inRoom) hideCard();
  showMediaStatus("media");
  const hint = () => showCard(text("prompt.title"), [text("prompt.text")]);
  let stream;
  try {
    stream = await openMedia(constraints, hint);
  } catch (failure) {
    if (!(failure instanceof MediaFailure)) throw failure;
    if (inRoom && !isInRoom()) return new MediaStream(); // the person has left meanwhile
    // What is left of the wish, when the person goes on without the rest.
    const { audio, video } = failure.fallback ?? {};
    const rest = { audio: audio && constraints.audio, video: video && constraints.video };
    if (await showFailure(failure, constraints, rest)) return askForMedia(constraints);
    showMediaStatus("media");
    stream = new MediaStream();
    if (rest.audio || rest.video) stream = await openMedia(rest, hint).catch(() => stream);
  }
  showStateCard(); // in place of ours
  return stream;
}

// Before we are in the room, the status is about the camera; later, about the call.
function showMediaStatus(now) {
  if (!isInRoom()) showStatus(now);
}

// Tells true for "try again" and false for "go on without".
function showFailure({ code, values }, asked, rest) {
  const say = (part) => text(`failure.${code}.${part}`, values);
  const noSound = asked.audio && !rest.audio;
  const noPicture = asked.video && !rest.video;
  const goOn = noSound && noPicture
    ? "goOnWithoutBoth"
    : noSound ? "goOnWithoutMicrophone" : "goOnWithoutCamera";
  showMediaStatus("noMedia");
  return new Promise((choose) => {
    const retry = code === "insecure"
      ? ["openSecurePage", () => location.assign(values.address)]
      : ["tryAgain", () => choose(true)];
    showCard(say("what"), [say("why"), say("now")], [retry, [goOn, () => choose(false)]]);
  });
}

// "Try again" in the room asks for what is missing, and gives it to add.
export function onRetry(constraints, add) {
  byId("retryButton").addEventListener("click", async () => {
    const before = local;
    const wanted = {
      audio: !has("audio") && constraints.audio,
      video: !has("video") && constraints.video,
    };
    const stream = await askForMedia(wanted);
    const isStillOurs = local === before; // else the person has left meanwhile
    for (const track of stream.getTracks()) {
      if (isStillOurs && !has(track.kind)) continue;
      track.stop();
      stream.removeTrack(track);
    }
    if (isStillOurs) add(stream);
  });
}

export const isSwitchedOff = (kind) => switchedOff[kind];

export function onSwitch(changed) {
  for (const [kind, button] of Object.entries(switches)) {
    button.addEventListener("click", () => {
      switchedOff[kind] = !switchedOff[kind];
      changed();
    });
  }
}

export function onHangUp(hangUp) {
  byId("hangupButton").addEventListener("click", () => {
    hangUp();
    byId("cardButtons").firstChild.focus(); // the keyboard goes on from here
  });
}

// Shows our own picture.
export function showLocal(stream) {
  local = stream;
  if (byId("localVideo").srcObject !== stream) byId("localVideo").srcObject = stream;
  render();
}

// Shows the other one's picture; null takes it away.
export function showRemote(stream) {
  const video = byId("remoteVideo");
  if (video.srcObject === stream) return;
  video.srcObject = stream;
  byId("hearButton").hidden = true;
  if (stream) playRemote();
  else theySend = { audio: true, video: true };
  render();
}

// Browsers play sound by themselves only on pages the person has touched; else they
// hold back the picture with it.
async function playRemote() {
  const video = byId("remoteVideo");
  try {
    await video.play();
    byId("hearButton").hidden = true;
  } catch (error) {
    const pictures = video.srcObject?.getVideoTracks().length > 0;
    setText(byId("hearButton"), pictures ? "seeAndHear" : "hear");
    byId("hearButton").hidden = error.name !== "NotAllowedError";
  }
}
byId("hearButton").addEventListener("click", playRemote);

// ---- What comes over the data channel ----

export function showMessage(data) {
  let message;
  try {
    message = JSON.parse(data) ?? {};
  } catch {
    return; // not from this app
  }
  const { text, audio, video } = message;
  if (typeof text === "string") addChatLine("them", text);
  if (typeof audio !== "boolean" || typeof video !== "boolean") return;
  theySend = { audio, video };
  render();
}

function addChatLine(who, content) {
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
openChat(false);

export function onChatMessage(send) {
  byId("chatForm").addEventListener("submit", (event) => {
    event.preventDefault();
    const input = byId("chatInput");
    if (!input.value.trim()) return;
    if (!send(input.value)) return; // just now it closed: the line stays to be sent later
    addChatLine("you", input.value);
    input.value = "";
  });
}

// ---- The link ----

// Copies the page's address, or shows it to copy by hand where that is not allowed.
export async function copyLink({ currentTarget: button }) {
  try {
    await navigator.clipboard.writeText(location.href);
  } catch {
    prompt(text("copyByHand"), location.href);
    return;
  }
  const label = button.querySelector("span") ?? button;
  label.textContent = text("linkCopied");
  setTimeout(() => (label.textContent = text("copyLink")), 2000);
}
byId("copyLinkButton").addEventListener("click", copyLink);

// A page that comes back from the browser's memory has hung up: it begins anew.
addEventListener("pageshow", ({ persisted }) => persisted && location.reload());
