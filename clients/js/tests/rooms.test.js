// Rooms of real chatd processes with a real Redis: whatever happens to the connection, the pods and the directory.

import assert from 'node:assert/strict';
import { spawn } from 'node:child_process';
import { after, afterEach, before, beforeEach, describe, test } from 'node:test';
import { Double, Gate, Guest, ownerOf, sayInDouble, seats, settles, startCluster, until } from './support.js';

// A takeover waits for the dead owner's lease, 10 s, where Redis does not show that it died.
const TAKEOVER_MS = 40_000;

let guests;
beforeEach(() => {
  guests = [];
});
afterEach(async () => {
  for (const { room } of guests) await settles(room.leave(), `${room.name} to leave`, 5000);
});

const enter = async (options, timeout) => {
  const guest = new Guest(options);
  guests.push(guest);
  await guest.is('connected', timeout);
  return guest;
};
const begin = (options) => {
  const guest = new Guest(options);
  guests.push(guest);
  return guest;
};
const numbered = (name, count) => Array.from({ length: count }, (_, n) => `${name} ${n}`);

describe('one pod', () => {
  let cluster;
  let url;
  let room;
  before(async () => {
    cluster = await startCluster({ redis: true });
    ({ url } = cluster.pods[0]);
  });
  after(() => cluster?.stop());
  beforeEach(async () => {
    room = await cluster.createRoom();
  });

  test('who says something hears it, as all others do, and each knows who is there', async () => {
    const ana = await enter({ url, room, name: 'ana' });
    const bob = await enter({ url, room, name: 'bob' });
    const message = await ana.says('hi');
    await bob.hears('hi');
    assert.deepEqual(bob.told('message'), [{ ...message, mine: false }]);
    assert.deepEqual([message.from, message.text, message.mine, message.replay], ['ana', 'hi', true, false]);
    assert.ok(Math.abs(message.at - Date.now()) < 60_000);
    assert.deepEqual([ana, bob].map((guest) => guest.room.players.map(({ name }) => name)), [['ana', 'bob'], ['ana', 'bob']]);
    assert.equal(ana.room.maxPlayers, 4);
    assert.deepEqual(ana.told('entered'), [{ name: 'bob' }]);
    await bob.room.leave();
    assert.deepEqual(await ana.wasTold('exited'), { name: 'bob', reason: 'left' });
  });

  test('many at once: none is lost for being too fast, and all keep their order', async () => {
    const ana = await enter({ url, room, name: 'ana' });
    const bob = await enter({ url, room, name: 'bob' });
    const texts = numbered('ana', 20);
    await Promise.all(texts.map((text) => ana.says(text)));
    // The bucket holds 20 at once, and the server lets 10 a second through.
    const more = numbered('more', 10);
    await Promise.all(more.map((text) => ana.says(text)));
    await bob.hears(more.at(-1));
    assert.deepEqual([ana.texts, bob.texts], [[...texts, ...more], [...texts, ...more]]);
  });

  test('the outbox has an end, and what does not fit has failed', async () => {
    const ana = await enter({ url, room, name: 'ana' });
    const all = await settles(Promise.all(numbered('x', 25).map((text) => ana.room.say(text))), '25 messages', 45_000);
    assert.deepEqual(all.map(({ delivery }) => delivery), [...Array(20).fill('delivered'), ...Array(5).fill('failed')]);
    assert.equal(all.at(-1).code, 'outbox_full');
  });

  test('a socket that is cut: back in the same seat, with what was said meanwhile, once', async () => {
    const gate = await cluster.gate();
    const ana = await enter({ url: gate.url, room, name: 'ana' });
    const bob = await enter({ url, room, name: 'bob' });
    await ana.says('before');
    gate.cut();
    await ana.is('reconnecting');
    for (const text of numbered('bob', 3)) await bob.says(text);
    const late = ana.says('said while it was cut');
    gate.open();
    await ana.is('connected');
    await late;
    for (const guest of [ana, bob]) await guest.hears('said while it was cut');
    assert.deepEqual(ana.texts, ['before', ...numbered('bob', 3), 'said while it was cut']);
    assert.deepEqual(ana.told('message').map(({ replay }) => replay), [false, true, true, true, false]);
    assert.deepEqual(bob.texts, ana.texts);
    assert.deepEqual([ana.told('gap'), bob.told('exited')], [[], []]);
    assert.equal(bob.told('back').length, 1);
  });

  for (const [what, break_] of [['nothing arrives', 'hang'], ['it arrives, and no answer comes', 'deafen']]) {
    test(`a message on a connection that dies, where ${what}: delivered once`, async () => {
      const gate = await cluster.gate();
      const ana = await enter({ url: gate.url, room, name: 'ana' });
      const bob = await enter({ url, room, name: 'bob' });
      gate[break_]();
      const said = ana.says('on the wire');
      if (break_ === 'deafen') await bob.hears('on the wire');
      gate.open();
      gate.drop();
      await said;
      await ana.says('after');
      await bob.hears('after');
      for (const guest of [ana, bob]) assert.deepEqual(guest.texts, ['on the wire', 'after']);
    });
  }

  test('name taken, room full, no room, no such id: each ends with its code', async () => {
    const endOf = async (options) => (await begin({ url, room, ...options }).wasTold('ended')).code;
    await enter({ url, room, name: 'ana' });
    assert.equal(await endOf({ name: 'ANA' }), 'name_taken');
    assert.equal(await endOf({ name: 'two words' }), 'bad_name');
    for (const name of ['b', 'c', 'd']) await enter({ url, room, name });
    assert.equal(await endOf({ name: 'e' }), 'room_full');
    assert.equal(await endOf({ name: 'e', room: 'zzzzzzzz' }), 'room_not_found');
    assert.equal(await endOf({ name: 'e', room: '../../x?y#z' }), 'bad_room');
  });

  test('two clients with one key: the newer one has the seat, the older one has ended, and stays so', async () => {
    const key = 'k'.repeat(32);
    const one = await enter({ url, room, name: 'ana', key });
    const bob = await enter({ url, room, name: 'bob' });
    const two = await enter({ url, room, name: 'ana', key });
    assert.deepEqual(await one.wasTold('ended'), { code: 'replaced' });
    assert.deepEqual(await one.room.say('x'), { delivery: 'failed', code: 'replaced' });
    await two.says('from here now');
    await bob.hears('from here now');
    assert.deepEqual([one.room.status, await seats(cluster.pods[0], room), bob.told('exited')], ['ended', 2, []]);
  });

  test('a client that died without a word: with its key the next one has its seat, and hears what came meanwhile', async () => {
    const key = 'k'.repeat(32);
    const gate = await cluster.gate();
    const first = await enter({ url: gate.url, room, name: 'ana', key });
    const bob = await enter({ url, room, name: 'bob' });
    await first.says('before');
    gate.cut();
    await bob.wasTold('away');
    await bob.says('meanwhile');
    const second = await enter({ url, room, name: 'ana', key });
    await second.hears('meanwhile');
    assert.deepEqual([second.texts, bob.told('exited')], [['meanwhile'], []]);
  });

  test('leaving at any moment leaves no seat behind', async () => {
    const gate = await cluster.gate();
    const options = { url: gate.url, room, name: 'ana', key: 'k'.repeat(32) };
    const free = async (when) => until(async () => (await seats(cluster.pods[0], room)) === 0, `no seat to be left: ${when}`, 5000);
    await begin(options).room.leave();
    const moments = { 'while it connects': (sent) => sent === 0, 'behind its JOIN': (sent) => sent === 1 };
    for (const [when, isNow] of Object.entries(moments)) {
      let leaving;
      class Watched extends WebSocket {
        sent = 0;
        constructor(...args) {
          super(...args);
          if (isNow(0)) queueMicrotask(() => { leaving = guest.room.leave(); });
        }
        send(data) {
          super.send(data);
          this.sent += 1;
          if (isNow(this.sent)) queueMicrotask(() => { leaving ??= guest.room.leave(); });
        }
      }
      const guest = begin({ ...options, runtime: { WebSocket: Watched } });
      await until(() => leaving !== undefined, when, 5000);
      await settles(leaving, when, 5000);
      await free(when);
    }
    const seated = await enter(options);
    await seated.room.leave();
    await free('once seated');
    const deaf = await enter(options);
    gate.hang();
    await settles(deaf.room.leave(), 'a leave that nobody hears', 4000);
    assert.deepEqual(deaf.told('ended'), [{ code: 'left' }]);
  });

  test('connect, leave at once, connect: one seat, and nobody sees anything else', async () => {
    const bob = await enter({ url, room, name: 'bob' });
    const options = { url, room, name: 'ana', key: 'k'.repeat(32) };
    begin(options).room.leave();
    const ana = await enter(options);
    await ana.says('hi');
    await bob.hears('hi');
    assert.deepEqual([bob.told('entered'), bob.told('away'), bob.told('exited')], [[{ name: 'ana' }], [], []]);
  });

  test('a program ends by itself once it has left', async () => {
    const client = new URL('../src/index.js', import.meta.url).href;
    const script = `
      import { connect } from ${JSON.stringify(client)};
      const room = connect({ url: ${JSON.stringify(url)}, room: ${JSON.stringify(room)}, name: 'bot' });
      const { delivery } = await room.say('hello');
      await room.leave();
      console.log(delivery);
    `;
    const child = spawn(process.execPath, ['--input-type=module', '--eval', script], { stdio: ['ignore', 'pipe', 'inherit'] });
    let output = '';
    child.stdout.setEncoding('utf8').on('data', (text) => { output += text; });
    const code = await settles(new Promise((resolve) => child.once('close', resolve)), 'the program', 20_000).finally(() => child.kill());
    assert.deepEqual([code, output], [0, 'delivered\n']);
  });
});

