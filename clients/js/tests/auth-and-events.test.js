// Join tokens, events and what players set, with real chatd processes: tokens are signed as examples/apps/backend does.

import assert from 'node:assert/strict';
import { execFileSync } from 'node:child_process';
import { randomBytes } from 'node:crypto';
import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { after, afterEach, before, describe, test } from 'node:test';
import { fileURLToPath } from 'node:url';
import { joinToken } from '../../../examples/apps/backend/join_token.mjs';
import { Guest, settles, startCluster, until } from './support.js';

const example = (name) => fileURLToPath(new URL(`../../../examples/apps/backend/${name}`, import.meta.url));
// The server lets clocks differ by 30 s: such a token is good for 5 s more.
const ENDS_SOON = -25 / 60;

let guests = [];
afterEach(async () => {
  for (const { room } of guests) await settles(room.leave(), `${room.name} to leave`, 5000);
  guests = [];
});
const begin = (options) => {
  const guest = new Guest(options);
  guests.push(guest);
  return guest;
};
const enter = async (options) => {
  const guest = begin(options);
  await guest.is('connected');
  return guest;
};
const sends = async (guest, ...said) => {
  const delivery = await settles(guest.room.send(...said), JSON.stringify(said), 45_000);
  assert.equal(delivery.delivery, 'delivered', `${JSON.stringify(delivery)}; ${guest}`);
  return delivery;
};
const hearsEvent = (guest, kind) => until(() => guest.told('event').some((event) => event.kind === kind), () => `${guest.name} to hear ${kind}: ${guest}`);

describe('a server that wants join tokens', () => {
  let folder;
  let keyFile;
  let cluster;
  let url;
  let count = 0;
  let room;
  before(async () => {
    folder = await mkdtemp(path.join(tmpdir(), 'chatd-keys-'));
    keyFile = path.join(folder, 'app-1');
    await writeFile(keyFile, randomBytes(32).toString('base64'), { mode: 0o600 });
    cluster = await startCluster({ flags: ['--room-access', 'token', '--join-keys-file', folder] });
    ({ url } = cluster.pods[0]);
  });
  after(async () => {
    await cluster?.stop();
    await rm(folder, { recursive: true, force: true });
  });
  const token = (name, more) => joinToken(keyFile, room, `user ${name}`, name, more);
  const nextRoom = () => { room = `match-${count += 1}`; };

  test('who has a token is in, and makes the room; who has none, or a wrong one, ends with the code', async () => {
    nextRoom();
    const signedBy = (program, script, name, ...more) => execFileSync(program, [example(script), keyFile, room, `user ${name}`, name, ...more], { encoding: 'utf8' }).trim();
    const ana = await enter({ url, room, name: 'ana', auth: signedBy(process.execPath, 'join_token.mjs', 'ana') });
    const bob = await enter({ url, room, name: 'bob', getAuth: async () => signedBy('python3', 'join_token.py', 'bob') });
    await ana.says('hi');
    await bob.hears('hi');
    for (const [program, script, name] of [[process.execPath, 'join_token.mjs', 'meg'], ['python3', 'join_token.py', 'mia']]) {
      await enter({ url, room, name, auth: signedBy(program, script, name, '{"role":"moderator"}') });
      assert.equal(ana.room.players.find((player) => player.name === name).role, 'moderator');
    }
    for (const [code, options] of Object.entries({
      auth_required: {},
      auth_invalid: { auth: `${token('carl').slice(0, -4)}AAAA` },
      auth_expired: { auth: token('carl', { minutes: -1 }) },
      forbidden: { auth: token('dora') },
    })) assert.equal((await begin({ url, room, name: 'carl', ...options }).wasTold('ended')).code, code);
  });

  test('getAuth gives a wrong token first, then a right one: in; twice wrong: the end', async () => {
    nextRoom();
    const tokens = ['rubbish', token('ana'), 'rubbish', 'rubbish', token('bob')];
    const getAuth = () => tokens.shift();
    await enter({ url, room, name: 'ana', getAuth });
    assert.equal((await begin({ url, room, name: 'bob', getAuth }).wasTold('ended')).code, 'auth_invalid');
    assert.equal(tokens.length, 1);
  });

  test('a token that ends soon is followed by a later one, and nobody notices', async () => {
    nextRoom();
    const got = [];
    class Watched extends WebSocket {
      constructor(...args) {
        super(...args);
        this.addEventListener('message', ({ data }) => got.push(JSON.parse(data)));
        assert.ok(!args[0].includes('ey'), 'a token in the address');
      }
    }
    const minutes = [ENDS_SOON, 10];
    const ana = await enter({ url, room, name: 'ana', getAuth: () => token('ana', { minutes: minutes.shift() }), runtime: { WebSocket: Watched } });
    await until(() => got.some(({ type }) => type === 'refreshed'), () => `the token to be taken: ${JSON.stringify(got)}`, 10_000);
    assert.ok(got.find(({ type }) => type === 'refreshed').seconds > 500);
    await ana.says('still here');
    assert.deepEqual([minutes, ana.told('status'), ana.room.problem], [[], ['connected'], null]);
  });

  test('no later token comes in time: out, and in again when it comes, in the same seat, with what was said meanwhile', async () => {
    nextRoom();
    const bob = await enter({ url, room, name: 'bob', auth: token('bob') });
    let works = true;
    const getAuth = async () => {
      if (!works) throw new Error('no session');
      works = false;
      return token('ana', { minutes: ENDS_SOON });
    };
    const ana = await enter({ url, room, name: 'ana', getAuth });
    await until(() => ana.room.problem?.code === 'auth_failed', () => `the problem: ${ana}`, 10_000);
    assert.deepEqual([ana.room.status, ana.room.problem.message], ['connected', 'no session']);
    await ana.is('reconnecting', 15_000);
    await bob.says('meanwhile');
    works = true;
    await ana.is('connected', 20_000);
    await ana.hears('meanwhile');
    await ana.says('back');
    await bob.hears('back');
    assert.deepEqual([bob.told('exited'), ana.texts, bob.told('back').length > 0], [[], ['meanwhile', 'back'], true]);
  });

  test('auth alone: its end is the end of the room', async () => {
    nextRoom();
    const ana = await enter({ url, room, name: 'ana', auth: token('ana', { minutes: ENDS_SOON }) });
    assert.equal((await ana.wasTold('ended')).code, 'auth_expired');
  });

  test('a viewer hears, and what it says has failed', async () => {
    nextRoom();
    const ana = await enter({ url, room, name: 'ana', auth: token('ana') });
    const eve = await enter({ url, room, name: 'eve', auth: token('eve', { role: 'viewer' }) });
    await ana.says('hi');
    await sends(ana, 'move', 1);
    await eve.hears('hi');
    await hearsEvent(eve, 'move');
    for (const failed of [eve.room.say('x'), eve.room.send('x', 1)]) assert.deepEqual(await settles(failed, 'x', 10_000), { delivery: 'failed', code: 'forbidden' });
    assert.deepEqual([ana.texts, ana.told('event').length, eve.room.status], [['hi'], 1, 'connected']);
  });
});

