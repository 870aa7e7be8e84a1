// Join tokens, with made-up time and sockets: when one is asked for, what follows from a refusal, and that none is in an address. No network.

import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { connect } from '../src/index.js';
import { JOINED, MadeUp, ticks } from './made-up.js';
import { Guest } from './support.js';

const OPTIONS = { url: 'https://chat.example', room: 'abcd1234', name: 'ana' };

/** `getAuth` gives what `answers` has next: a token, or an error. */
function asked(answers) {
  const calls = [];
  const getAuth = ({ signal }) => {
    calls.push(signal);
    const answer = answers.shift();
    return answer instanceof Error ? Promise.reject(answer) : answer;
  };
  return { calls, getAuth };
}

async function begun(options) {
  const world = new MadeUp();
  const guest = new Guest({ ...OPTIONS, ...options, runtime: world.runtime });
  await ticks();
  world.socket.open();
  await ticks();
  return { world, guest, room: guest.room };
}

async function seated(options, joined = JOINED) {
  const all = await begun(options);
  all.world.socket.hear(joined);
  await ticks();
  return all;
}

const opened = async (world, before) => {
  while (world.socket === before) await world.pass(100);
  world.socket.open();
  await ticks();
};
const refuse = async (world, code) => {
  world.socket.hear({ type: 'error', code, message: 'Why.' });
  await ticks();
};
const auths = ({ sockets }) => sockets.flatMap(({ sent }) => sent).map(({ type, auth }) => [type, auth]);

describe('auth', () => {
  test('goes with JOIN and nowhere else, and is kept for the next one', async () => {
    const { world } = await seated({ auth: 'a.b.c' });
    world.socket.end(1012);
    await opened(world, world.socket);
    await refuse(world, 'bad_token');
    assert.deepEqual(auths(world), [['join', 'a.b.c'], ['resume', undefined], ['join', 'a.b.c']]);
    for (const { url } of world.sockets) assert.equal(url, 'wss://chat.example/ws');
  });

  for (const code of ['auth_required', 'auth_invalid', 'auth_expired', 'forbidden']) {
    test(`${code} ends the room`, async () => {
      const { world, guest } = await begun({ auth: 'a.b.c' });
      await refuse(world, code);
      assert.deepEqual(guest.told('ended'), [{ code, message: 'Why.' }]);
      assert.deepEqual([world.timers.size, world.open.length], [0, 0]);
    });
  }

  test('what cannot be one is refused at once', () => {
    for (const wrong of [{ auth: '' }, { auth: 7 }, { getAuth: 'a.b.c' }]) {
      assert.throws(() => connect({ ...OPTIONS, runtime: new MadeUp().runtime, ...wrong }), TypeError, JSON.stringify(wrong));
    }
  });
});

