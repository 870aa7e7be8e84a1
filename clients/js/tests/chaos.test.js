// A minute of seeded faults: owners killed and rolled, networks cut, hung and deaf, while everybody talks: messages, events for all, and
// events for one. A ledger of what `say` and `send` called each proves that nothing delivered is lost or doubled, and nothing failed is
// heard; who has set something has it in the end.
//
// CHATD_CHAOS_SEED repeats a run as far as real processes let it, CHATD_CHAOS_SECONDS is its length.

import assert from 'node:assert/strict';
import { test } from 'node:test';
import { judge, judgeWhispers } from './ledger.js';
import { Guest, ownerOf, seeded, settles, startCluster, until } from './support.js';

const SECONDS = Number(process.env.CHATD_CHAOS_SECONDS ?? 60);
const SEED = Number(process.env.CHATD_CHAOS_SEED ?? Date.now() % 2 ** 31);
const NAMES = ['ana', 'bob', 'tess'];
const SAY_MS = 10_000;
const HEALED_MS = 60_000;

test('whatever happens to pods and networks, what say called delivered was heard once', async (t) => {
  t.diagnostic(`CHATD_CHAOS_SEED=${SEED}`);
  const random = seeded(SEED);
  const cluster = await startCluster({ pods: 3 });
  t.after(() => cluster.stop());
  const room = await cluster.createRoom(random(3));
  const gates = await Promise.all(NAMES.map((_, index) => cluster.gate(index)));
  const guests = await Promise.all(NAMES.map((name, index) => Guest.in({ url: gates[index].url, room, name, sayTimeout: SAY_MS })));
  t.after(() => Promise.all(guests.map((guest) => guest.room.leave())));
  for (const guest of guests) guest.room.set({ colour: guest.name });
  const said = [];
  const whispered = [];
  let talking = true;

  // For one of the others. It is in no replay, so what was on its way to a connection that ended is lost: but none comes twice or to others.
  const whisper = async (guest, n) => {
    const to = NAMES.filter((name) => name !== guest.name)[n % 2];
    const sent = { from: guest.name, to, text: `${guest.name} to ${to} ${n}` };
    whispered.push(sent);
    Object.assign(sent, await settles(guest.room.send('whisper', sent.text, { to: [to] }), sent.text, SAY_MS + 5000));
  };

  const talk = async (guest) => {
    for (let n = 0; talking; n += 1) {
      const text = `${guest.name} ${n}`;
      const entry = { from: guest.name, text };
      said.push(entry);
      const outcome = n % 3 === 1 ? guest.room.send('chaos', { text }) : guest.room.say(text);
      Object.assign(entry, await settles(outcome, text, SAY_MS + 5000));
      if (n % 5 === 2) await whisper(guest, n);
      assert.equal(guest.room.end, null, `seed ${SEED}: ${guest}`);
    }
  };

  const progress = async () => {
    const enough = said.length + 5 + random(40);
    await until(() => said.length >= enough || guests.some(({ room: { end } }) => end), 'talk to go on', 30_000).catch(() => {});
  };
  const back = (pod) => until(() => !pod.alive, 'a pod to end', 60_000).then(() => pod.start());
  const done = {};
  const faults = {
    async 'owner killed'(owner) {
      await owner.kill();
      await progress();
      await back(owner);
    },
    async 'owner rolled'(owner) {
      owner.signal('SIGTERM');
      await back(owner);
    },
    async 'network cut'(owner, gate) {
      gate.cut();
      await progress();
      gate.open();
    },
    async 'connection hung'(owner, gate) {
      gate.hang();
      await progress();
      gate.open();
      gate.drop();
    },
    async 'answers lost'(owner, gate) {
      gate.deafen();
      await progress();
      gate.drop();
    },
    async 'another pod'(owner, gate) {
      gate.prefer(random(3));
      gate.drop();
    },
  };

  const havoc = async () => {
    const end = Date.now() + SECONDS * 1000;
    while (Date.now() < end) {
      await progress();
      const kinds = Object.keys(faults);
      const kind = kinds[random(kinds.length)];
      const owner = await ownerOf(cluster, room);
      done[kind] = (done[kind] ?? 0) + 1;
      await faults[kind](cluster.pods[Number.isNaN(owner) ? random(3) : owner], gates[random(3)]);
    }
    for (const guest of guests) await guest.is('connected', HEALED_MS);
    talking = false;
  };

  await Promise.all([havoc().finally(() => { talking = false; }), ...guests.map(talk)]);
  for (const guest of guests) await guest.is('connected', HEALED_MS);
  for (const guest of guests) await guest.says(`${guest.name} end`);
  for (const guest of guests) for (const { name } of guests) await guest.hears(`${name} end`);
  const colours = ({ room: { players } }) => players.map(({ name, data }) => [name, data?.colour]);
  for (const guest of guests) await until(() => colours(guest).every(([name, colour]) => colour === name), () => `what all have set: ${JSON.stringify(colours(guest))}`, HEALED_MS);
  const figures = judge(said, guests.map(({ name, log }) => ({ name, log })), `seed ${SEED}`);
  figures.whispers = judgeWhispers(whispered, guests, `seed ${SEED}`);
  t.diagnostic(`${JSON.stringify(done)}: ${JSON.stringify(figures)}`);
  assert.ok(figures.delivered > SECONDS, 'there was talk');
});
