// Events of applications, and what one says of oneself, with made-up time and sockets. No network.

import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { JOINED, MadeUp, ticks } from './made-up.js';
import { Guest } from './support.js';

async function seated(joined = JOINED) {
  const world = new MadeUp();
  const guest = new Guest({ url: 'https://chat.example', room: 'abcd1234', name: 'ana', runtime: world.runtime });
  await ticks();
  world.socket.open();
  world.socket.hear(joined);
  await ticks();
  return { world, guest, room: guest.room };
}

const back = async (world, joined) => {
  const before = world.socket;
  before.end(1012);
  while (world.socket === before) await world.pass(100);
  world.socket.open();
  world.socket.hear({ ...JOINED, resumed: true, ...joined });
  await ticks();
};
const sent = (world, type) => world.socket.sent.filter((message) => message.type === type);
/** The server's answer to what was sent. */
const answer = ({ type, ...said }, more) => ({ type: type === 'say' ? 'message' : 'event', from: 'ana', at: 5, ...said, ...more });

describe('send', () => {
  test('is delivered when it comes back, and the room hears it first', async () => {
    const { world, guest, room } = await seated();
    const order = [];
    room.on('event', ({ kind }) => order.push(`heard ${kind}`));
    const promise = room.send('move', { x: 3 }).then((delivery) => (order.push('settled'), delivery));
    const [{ id, ...said }] = sent(world, 'send');
    assert.deepEqual(said, { type: 'send', kind: 'move', data: { x: 3 } });
    world.socket.hear(answer({ ...said, id }, { seq: 11 }));
    const event = { from: 'ana', kind: 'move', data: { x: 3 }, at: 5, seq: 11, mine: true, replay: false };
    assert.deepEqual(await promise, { delivery: 'delivered', event });
    assert.deepEqual([order, guest.told('event')], [['heard move', 'settled'], [event]]);
  });

  test('messages and events go in the order of the calls, one at a time', async () => {
    const { world, room } = await seated();
    const all = [room.send('a', 1), room.say('b'), room.send('c', null)];
    for (const [seq, what] of [[11, 'a'], [12, 'b'], [13, 'c']]) {
      const last = world.socket.sent.at(-1);
      assert.equal(last.kind ?? last.text, what);
      world.socket.hear(answer(last, { seq }));
    }
    assert.deepEqual((await Promise.all(all)).map(({ delivery }) => delivery), ['delivered', 'delivered', 'delivered']);
  });

  test('what the application says is not one’s own, whatever name it speaks with', async () => {
    const { world, guest, room } = await seated();
    const promise = room.say('hi');
    const [{ id }] = sent(world, 'say');
    const said = { from: 'ana', at: 5, system: true };
    world.socket.hear({ type: 'message', ...said, text: 'It begins.', seq: 11, id });
    world.socket.hear({ type: 'event', ...said, kind: 'score', data: 1, seq: 12 });
    world.socket.hear(answer({ type: 'say', text: 'hi', id }, { seq: 13 }));
    assert.equal((await promise).message.seq, 13);
    assert.deepEqual(guest.told('message').map(({ system, mine }) => [system, mine]), [[true, false], [undefined, true]]);
    assert.deepEqual(guest.told('event'), [{ ...said, kind: 'score', data: 1, seq: 12, mine: false, replay: false }]);
  });

  test('what did not arrive by a whole replay goes again, and what the replay has is delivered', async () => {
    const { world, guest, room } = await seated();
    const promise = room.send('move', 1);
    await back(world, { seq: 11 });
    assert.deepEqual(sent(world, 'send'), [], 'not before the replay has ended');
    world.socket.hear({ type: 'event', from: 'bob', kind: 'hint', data: 0, at: 5, to: ['ana'] });
    assert.deepEqual(sent(world, 'send'), [], 'what has no number is none of the replay');
    const others = { type: 'event', from: 'bob', kind: 'move', data: 2, seq: 11, at: 5, replay: true };
    world.socket.hear(others);
    const [again] = sent(world, 'send');
    await back(world, { seq: 12 });
    world.socket.hear(answer(again, { seq: 12, replay: true }));
    assert.equal((await promise).delivery, 'delivered');
    assert.deepEqual([sent(world, 'send'), guest.told('event').map(({ data, replay }) => [data, replay])], [[], [[0, false], [2, true], [1, true]]]);
    await back(world, { seq: 12 });
    world.socket.hear(others);
    await ticks();
    assert.equal(guest.told('event').length, 3, 'nothing is told twice');
  });

  test('for some only: says whom it reached; lost with the connection it is unsure, and never goes again', async () => {
    const { world, guest, room } = await seated();
    const promise = room.send('hint', 1, { to: ['bob', 'carl'] });
    const [last] = sent(world, 'send');
    assert.deepEqual(last.to, ['bob', 'carl']);
    world.socket.hear(answer(last, { reached: ['bob'] }));
    const { delivery, event, reached } = await promise;
    assert.deepEqual([delivery, event.to, event.seq, reached], ['delivered', ['bob', 'carl'], undefined, ['bob']]);
    const lost = room.send('hint', 2, { to: ['bob'] });
    await back(world, { seq: 10 });
    assert.deepEqual(await lost, { delivery: 'unsure', code: 'unconfirmed' });
    assert.deepEqual(sent(world, 'send'), []);
    world.socket.hear({ type: 'event', from: 'bob', kind: 'hint', data: 3, at: 5, to: ['ana'] });
    await ticks();
    assert.deepEqual(guest.told('event').at(-1), { from: 'bob', kind: 'hint', data: 3, at: 5, to: ['ana'], mine: false, replay: false });
  });

  test('volatile: settles at once, waits for nothing, and holds nothing up', async () => {
    const { world, room } = await seated();
    const said = room.say('hi');
    assert.deepEqual(await room.send('cursor', 1, { volatile: true }), { delivery: 'sent' });
    assert.deepEqual(sent(world, 'send'), [{ type: 'send', kind: 'cursor', data: 1, id: 0, volatile: true }]);
    world.socket.hear({ type: 'error', code: 'rate_limited', id: 0, retry_after_ms: 60_000 });
    world.socket.hear(answer(sent(world, 'say')[0], { seq: 11 }));
    assert.equal((await said).delivery, 'delivered');
    void room.say('next');
    assert.equal(world.socket.sent.at(-1).text, 'next');
    world.socket.end(1006);
    assert.deepEqual(await room.send('cursor', 2, { volatile: true }), { delivery: 'failed', code: 'not_connected' });
    assert.equal(room.status, 'reconnecting');
    world.socket.end();
    await world.pass(300);
    world.socket.end();
    await ticks();
    assert.equal(room.problem.code, 'unreachable');
    await room.send('cursor', 3, { volatile: true });
    assert.equal(room.problem.code, 'unreachable', 'it is not the problem');
  });

  test('data is what it was at the call; what is too long has failed, and what is no JSON is refused', async () => {
    const { world, room } = await seated();
    void room.say('first');
    const data = { n: 1 };
    const to = ['bob'];
    void room.send('k', data, { to });
    data.n = 2;
    to.push('carl');
    world.socket.hear(answer(sent(world, 'say')[0], { seq: 11 }));
    assert.deepEqual([sent(world, 'send')[0].data, sent(world, 'send')[0].to], [{ n: 1 }, ['bob']]);
    for (const options of [{}, { volatile: true }, { to: ['bob'] }]) {
      assert.deepEqual(await room.send('k', 'x'.repeat(3999), options), { delivery: 'failed', code: 'text_too_long' });
    }
    const circle = {};
    circle.circle = circle;
    for (const [kind, wrong] of [['k', undefined], ['k', () => {}], ['k', circle], ['k', 1n], [7, 1], ['', 1]]) await assert.rejects(room.send(kind, wrong), TypeError);
    void room.leave();
    assert.deepEqual(await room.send('k', 1, { volatile: true }), { delivery: 'failed', code: 'not_connected' });
  });
});