describe('events', () => {
  let cluster;
  let room;
  before(async () => {
    cluster = await startCluster({ pods: 2 });
  });
  after(() => cluster?.stop());
  const enterAll = async () => {
    room = await cluster.createRoom();
    return Promise.all(['ana', 'bob', 'carl'].map((name, index) => enter({ url: cluster.pods[index % 2].url, room, name })));
  };

  test('stand in one order with the messages for all; to some only they reach those', async () => {
    const [ana, bob, carl] = await enterAll();
    const { event } = await sends(ana, 'move', { x: 3, y: [null, 'ü'] });
    await ana.says('said');
    await sends(bob, 'move', 'b');
    const { reached } = await sends(ana, 'hint', 7, { to: ['bob', 'nobody'] });
    assert.deepEqual(reached, ['bob']);
    await sends(ana, 'end', null);
    for (const guest of [ana, bob, carl]) await hearsEvent(guest, 'end');
    const order = ({ log }) => log.filter(([type, about]) => ['message', 'event'].includes(type) && about.seq).map(([, { kind, text, seq }]) => [kind ?? text, seq]);
    assert.deepEqual(order(ana).map(([what]) => what), ['move', 'said', 'move', 'end']);
    for (const guest of [bob, carl]) assert.deepEqual(order(guest), order(ana));
    assert.deepEqual(bob.told('event')[0], { ...event, mine: false });
    assert.deepEqual([ana, bob, carl].map((guest) => guest.told('event').filter(({ kind }) => kind === 'hint').length), [1, 1, 0]);
    assert.deepEqual([ana, bob, carl].map((guest) => guest.told('gap').length), [0, 0, 0]);
  });

  test('a refused one has failed, more than the rate waits, and volatile ones come', async () => {
    const [ana, bob] = await enterAll();
    assert.equal((await ana.room.send('No Such Kind', 1)).delivery, 'failed');
    assert.deepEqual(await ana.room.send('cursor', [1, 2], { volatile: true }), { delivery: 'sent' });
    await hearsEvent(bob, 'cursor');
    assert.equal(bob.told('event')[0].seq, undefined);
    await Promise.all(Array.from({ length: 20 }, (_, n) => sends(ana, 'n', n)));
    await Promise.all(Array.from({ length: 8 }, (_, n) => sends(ana, 'n', 20 + n)));
    await sends(ana, 'end', null);
    await hearsEvent(bob, 'end');
    assert.deepEqual(bob.told('event').filter(({ kind }) => kind === 'n').map(({ data }) => data), Array.from({ length: 28 }, (_, n) => n));
  });

  test('a connection that is cut: what was sent meanwhile comes once, in its order', async () => {
    const [, bob] = await enterAll();
    const gate = await cluster.gate(1);
    const dora = await enter({ url: gate.url, room, name: 'dora' });
    gate.cut();
    await dora.is('reconnecting');
    await sends(bob, 'one', 1);
    await bob.says('two');
    const own = sends(dora, 'three', 3);
    gate.open();
    await own;
    assert.deepEqual(dora.log.filter(([type]) => ['message', 'event'].includes(type)).map(([, { kind, text, replay }]) => [kind ?? text, replay]), [['one', true], ['two', true], ['three', false]]);
    assert.deepEqual(dora.told('gap'), []);
  });

  test('what somebody has set is there for who comes later, and is set again where its pod has died', async () => {
    const [ana, bob] = await enterAll();
    ana.room.set({ colour: 'blue' });
    const shows = (guest) => until(() => guest.room.players.find(({ name }) => name === 'ana')?.data?.colour === 'blue', () => `blue at ${guest.name}: ${JSON.stringify(guest.room.players)}`, 40_000);
    for (const guest of [ana, bob]) await shows(guest);
    const dora = await enter({ url: cluster.pods[1].url, room, name: 'dora' });
    await shows(dora);
    await cluster.pods[0].kill();
    await cluster.pods[0].start();
    await bob.wasTold('gap', 60_000);
    await ana.is('connected', 40_000);
    const late = dora.told('players').length;
    await until(() => dora.told('players').slice(late - 1).some((players) => players.find(({ name }) => name === 'ana')?.data?.colour === 'blue'), () => `blue again: ${dora}`, 40_000);
    await shows(bob);
  });
});