describe('getAuth', () => {
  test('is asked for each JOIN, and not for the way back into a held seat', async () => {
    const { calls, getAuth } = asked(['one', Promise.resolve('two')]);
    const { world } = await seated({ getAuth });
    world.socket.end(1012);
    await opened(world, world.socket);
    assert.equal(calls.length, 1);
    await refuse(world, 'bad_token');
    assert.deepEqual(auths(world), [['join', 'one'], ['resume', undefined], ['join', 'two']]);
  });

  test('where it fails, that is the problem, and it is asked again later', async () => {
    const { calls, getAuth } = asked([new Error('no session'), 7, 'good']);
    const { world, guest, room } = await begun({ getAuth });
    assert.deepEqual([room.status, room.problem], ['connecting', { code: 'auth_failed', message: 'no session' }]);
    await opened(world, world.socket);
    assert.deepEqual([room.problem.code, calls.length], ['auth_failed', 2], 'no token is a failure too');
    await opened(world, world.socket);
    world.socket.hear(JOINED);
    await ticks();
    assert.deepEqual([auths(world), room.status, room.problem, guest.told('ended')], [[['join', 'good']], 'connected', null, []]);
  });

  test('it may not settle: after 15 s it has failed, and its signal says so', async () => {
    const { calls, getAuth } = asked([new Promise(() => {}), 'good']);
    const { world, room } = await begun({ getAuth });
    await world.pass(9000);
    world.socket.hear({ type: 'pong' });
    await world.pass(6000);
    assert.deepEqual([calls[0].aborted, room.problem?.code], [true, 'auth_failed']);
    await opened(world, world.socket);
    assert.deepEqual(auths(world).at(-1), ['join', 'good']);
  });

  test('who leaves while it is asked is gone, and nothing is left', async () => {
    const { calls, getAuth } = asked([new Promise(() => {})]);
    const { world, guest, room } = await begun({ getAuth });
    await room.leave();
    await ticks();
    assert.deepEqual([calls[0].aborted, guest.told('ended'), world.timers.size, world.open.length], [true, [{ code: 'left' }], 0, 0]);
  });

  test('a refused token is replaced by another one once in a row', async () => {
    const { getAuth } = asked(['bad', 'good', 'bad', 'worse']);
    const { world, guest } = await begun({ getAuth });
    await refuse(world, 'auth_invalid');
    world.socket.hear(JOINED);
    await ticks();
    world.socket.end(1012);
    await opened(world, world.socket);
    await refuse(world, 'bad_token');
    await refuse(world, 'auth_invalid');
    await refuse(world, 'auth_required');
    assert.deepEqual(auths(world).map(([, auth]) => auth), ['bad', 'good', undefined, 'bad', 'worse']);
    assert.deepEqual(guest.told('ended'), [{ code: 'auth_required', message: 'Why.' }]);
  });

  test('before the end of a token it is asked for a later one, which goes as refresh', async () => {
    const { getAuth } = asked(['one', 'two']);
    const { world, guest } = await seated({ getAuth });
    world.socket.hear({ type: 'expiring', seconds: 60 });
    await ticks();
    world.socket.hear({ type: 'refreshed', seconds: 600 });
    assert.deepEqual(auths(world), [['join', 'one'], ['refresh', 'two']]);
    assert.deepEqual(guest.told('status'), ['connected']);
  });

  test('a later token that does not come, or is refused, is a problem until one is taken; the talk goes on', async () => {
    const { calls, getAuth } = asked(['one', new Error('down'), 'bad', 'good']);
    const { world, guest, room } = await seated({ getAuth });
    world.socket.hear({ type: 'expiring', seconds: 60 });
    await ticks();
    assert.deepEqual([room.status, room.problem], ['connected', { code: 'auth_failed', message: 'down' }]);
    void room.say('still here');
    assert.equal(world.socket.sent.at(-1).text, 'still here');
    await world.pass(400);
    assert.deepEqual(world.socket.sent.at(-1), { type: 'refresh', auth: 'bad' });
    await refuse(world, 'auth_invalid');
    assert.equal(room.problem.code, 'auth_invalid');
    assert.equal(calls.length, 3, 'not at once');
    await world.pass(1000);
    assert.deepEqual(world.socket.sent.at(-1), { type: 'refresh', auth: 'good' });
    world.socket.hear({ type: 'refreshed', seconds: 600 });
    await ticks();
    assert.deepEqual([room.problem, guest.told('ended')], [null, []]);
  });

  test('a later token that was not there yet is asked for after a reconnect too', async () => {
    const { getAuth } = asked(['one', new Error('down'), 'two']);
    const { world, room } = await seated({ getAuth });
    world.socket.hear({ type: 'expiring', seconds: 60 });
    await ticks();
    world.socket.end(1012);
    await opened(world, world.socket);
    world.socket.hear({ ...JOINED, resumed: true });
    await ticks();
    assert.deepEqual([auths(world), room.problem], [[['join', 'one'], ['resume', undefined], ['refresh', 'two']], null]);
  });

  test('a token that has ended under the seat: in again with another one, and the seat is the same', async () => {
    const { getAuth } = asked(['one', new Error('down'), 'two']);
    const { world, guest, room } = await seated({ getAuth });
    world.socket.hear({ type: 'expiring', seconds: 0 });
    await ticks();
    world.socket.hear({ type: 'bye', code: 'auth_expired' });
    const before = world.socket;
    before.end(4002);
    assert.equal(room.problem.code, 'auth_expired');
    await opened(world, before);
    await refuse(world, 'auth_expired');
    world.socket.hear({ ...JOINED, resumed: true, seq: 11 });
    world.socket.hear({ type: 'message', from: 'bob', text: 'meanwhile', seq: 11, at: 5, replay: true });
    await ticks();
    assert.deepEqual(auths(world), [['join', 'one'], ['resume', undefined], ['join', 'two']]);
    assert.deepEqual([guest.texts, guest.told('gap'), guest.told('ended'), room.status], [['meanwhile'], [], [], 'connected']);
  });

  test('without it a token that has ended ends the room', async () => {
    const { world, guest } = await seated({ auth: 'one' });
    world.socket.hear({ type: 'expiring', seconds: 0 });
    const before = world.socket;
    before.end(4002);
    await opened(world, before);
    await refuse(world, 'auth_expired');
    assert.deepEqual(guest.told('ended'), [{ code: 'auth_expired', message: 'Why.' }]);
  });
});