describe('no server', () => {
  test('it says that nothing is there, goes on trying, and comes in when there is', async () => {
    const cluster = await startCluster();
    try {
      const room = await cluster.createRoom();
      const gate = await cluster.gate();
      gate.cut();
      const ana = begin({ url: gate.url, room, name: 'ana', sayTimeout: 1500 });
      await until(() => ana.room.problem?.code === 'unreachable', 'the problem to be known', 10_000);
      assert.equal(ana.room.status, 'connecting');
      assert.deepEqual(await settles(ana.room.say('anybody?'), 'a message', 5000), { delivery: 'failed', code: 'timeout' });
      gate.open();
      await ana.is('connected');
      assert.equal(ana.room.problem, null);
      await ana.says('now');
      assert.deepEqual(ana.texts, ['now'], 'what has failed is not said later');
    } finally {
      await cluster.stop();
    }
  });

  test('a server that takes connections and says nothing: messages settle, and leaving does too', async () => {
    const gate = await Gate.start([]);
    try {
      gate.hang();
      const ana = begin({ url: gate.url, room: 'abcd1234', name: 'ana', sayTimeout: 500 });
      assert.deepEqual(await settles(ana.room.say('anybody?'), 'a message', 5000), { delivery: 'failed', code: 'timeout' });
      await settles(ana.room.leave(), 'leaving', 5000);
    } finally {
      await gate.stop();
    }
  });
});

