// Before a page's own scripts: every RTCPeerConnection uses this server's STUN and TURN,
// too. Its settings are put in front of this function by the server:
//   current  an RTCConfiguration for this page
//   renewal  for how many milliseconds its credentials are used before new ones are asked for
// A page that has <meta name="rtcdev" content="no-inject"> is left alone, and one that
// is opened with ?rtcdev-relay in its address uses nothing but the relay.
(function (current, renewal) {
  "use strict";
  const Native = window.RTCPeerConnection;
  if (!Native) return;
  let asked = Date.now();

  const optedOut = () => document.querySelector('meta[name="rtcdev" i][content~="no-inject" i]');
  const relayOnly = () =>
    current.iceTransportPolicy === "relay" || new URLSearchParams(location.search).has("rtcdev-relay");

  const urlsOf = (servers) => servers.flatMap((server) => server?.urls ?? []).map(String);
  // The place that an address leads to, without its transport: "turn:host:8443".
  const place = (url) => url.split("?")[0].toLowerCase();

  // Firefox warns of five addresses or more. The most useful come first: what a person has
  // named, then TCP, over which Firefox finds a server on localhost, too.
  const limit = "mozInnerScreenX" in window ? 4 : Infinity;
  const ranks = [/^turn:.*=tcp$/, /^turn:.*=udp$/, /^turns:/, /^stun:/];
  const rank = (url) => (url.includes(`:${location.hostname}:`) ? ranks.findIndex((kind) => kind.test(url)) : -1);

  // The servers that a page lacks which has these addresses.
  function missing(theirs) {
    const places = new Set(theirs.map(place));
    // TURN tells a page its address just as STUN does.
    const hasStun = theirs.some((url) => url.startsWith("stun"));
    const lacks = (url) => !places.has(place(url)) && !(hasStun && url.startsWith("stun"));
    const wanted = urlsOf(current.iceServers).filter(lacks).sort((a, b) => rank(a) - rank(b));
    const kept = wanted.slice(0, Math.max(1, limit - theirs.length));
    return current.iceServers
      .map((server) => ({ ...server, urls: server.urls.filter((url) => kept.includes(url)) }))
      .filter(({ urls }) => urls.length);
  }

  // A page that was welcomed long ago has credentials of this server which are about to end:
  // the newer ones take their place.
  const ends = (server) => Number(/^\d+(?=:)/.exec(server?.username)?.[0]); // NaN if not known
  function fresh(server) {
    const places = urlsOf([server]).map(place);
    const same = current.iceServers.find(({ urls }) => places.length && places.every((it) => urls.map(place).includes(it)));
    const isOld = ends(same) - ends(server) > (0.8 * renewal) / 1000;
    return isOld ? { ...server, username: same.username, credential: same.credential } : server;
  }

  // What the page asks for, with the local servers. What is no configuration is for the
  // browser to complain about.
  function extend(config) {
    if (optedOut() || (config != null && typeof config !== "object")) return config;
    const given = config?.iceServers ?? [];
    if (!Array.isArray(given) || config?.iceServers === null) return config;
    // A copy that the browser, or a script that was here before, may copy again.
    const enumerable = true;
    const changes = { iceServers: { value: [...given.map(fresh), ...missing(urlsOf(given))], enumerable } };
    if (relayOnly()) changes.iceTransportPolicy = { value: "relay", enumerable };
    const whole = config ?? {};
    return Object.create(Object.getPrototypeOf(whole), { ...Object.getOwnPropertyDescriptors(whole), ...changes });
  }

  const Extended = new Proxy(Native, {
    construct(target, [config, ...rest], newTarget) {
      return Reflect.construct(target, [extend(config), ...rest], newTarget === Extended ? target : newTarget);
    },
  });
  const setConfiguration = Native.prototype.setConfiguration;
  if (setConfiguration)
    Native.prototype.setConfiguration = new Proxy(setConfiguration, {
      apply: (target, connection, [config, ...rest]) => Reflect.apply(target, connection, [extend(config), ...rest]),
    });
  Object.defineProperty(Native.prototype, "constructor", { value: Extended, writable: true, configurable: true });
  window.RTCPeerConnection = Extended;
  if (window.webkitRTCPeerConnection) window.webkitRTCPeerConnection = Extended;

  // Credentials end: a page that stays open gets new ones in time, also after sleep.
  // Where the page's policy forbids that, once is enough.
  let forbidden = false;
  document.addEventListener("securitypolicyviolation", ({ blockedURI }) => {
    forbidden ||= blockedURI.endsWith("/_rtcdev/ice");
  });
  async function renew() {
    if (forbidden || Date.now() - asked < renewal) return;
    asked = Date.now();
    try {
      const answer = await fetch("/_rtcdev/ice", { cache: "no-store" });
      current = await answer.json();
    } catch {
      asked = Date.now() - 0.9 * renewal; // the server is away: ask again a bit later
    }
  }
  setInterval(renew, 60_000);
  addEventListener("pageshow", renew);
  document.addEventListener("visibilitychange", renew);
})