describe('set', () => {
  const held = (data) => ({ players: [{ name: 'ana', away: false, ...(data !== undefined && { data }) }] });

  test('is said once there is a connection, and again only where the server does not hold it', async () => {
    const { world, guest, room } = await seated();
    room.set({ ready: true });
    assert.deepEqual(sent(world, 'set'), [{ type: 'set', data: { ready: true } }]);
    world.socket.hear({ type: 'player', name: 'ana', data: { ready: true } });
    await ticks();
    assert.deepEqual([room.players, guest.told('players').at(-1)], [held({ ready: true }).players, room.players]);
    await back(world, held({ ready: true }));
    assert.deepEqual(sent(world, 'set'), []);
    await back(world, { ...held(), timeline: 't2', missed: null });
    assert.deepEqual(sent(world, 'set'), [{ type: 'set', data: { ready: true } }]);
    room.set(null);
    await back(world, held());
    assert.deepEqual(sent(world, 'set'), []);
  });

  test('before the connection, and where the pod died under it', async () => {
    const world = new MadeUp();
    const { room } = new Guest({ url: 'https://chat.example', room: 'abcd1234', name: 'ana', runtime: world.runtime });
    room.set(1);
    room.set('blue');
    await ticks();
    world.socket.open();
    world.socket.hear(JOINED);
    assert.deepEqual(sent(world, 'set'), [{ type: 'set', data: 'blue' }]);
    world.socket.hear({ type: 'moved', room: 'abcd1234', timeline: 't2', seq: 0 });
    world.socket.hear({ type: 'players', max_players: 4, ...held() });
    assert.equal(sent(world, 'set').length, 2);
  });

  test('too fast: it is said after all, when what was refused may go', async () => {
    const { world, room } = await seated();
    room.set(1);
    world.socket.hear({ type: 'error', code: 'rate_limited', retry_after_ms: 2000 });
    await world.pass(2000);
    assert.equal(sent(world, 'who').length, 1);
    world.socket.hear({ type: 'players', max_players: 4, ...held() });
    assert.equal(sent(world, 'set').length, 2);
  });

  test('what the server cannot read is not said again at each JOIN; what it could not carry out just then is', async () => {
    const { world, room } = await seated();
    room.set('half of a pair: \ud83d');
    world.socket.hear({ type: 'error', code: 'bad_command', message: 'This is not a command here.' });
    await back(world, held());
    assert.deepEqual(sent(world, 'set'), []);
    room.set('whole');
    world.socket.hear({ type: 'error', code: 'unavailable', message: 'The room does not answer in time.' });
    await back(world, held());
    assert.deepEqual(sent(world, 'set'), [{ type: 'set', data: 'whole' }]);
  });

  test('a client that has set nothing leaves what its seat has; what cannot be is refused', async () => {
    const { world, room } = await seated({ ...JOINED, resumed: true, ...held('old') });
    assert.deepEqual(sent(world, 'set'), []);
    assert.throws(() => room.set(undefined), TypeError);
    assert.throws(() => room.set('x'.repeat(511)), RangeError);
    room.set('x'.repeat(510));
  });
});
