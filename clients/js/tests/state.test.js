// The layers around a room. `@chatd/client/state`, against real chatd processes: changes, versions, what a broken connection leaves, moves, takeovers;
// it and `@chatd/client/moderate` with made-up sockets.

import assert from 'node:assert/strict';
import { after, before, test } from 'node:test';
import { connect as connectModerator } from '../src/moderate.js';
import { connect } from '../src/state.js';
import { JOINED, MadeUp, ticks } from './made-up.js';
import { ownerOf, settles, startCluster, until } from './support.js';

let cluster;
before(async () => { cluster = await startCluster({ pods: 2 }); });
after(() => cluster?.stop());

/** A member with its log of changes: `[key, value, version, from]`, `all` or `lost`. */
async function enter(t, room, name, url = cluster.pods[0].url) {
  const member = connect({ url, room, name });
  t.after(() => member.leave());
  member.log = [];
  member.on('state', (state, change) => {
    // As it is with this change; `member.state` may have the next one already.
    if (change) assert.equal(state.get(change.key)?.version, change.value === null ? undefined : change.version);
    member.log.push(change ? [change.key, change.value, change.version, change.from] : 'all');
  });
  member.on('stateLost', () => member.log.push('lost'));
  await until(() => member.status === 'connected', () => `${name} to be in: ${member.status}`);
  return member;
}
const shown = (member) => Object.fromEntries([...member.state].map(([key, { value }]) => [key, value]));
const has = (member, expected) => until(() => JSON.stringify(shown(member)) === JSON.stringify(expected), () => `${member.name} to have ${JSON.stringify(expected)}: ${JSON.stringify(shown(member))}`);
const set = (member, ...change) => settles(member.setState(...change), 'a change', 20_000);

test('a change is everyone’s, in one order; one for another version changes nothing; who comes later has it', async (t) => {
  const room = await cluster.createRoom();
  const ana = await enter(t, room, 'ana');
  const bob = await enter(t, room, 'bob', cluster.pods[1].url);
  assert.deepEqual(await set(ana, 'turn', { of: 'bob' }), { delivery: 'delivered', version: 1 });
  assert.deepEqual(await set(bob, 'score', 0, { ifVersion: 0 }), { delivery: 'delivered', version: 2 });
  assert.deepEqual(await set(ana, 'turn', 'ana', { ifVersion: 2 }), { delivery: 'failed', code: 'version_conflict', version: 1 });
  assert.deepEqual(await set(ana, 'turn', null, { ifVersion: 1 }), { delivery: 'delivered', version: 3 });
  await has(bob, { score: 0 });
  const log = [['turn', { of: 'bob' }, 1, 'ana'], ['score', 0, 2, 'bob'], ['turn', null, 3, 'ana']];
  assert.deepEqual([ana.log, bob.log], [log, log]);
  const cat = await enter(t, room, 'cat');
  assert.deepEqual([...cat.state], [['score', { value: 0, version: 2, from: 'bob' }]]);
  assert.deepEqual((await set(cat, 'Turn', 1)).code, 'bad_command');
  for (const length of [9_000, 40_000]) assert.deepEqual(await set(cat, 'long', 'x'.repeat(length)), { delivery: 'failed', code: 'line_too_long' });
  assert.equal(cat.status, 'connected');
  await assert.rejects(cat.setState('', 1), TypeError);
  await assert.rejects(cat.setState('a', undefined), TypeError);
  await cat.leave();
  assert.deepEqual(await cat.setState('a', 1), { delivery: 'failed', code: 'not_connected' });
});

test('what changes while a connection is broken is there when it is back; what had no answer is unsure', async (t) => {
  const room = await cluster.createRoom();
  const gate = await cluster.gate();
  const ana = await enter(t, room, 'ana', gate.url);
  const bob = await enter(t, room, 'bob');
  await set(bob, 'a', 1);
  await has(ana, { a: 1 });
  // What ana asks for arrives, and she does not hear of it.
  gate.deafen();
  const unsure = ana.setState('b', 2);
  await has(bob, { a: 1, b: 2 });
  await set(bob, 'a', 3);
  gate.drop();
  assert.deepEqual(await settles(unsure, 'the change', 5_000), { delivery: 'unsure', code: 'unconfirmed' });
  await has(ana, { b: 2, a: 3 });
  assert.equal(ana.log.at(-1), 'all');
  assert.equal((await set(ana, 'b', 4)).delivery, 'delivered');
  await has(bob, { a: 3, b: 4 });
});

test('it moves with its room, and is lost with its pod, which is said', async (t) => {
  const room = await cluster.createRoom();
  const owner = await ownerOf(cluster, room);
  const member = await enter(t, room, 'ana', cluster.pods[1 - owner].url);
  await set(member, 'a', 1);
  await cluster.pods[owner].kill();
  await until(() => member.log.at(-1) === 'lost', () => `the loss to be said: ${JSON.stringify(member.log)}`);
  assert.deepEqual([shown(member), member.log], [{}, [['a', 1, 1, 'ana'], 'all', 'lost']]);
  await until(async () => (await member.setState('a', 2, { ifVersion: 0 })).delivery === 'delivered', 'a change at the next owner');
  const [key, value, version, from] = member.log.at(-1);
  assert.deepEqual([key, value, version > 1, from], ['a', 2, true, 'ana'], 'no version is used again');
});

