// A video call between two browsers, to be read from top to bottom.
//
// Picture, sound and chat go directly from browser to browser, over what WebRTC
// calls a peer connection. Before it exists the two must get to know each other:
// what they send, how it is encrypted, and at which addresses they can be reached.
// They tell each other through a server both can reach. That is signaling.
//
// signaling.js talks to the server (over line.js and doors.js), chat.js is the data channel,
// media.js opens the camera, page.js is what the page shows, messages.js has every text.

import * as page from "./page.js";
import { Chat } from "./chat.js";
import { Signaling } from "./signaling.js";

// What we ask of the camera and microphone. "ideal" is a wish: a camera that can
// not do it gives what it has. "exact" would be a condition, and could fail.
const constraints = { audio: true, video: { width: { ideal: 1280 }, height: { ideal: 720 } } };

let localStream = new MediaStream(); // our own picture and sound
let signaling; // while we are in the room
let hasLine = true; // the server can be reached, or could a moment ago
let remoteId; // the other person's name on the server, while the server knows one
let pc; // the peer connection
let chat; // the data channel in it: chat, and who has the camera off
let polite; // who gives way when both speak at once: see negotiate()
let makingOffer = false;
let lastSignal = Promise.resolve();

// The room is part of the address, so that the link leads the other one here.
const room = page.roomOfAddress(); // what comes after ?room=

// ---- 1. Camera and microphone ----

async function start() {
  page.showStatus("media");
  localStream = await page.askForMedia(constraints); // empty when they go on without
  join();
}
start();

// ---- 2. The room: who else is here? ----

function join() {
  page.showStatus("joining");
  applySwitches();
  signaling = new Signaling(room, receive, (kind) => {
    hasLine = kind !== null;
    page.showLine(kind);
    // A call needs the server to begin, but not to go on.
    if (!remoteId || pc?.remoteDescription) return;
    if (!hasLine) waitForSomeone("left");
    else if (!pc) meet(remoteId, polite);
  });
}

function receive(message) {
  switch (message.type) {
    case "welcome": // We are in. Whoever comes later is the polite one.
      remoteId = null;
      if (message.peers.length > 1 && !isConnected()) leaveRoom("full", "tryAgain");
      else if (message.peers.length > 0) meet(message.peers[0], true);
      else if (!isConnected()) waitForSomeone("waiting");
      break;
    case "peer-joined": // While we are two, a third one finds out in its own welcome.
      if (!remoteId) meet(message.peer, false);
      break;
    case "peer-left":
      if (message.peer !== remoteId) break;
      // Perhaps the other one lost only the server. As long as the connection
      // stands we keep it; if its page is gone, the data channel closes by itself.
      remoteId = null;
      if (!isConnected()) waitForSomeone("left");
      break;
    case "signal": // One after the other: each step must be finished before the next.
      lastSignal = lastSignal
        .then(() => message.from === remoteId && negotiate(message.data))
        .catch(reportError);
      break;
    case "error":
      if (message.code === "replaced") leaveRoom("replaced", "joinAgain");
      else if (message.code !== "room-full") leaveRoom("refused", "tryAgain", message);
      else if (!isConnected()) leaveRoom("full", "tryAgain");
  }
}

function meet(peer, weCameLater) {
  remoteId = peer;
  polite = weCameLater;
  // After a break of the signaling line the connection may have lived on: keep it,
  // and take back the half negotiation that the break may have swallowed.
  if (!isConnected()) closeConnection();
  else if (pc.signalingState !== "stable") pc.setLocalDescription({ type: "rollback" });
  // The one who came later makes the first offer; if it keeps silent, we do. (Crossing
  // first offers are allowed, but Chromium then sometimes gathers no candidates.)
  if (polite) isConnected() ? pc.restartIce() : startConnection();
  else setTimeout(() => peer === remoteId && hasLine && !pc && startConnection(), 2000);
}

function waitForSomeone(state) {
  closeConnection();
  page.showCardFor(state, ["copyLink", page.copyLink]);
}

// ---- 3. The peer connection ----

const isConnected = () => pc?.connectionState === "connected";

