// A browser that goes to HTTPS by itself, or was sent there, has the secret behind the #, which
// no server sees: it goes to where this one looks for it.
const secret = new URLSearchParams(location.hash.slice(1)).get("room-token");
const whole = new URL(location.href);
if (secret && whole.searchParams.get("room-token") !== secret) {
  whole.searchParams.set("room-token", secret);
  whole.hash = "";
  location.replace(whole.href);
}