test('after a rollback, what the server has counts, also under the same number; the same state is no news', async () => {
  const world = new MadeUp();
  const member = connect({ url: 'https://chat.example', room: 'abcd1234', name: 'ana', runtime: world.runtime });
  const changes = [];
  member.on('state', (state, change) => changes.push([change?.key ?? null, Object.fromEntries([...state].map(([key, { value }]) => [key, value]))]));
  const joins = async (more, version, entries) => {
    await ticks();
    world.socket.open();
    world.socket.hear({ ...JOINED, ...more, state: { version, entries } });
    await ticks();
  };
  const back = async (...state) => {
    const { socket } = world;
    socket.end(1012);
    while (world.socket === socket) await world.pass(100);
    await joins({ resumed: true }, ...state);
  };
  const entry = (value) => ({ key: 'turn', value, version: 7, from: 'bob' });
  await joins({}, 7, [entry('ana')]);
  await back(7, [entry('ana')]);
  await back(7, [entry('bob')]);
  world.socket.hear({ type: 'state_all', version: 6, entries: [] });
  world.socket.hear({ type: 'state', ...entry('cat') });
  await ticks();
  assert.deepEqual(changes.map(([key]) => key), [null, null, null, 'turn']);
  assert.deepEqual(changes.map(([, { turn }]) => turn), ['ana', 'bob', undefined, 'cat']);
  void member.leave();
  await world.pass(3000);
});

test('who may have missed a change of the lock has it from what is told next', async () => {
  const world = new MadeUp();
  const member = connectModerator({ url: 'https://chat.example', room: 'abcd1234', name: 'ana', runtime: world.runtime });
  const heard = [];
  member.on('locked', (locked, by) => heard.push([locked, by]));
  await ticks();
  world.socket.open();
  for (const message of [
    JOINED, { type: 'moved', timeline: 't2', seq: 0, locked: true }, { type: 'missed', count: null, locked: true }, { type: 'pong' },
    { type: 'unlocked', by: 'bob' }, { type: 'missed', count: 2, locked: true }, { type: 'moved', timeline: 't2', seq: 4 },
  ]) world.socket.hear(message);
  await ticks();
  assert.deepEqual(heard, [[true, null], [false, 'bob'], [true, null], [false, null]]);
  void member.leave();
  await world.pass(3000);
});

test('a moderator’s commands go over the room’s socket and settle; all hear of a lock, beside the state', async () => {
  const world = new MadeUp();
  const member = connectModerator({ url: 'https://chat.example', room: 'abcd1234', name: 'ana', runtime: world.runtime }, connect);
  assert.deepEqual(await member.lock(), { delivery: 'failed', code: 'not_connected' });
  await assert.rejects(member.kick(''), TypeError);
  const heard = [];
  member.on('locked', (locked, by) => heard.push([locked, by]));
  member.on('state', (state) => heard.push([...state.keys()]));
  member.on('exited', ({ reason }) => heard.push(reason));
  world.socket.open();
  world.socket.hear({ ...JOINED, locked: true, state: { version: 1, entries: [{ key: 'a', value: 1, version: 1, from: 'bob' }] } });
  const asked = [member.unlock(), member.kick('bob', { banSeconds: 60 }), member.kick('eve'), member.lock(), member.lock()];
  await ticks();
  const sent = world.socket.sent.slice(1);
  assert.deepEqual(sent.map(({ id, ...command }) => command), [
    { type: 'unlock' }, { type: 'kick', name: 'bob', ban_s: 60 }, { type: 'kick', name: 'eve' }, { type: 'lock' }, { type: 'lock' },
  ]);
  const [unlock, kick, none, late] = sent.map(({ id }) => id);
  world.socket.hear({ type: 'unlocked', by: 'ana', id: unlock });
  world.socket.hear({ type: 'exited', name: 'bob', reason: 'kicked' });
  world.socket.hear({ type: 'kicked', name: 'bob', id: kick });
  world.socket.hear({ type: 'error', code: 'player_not_found', id: none });
  world.socket.hear({ type: 'error', code: 'unavailable', id: late });
  await ticks();
  assert.deepEqual([member.locked, member.status], [false, 'connected']);
  world.socket.end(1006);
  assert.deepEqual(await Promise.all(asked), [
    { delivery: 'delivered' }, { delivery: 'delivered' }, { delivery: 'failed', code: 'player_not_found' },
    { delivery: 'unsure', code: 'unavailable' }, { delivery: 'unsure', code: 'unconfirmed' },
  ]);
  assert.deepEqual(heard.filter((about) => about !== 'kicked'), [['a'], [true, null], [false, 'ana']], 'the inner layer first');
  assert.ok(heard.includes('kicked'), 'the room has its own events');
  void member.leave();
  await world.pass(3000);
});