function startConnection() {
  closeConnection();
  page.hideCard();
  page.showStatus("connecting");
  const connection = (pc = new RTCPeerConnection({ iceServers: signaling.iceServers }));

  for (const track of localStream.getTracks()) connection.addTrack(track, localStream);
  chat = new Chat(connection, applySwitches, chatClosed);

  // Adding something to send makes the browser ask for a negotiation.
  connection.onnegotiationneeded = async () => {
    makingOffer = true;
    await describe(connection);
    if (connection === pc) makingOffer = false;
  };

  // A candidate is an address at which we may be reached: in this network, or as
  // seen from outside, or at a relay. The browser finds them one by one, and we
  // send each at once. The two browsers try all pairs and take the best that works.
  connection.onicecandidate = ({ candidate }) => candidate && send({ candidate });

  // The other one's picture and sound arrive as two tracks.
  const theirs = new MediaStream();
  connection.ontrack = ({ track }) => {
    theirs.addTrack(track);
    page.showRemote(theirs);
  };

  connection.onconnectionstatechange = () => {
    const state = connection.connectionState; // connecting, connected, disconnected or failed
    if (state === "failed" && !remoteId) return waitForSomeone("left");
    page.showStatus(state);
    // "disconnected" often heals by itself, "failed" never: look for new candidates.
    // One side is enough, so the impolite one waits whether the other begins.
    const restart = () => connection.connectionState === "failed" && connection.restartIce();
    if (state === "failed") setTimeout(restart, polite ? 0 : 3000);
  };
}

// Describes our side (what we send, our key) and tells the other one: an offer or,
// when we have just taken the other one's offer, the answer to it.
async function describe(connection) {
  try {
    await connection.setLocalDescription(); // without arguments it writes the right one
    if (connection === pc) send({ description: connection.localDescription });
  } catch (error) {
    if (connection === pc) reportError(error); // else it was closed meanwhile: no loss
  }
}

// Perfect negotiation: both sides run the same code, and either may send an offer
// at any time. When two offers cross, one side must give way, and both must know
// which. The impolite one ignores the offer that comes in; the polite one drops
// its own and answers. Nobody has to wait for their turn, and nothing gets stuck.
async function negotiate(data) {
  const { description, candidate } = data ?? {};
  // A candidate for an offer we ignored, or for an old connection, does not fit.
  if (candidate) return pc?.addIceCandidate(candidate).catch(() => {});
  if (!description?.sdp) return; // another program's message

  const isOffer = description.type === "offer";
  if (isFromNewConnection(description)) {
    startConnection();
    if (!isOffer) return; // an answer to what is gone: our new offer is on its way
  }
  const collision = isOffer && (makingOffer || pc.signalingState !== "stable");
  if (collision && !polite) return;
  if (!isOffer && pc.signalingState !== "have-local-offer") return; // we took that offer back

  const connection = pc;
  await connection.setRemoteDescription(description); // takes back our own offer if need be
  if (isOffer) await describe(connection);
}

// Every peer connection has its own key, whose fingerprint is in the description.
// Another one means that the other page was loaded again: ours leads nowhere now.
function isFromNewConnection(description) {
  const fingerprint = ({ sdp }) => sdp.match(/a=fingerprint:(.*)/)?.[1].toLowerCase();
  const known = pc?.remoteDescription;
  return !pc || (known && fingerprint(known) !== fingerprint(description));
}

function send(data) {
  if (remoteId) signaling.send(remoteId, data);
}

function closeConnection() {
  chat?.forget();
  pc?.close();
  pc = chat = null;
  makingOffer = false;
  lastSignal = Promise.resolve();
  page.showRemote(null);
}

// ---- 4. The chat ----

// It closes with the other page. If the server knows better, we begin again.
function chatClosed() {
  closeConnection();
  remoteId && hasLine ? meet(remoteId, polite) : waitForSomeone("left");
}

page.onChatMessage((text) => chat?.send({ text }));

// ---- 5. The buttons ----

// A track that is not enabled sends silence or black; the connection stays as it is.
function applySwitches() {
  const sends = { audio: false, video: false };
  for (const track of localStream.getTracks()) {
    sends[track.kind] = track.enabled = !page.isSwitchedOff(track.kind);
  }
  page.showLocal(localStream);
  chat?.send(sends);
}

page.onSwitch(applySwitches);

// "Try again" for a camera or microphone that is missing. A call gets it at once.
page.onRetry(constraints, (stream) => {
  for (const track of stream.getTracks()) {
    localStream.addTrack(track);
    pc?.addTrack(track, localStream);
  }
  applySwitches();
});

// The card says why we are out of the room, and has a button to come back.
function leaveRoom(why, button, values) {
  signaling?.leave();
  signaling = remoteId = null;
  closeConnection();
  for (const track of localStream.getTracks()) track.stop(); // the camera's light goes off
  localStream = new MediaStream();
  page.showLocal(localStream);
  page.showCardFor(why, [button, start], values);
}

const hangUp = () => leaveRoom("ended", "joinAgain");
page.onHangUp(hangUp);
addEventListener("pagehide", hangUp); // so that the other one sees at once that we left
