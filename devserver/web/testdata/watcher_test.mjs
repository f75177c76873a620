// Tests the decisions of setup.js with a clock and probes of our own.
import assert from "node:assert/strict";
import { test } from "node:test";
import { pathToFileURL } from "node:url";

const { Watcher } = await import(pathToFileURL(process.env.SETUP_JS));

// A world in which time passes only by pass().
function makeWorld(works) {
  const world = {
    works: { https: false, socket: false, plain: true, ...works },
    sockets: 0, // how many were tried
    tests: 0,
    said: [],
    offered: false,
    left: 0,
    looksAway: false,
    step: "start",
    time: 1000,
    timers: [],
    https: async () => (world.tests++, world.works.https),
    socket: async () => (world.sockets++, world.works.socket),
    plain: async () => world.works.plain,
    hidden: () => world.looksAway,
    progress: () => world.step,
    say: (name) => name !== world.said.at(-1) && world.said.push(name),
    offer: () => (world.offered = true),
    leave: () => world.left++,
    now: () => world.time,
    later: (f, ms) => world.timers.push({ f, at: world.time + ms }),
    cancel: (id) => id && (world.timers[id - 1].f = null),
    async pass(ms) {
      const end = world.time + ms;
      for (;;) {
        await settled();
        const next = world.timers.filter((t) => t.f && t.at <= end).sort((a, b) => a.at - b.at)[0];
        if (!next) break;
        world.time = next.at;
        const f = next.f;
        next.f = null;
        f();
      }
      world.time = end;
    },
  };
  return world;
}

const settled = async () => {
  for (let i = 0; i < 20; i++) await null;
};

async function watch(works) {
  const world = makeWorld(works);
  const watcher = new Watcher(world);
  watcher.look();
  await settled();
  return [world, watcher];
}

test("both work: goes on at once, and looks no more", async () => {
  const [world] = await watch({ https: true, socket: true });
  assert.deepEqual(world.said, ["checking", "ready"]);
  assert.equal(world.left, 1);
  await world.pass(60_000);
  assert.equal(world.left, 1);
  assert.equal(world.tests, 1);
});

test("neither works: says what is missing, and offers to go on after 20 seconds", async () => {
  const [world] = await watch({});
  assert.deepEqual(world.said, ["checking", "start"]);
  await world.pass(19_000);
  assert.equal(world.offered, false);
  await world.pass(2_000);
  assert.equal(world.offered, true);
  assert.equal(world.left, 0);
});

test("only HTTPS works: says so, but not for a single time", async () => {
  const [world] = await watch({ https: true });
  assert.deepEqual(world.said, ["checking"]);
  await world.pass(2_000);
  assert.deepEqual(world.said, ["checking", "no-socket"]);
  world.works.socket = true;
  await world.pass(2_000);
  assert.deepEqual(world.said, ["checking", "no-socket", "ready"]);
  assert.equal(world.left, 1);
});

test("only WebSocket works: says so after a while", async () => {
  const [world] = await watch({ socket: true });
  assert.deepEqual(world.said, ["checking", "start"]);
  await world.pass(30_000);
  assert.equal(world.said.at(-1), "no-fetch");
  assert.equal(world.left, 0);
});

test("a WebSocket that must fail is seldom tried", async () => {
  const [world] = await watch({});
  await world.pass(60_000);
  assert.equal(world.tests, 31);
  assert.equal(world.sockets, 6);
});

test("the computer does not answer at all: says that, and offers nothing", async () => {
  const [world] = await watch({ plain: false });
  await world.pass(30_000);
  assert.deepEqual(world.said, ["checking", "away"]);
  assert.equal(world.offered, false);
  world.works.plain = true;
  await world.pass(2_000);
  assert.equal(world.said.at(-1), "start");
});

test("the text follows how far the person is", async () => {
  const [world] = await watch({});
  world.step = "install";
  await world.pass(2_000);
  world.step = "last";
  await world.pass(2_000);
  assert.deepEqual(world.said, ["checking", "start", "install", "last"]);
});

test("every 2 seconds while somebody looks, ever more seldom while nobody does", async () => {
  const [world, watcher] = await watch({});
  await world.pass(20_000);
  assert.equal(world.tests, 11);
  world.looksAway = true;
  await world.pass(2_000 + 4_000 + 8_000 + 16_000 + 30_000 + 30_000);
  assert.equal(world.tests, 17);
  world.looksAway = false;
  world.works.https = world.works.socket = true;
  watcher.look(); // the person is back
  await settled();
  assert.equal(world.tests, 18);
  assert.equal(world.left, 1);
});

test("who comes back during a test is not forgotten, and there are never two at once", async () => {
  const world = makeWorld({});
  let answer;
  world.https = () => (world.tests++, new Promise((done) => (answer = done)));
  const watcher = new Watcher(world);
  watcher.look();
  watcher.look();
  watcher.look();
  await settled();
  assert.equal(world.tests, 1);
  answer(false);
  await settled();
  assert.equal(world.tests, 2);
  answer(false);
  await settled();
  assert.equal(world.tests, 2);
  assert.equal(world.timers.filter((t) => t.f).length, 1);
});