describe('a newer server', () => {
  test('events, fields and errors that this client does not know are ignored', async () => {
    const double = await new Double().start();
    try {
      const room = double.createRoom();
      const ana = await enter({ url: double.url, room, name: 'ana' });
      const session = double.session('ana');
      const before = ana.log.length;
      for (const message of [{ type: 'reaction', from: 'bob', to: 1, emoji: 'x' }, { type: 'state', key: 'x', value: 1, version: 2 }, { type: 7 }, ['no'], null]) session.send(message);
      session.send({ type: 'message', from: 'bob', text: 'plain', seq: 1, at: 5, display: 'Bob B.', labels: [] });
      await ana.hears('plain');
      assert.equal(ana.log.length, before + 1);
      double.intercept = (its, message) => message.type === 'say' && (its.fail('too_loud', message.id), true);
      assert.deepEqual(await ana.room.say('x'), { delivery: 'failed', code: 'too_loud' });
      double.intercept = () => false;
      session.bye('brand_new', 4002);
      await until(() => double.session('ana') && double.session('ana') !== session, 'a new connection', 10_000);
      await ana.is('connected');
      sayInDouble(double.rooms.get(room), 'bob', { text: 'still' });
      await ana.hears('still');
    } finally {
      for (const { room } of guests) await room.leave();
      await double.stop();
    }
  });
});

