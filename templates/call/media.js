// The camera and the microphone, and a plain word for each way they can fail.
// This module knows nothing of the page and of its texts: it throws a
// MediaFailure with a code, and messages.js has the words for each code.

export class MediaFailure extends Error {
  constructor(code, values = {}, fallback = justAudio) {
    super(`${code}: ${values.message ?? ""}`);
    this.code = code; // the middle of the text names "failure.….what"
    this.values = values; // what the texts put in place of {…}
    this.fallback = fallback; // what to ask for when the person goes on; null: nothing
  }
}

const justAudio = { audio: true, video: false };
const justVideo = { audio: false, video: true };

// Opens camera and microphone, or the one that is asked for. The browser may ask
// the person first, and there is no event for that. So when nothing has happened
// after eight seconds we assume an unseen question and call onUnanswered.
export async function openMedia(constraints, onUnanswered) {
  if (!navigator.mediaDevices?.getUserMedia) {
    if (isSecureContext) throw new MediaFailure("unsupported", {}, null);
    // A page without https has no navigator.mediaDevices at all.
    const address = `https://${location.host}${location.pathname}${location.search}`;
    const scheme = location.protocol.slice(0, -1);
    throw new MediaFailure("insecure", { address, scheme }, null);
  }
  let waiting = true;
  const timer = setTimeout(async () => {
    const states = Object.values(await permissions());
    const granted = states.every((state) => state === "granted"); // the device is just slow
    if (!granted && waiting) onUnanswered();
  }, 8000);
  let stream;
  try {
    stream = await navigator.mediaDevices.getUserMedia(constraints);
  } catch (error) {
    throw await explain(error);
  } finally {
    waiting = false;
    clearTimeout(timer);
  }
  // When a policy forbids only one of the two, Chromium gives the other and no error.
  const silent = constraints.audio && stream.getAudioTracks().length === 0;
  const blind = constraints.video && stream.getVideoTracks().length === 0;
  if (!silent && !blind) return stream;
  for (const track of stream.getTracks()) track.stop();
  throw new MediaFailure("policy", {}, silent ? justVideo : justAudio);
}

// The states of the permissions: "granted", "prompt" or "denied"; "unknown" where the
// browser does not say.
async function permissions() {
  try {
    const [audio, video] = await Promise.all(
      ["microphone", "camera"].map((name) => navigator.permissions.query({ name })),
    );
    return { audio: audio.state, video: video.state };
  } catch {
    return { audio: "unknown", video: "unknown" };
  }
}

async function explain(error) {
  const { name, message } = error;
  const values = { name, message: message || name, constraint: error.constraint };
  switch (name) {
    case "NotAllowedError":
      return whoRefused(values);
    case "NotFoundError":
      return whatIsMissing(values);
    case "NotReadableError":
      return new MediaFailure("busy", values);
    case "OverconstrainedError":
      return new MediaFailure("overconstrained", values);
    case "AbortError":
      return new MediaFailure("aborted", values);
    case "SecurityError":
      return new MediaFailure("security", values);
    case "TypeError":
      return new MediaFailure("type", values);
    default:
      return new MediaFailure("unknown", values);
  }
}

// One error stands for four refusals, each with another way out.
async function whoRefused(values) {
  const policy = document.permissionsPolicy ?? document.featurePolicy;
  if (policy && !(policy.allowsFeature("camera") && policy.allowsFeature("microphone"))) {
    return new MediaFailure("policy", values);
  }
  const { message } = values;
  if (/system/i.test(message)) return new MediaFailure("system", values); // Chromium's words
  // A refusal that is not remembered was a question closed, or a "not this time".
  const { audio, video } = await permissions();
  const remembered = audio === "denied" || video === "denied" || audio === "unknown";
  const code = remembered && !/dismiss/i.test(message) ? "blocked" : "dismissed";
  if (audio !== "denied") return new MediaFailure(code, values);
  return new MediaFailure(code, values, video === "denied" ? null : justVideo);
}

async function whatIsMissing(values) {
  const devices = await navigator.mediaDevices.enumerateDevices();
  const has = (kind) => devices.some((device) => device.kind === kind);
  if (has("audioinput") && !has("videoinput")) return new MediaFailure("noCamera", values);
  if (has("videoinput") && !has("audioinput")) {
    return new MediaFailure("noMicrophone", values, justVideo);
  }
  return new MediaFailure("noDevice", values, null);
}
