// The camera and the microphone, and a plain word for each way they can fail.
// This module knows nothing of the page and of its texts: it throws a
// MediaFailure with a code, and messages.js has the words for each code.

export class MediaFailure extends Error {
  constructor(code, values = {}, fallback = { audio: true }) {
    super(`${code}: ${values.message ?? ""}`);
    this.code = code; // the middle of the text names "failure.….what"
    this.values = values; // what the texts put in place of {…}
    this.fallback = fallback; // what to ask for when the person goes on; null: nothing
  }
}

// Opens camera and microphone. The browser may ask the person first, and there is
// no event for that. So when nothing has happened after eight seconds we assume an
// unseen question and call onUnanswered.
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
    const unanswered = (await permission()) !== "granted"; // else the device is just slow
    if (unanswered && waiting) onUnanswered();
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
  throw new MediaFailure("policy", {}, silent ? { video: true } : { audio: true });
}

// "denied" when camera or microphone is, "granted" when both are, else "prompt".
// Some browsers can not say; then it is "unknown".
async function permission() {
  try {
    const names = ["camera", "microphone"];
    const states = await Promise.all(
      names.map(async (name) => (await navigator.permissions.query({ name })).state),
    );
    if (states.includes("denied")) return "denied";
    return states.every((state) => state === "granted") ? "granted" : "prompt";
  } catch {
    return "unknown";
  }
}

async function explain(error) {
  const { name, message } = error;
  const values = { name, message: message || name, constraint: error.constraint };
  switch (name) {
    case "NotAllowedError":
      return new MediaFailure(await whoRefused(message), values);
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
async function whoRefused(message) {
  const policy = document.permissionsPolicy ?? document.featurePolicy;
  if (policy && !(policy.allowsFeature("camera") && policy.allowsFeature("microphone"))) {
    return "policy";
  }
  if (/system/i.test(message)) return "system"; // Chromium: "Permission denied by system"
  // A refusal that is not remembered was a question closed, or a "not this time".
  const forgotten = /dismiss/i.test(message) || (await permission()) === "prompt";
  return forgotten ? "dismissed" : "blocked";
}

async function whatIsMissing(values) {
  const devices = await navigator.mediaDevices.enumerateDevices();
  const has = (kind) => devices.some((device) => device.kind === kind);
  if (has("audioinput") && !has("videoinput")) return new MediaFailure("noCamera", values);
  if (has("videoinput") && !has("audioinput")) {
    return new MediaFailure("noMicrophone", values, { video: true });
  }
  return new MediaFailure("noDevice", values, null);
}