describe('three pods', () => {
  let cluster;
  let room;
  beforeEach(async () => {
    cluster = await startCluster({ pods: 3 });
    room = await cluster.createRoom(0);
  });
  afterEach(async () => {
    for (const guest of guests) await guest.room.leave();
    await cluster?.stop();
  });

  const enterAll = async () => {
    // As a balancer does it: one address, whichever pod answers.
    const gates = await Promise.all([0, 1, 2].map((pod) => cluster.gate(pod)));
    return [gates, await Promise.all(['ana', 'bob', 'tess'].map((name, pod) => enter({ url: gates[pod].url, room, name })))];
  };

  test('each by way of another pod: one order for all, nothing lost or doubled', async () => {
    const [, all] = await enterAll();
    await Promise.all(all.map(async (guest) => {
      for (const text of numbered(guest.name, 10)) await guest.says(text);
    }));
    for (const guest of all) await until(() => guest.texts.length === 30, `${guest.name} to hear 30`);
    for (const guest of all) assert.deepEqual(guest.texts, all[0].texts);
    assert.equal(new Set(all[0].texts).size, 30);
  });

  test('the owner is killed: everyone goes on, is told of the gap, and what was delivered before is not said again', async () => {
    const [, all] = await enterAll();
    for (const guest of all) await guest.says(`${guest.name} before`);
    for (const guest of all) await until(() => guest.texts.length === 3, 'all to hear all');
    await cluster.pods[0].kill();
    for (const guest of all) {
      const delivery = await settles(guest.room.say(`${guest.name} during`), 'a message', 45_000);
      assert.notEqual(delivery.delivery, 'failed', JSON.stringify(delivery));
    }
    for (const guest of all) await guest.is('connected', TAKEOVER_MS);
    for (const guest of all) await guest.says(`${guest.name} after`);
    for (const guest of all) {
      for (const { name } of all) await guest.hears(`${name} after`);
      assert.ok(guest.told('gap').some(({ count }) => count === null), `${guest}`);
      assert.equal(new Set(guest.texts).size, guest.texts.length, 'something is there twice');
      assert.deepEqual(guest.texts.slice(0, 3), all[0].texts.slice(0, 3));
    }
  });

  test('the owner is rolled: nothing is lost, doubled or unsure, and nobody is told of a gap', async () => {
    const [gates, all] = await enterAll();
    let rolled;
    await Promise.all(all.map(async (guest, index) => {
      for (const [n, text] of numbered(guest.name, 12).entries()) {
        await guest.says(text);
        if (n !== 3 || index !== 0) continue;
        gates[0].prefer(1);
        cluster.pods[0].signal('SIGTERM');
        rolled = true;
      }
    }));
    assert.ok(rolled);
    await until(() => !cluster.pods[0].alive, 'the pod to end', 60_000);
    for (const guest of all) await guest.is('connected');
    await all[0].says('and on');
    for (const guest of all) await guest.hears('and on');
    for (const guest of all) {
      assert.deepEqual(guest.texts, all[0].texts);
      assert.deepEqual([guest.texts.length, new Set(guest.texts).size, guest.told('gap')], [37, 37, []]);
    }
    assert.notEqual(await ownerOf(cluster, room), 0);
  });

  test('Redis away: the room talks on; who comes waits, knows why, and is in when it is back', async () => {
    const [, [ana, bob]] = await enterAll();
    await cluster.redis.kill();
    await ana.says('still here');
    await bob.hears('still here');
    const late = begin({ url: cluster.pods[2].url, room, name: 'late' });
    await until(() => late.room.problem?.code === 'unavailable', () => `the problem to be known: ${late}`);
    assert.equal(late.room.status, 'connecting');
    await cluster.redis.start();
    await late.is('connected', 60_000);
    await late.says('here at last');
    for (const guest of [ana, bob]) await guest.hears('here at last');
    assert.deepEqual([ana.told('gap'), ana.told('ended'), late.room.problem], [[], [], null]);
  });
});
