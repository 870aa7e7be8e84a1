// Browsers and raw TCP players over several real pods with a real Redis: any pod, one room, whatever dies.

import assert from 'node:assert/strict';
import { after, afterEach, before, beforeEach, describe, test } from 'node:test';
import { errorWords } from '../../web/words.js';
import { Person, launch, until } from './support/browser.js';
import { needsChatd, startCluster } from './support/cluster.js';
import { LinePlayer } from './support/line-player.js';

// A lease runs 10 s and a takeover waits for it: 13 s in all. Browsers on a busy machine add theirs.
const TAKEOVER_MS = 30_000;

describe('over three pods', { skip: needsChatd }, () => {
  let browser;
  let cluster;
  let people;
  let room;
  before(async () => {
    browser = await launch();
  });
  after(() => browser?.close());
  beforeEach(async () => {
    people = [];
    cluster = await startCluster({ pods: 3 });
    room = await cluster.createRoom(0);
  });
  afterEach(async () => {
    for (const person of people) await person.close();
    await cluster?.stop();
  });

  async function enter(name, at) {
    const person = await Person.open(browser);
    people.push(person);
    await person.join(at, room, name);
    return person;
  }

  async function lineJoin(pod, name) {
    const player = await LinePlayer.connect(cluster.pods[pod].tcp);
    player.write(`JOIN ${room} ${name} RELAY`);
    await player.reads(`JOINED ${room} ${name}`);
    return player;
  }

  const waitForAll = (listeners, lines, timeout) => until(
    async () => (await Promise.all(listeners.map(async (listener) => (await listener.heard()).length >= lines))).every(Boolean),
    `all to have heard ${lines} lines`,
    timeout,
  );

  test('two browsers and a raw TCP player, each on another pod: the same order for all, nothing lost or doubled', async () => {
    const ana = await enter('ana', cluster.pods[0].url);
    const bob = await enter('bob', cluster.pods[1].url);
    const tess = await lineJoin(2, 'tess');
    await ana.until(async () => (await ana.page.locator('.player:not(.free)').count()) === 3, 'all to be seated');
    const talk = async (say) => {
      for (let n = 0; n < 8; n += 1) await say(`line ${n}`);
    };
    await Promise.all([talk((text) => ana.say(text)), talk((text) => bob.say(text)), talk(async (text) => tess.write(`SAY ${text}`))]);
    await waitForAll([ana, bob, tess], 24);
    const [one, two, three] = [await ana.heard(), await bob.heard(), tess.heard()];
    assert.deepEqual(two, one);
    assert.deepEqual(three, one);
    const expected = ['ana', 'bob', 'tess'].flatMap((name) => Array.from({ length: 8 }, (_, n) => `${name}: line ${n}`));
    assert.deepEqual([...one].sort(), expected.sort());
    tess.close();
  });

  test('the owner is killed in the middle of a talk: the pages go on by themselves, at it and behind another pod', async () => {
    // As a balancer does it: one address, whichever pod answers.
    const gate = await cluster.gate(0);
    const ana = await enter('ana', gate.url);
    const bob = await enter('bob', cluster.pods[1].url);
    for (const [person, name] of [[ana, 'ana'], [bob, 'bob']]) {
      await person.say('before');
      for (const listener of [ana, bob]) await listener.hears(`${name}: before`);
    }
    await cluster.pods[0].kill();
    await ana.status('reconnecting');
    await ana.status('connected', TAKEOVER_MS);
    await ana.say('after');
    await bob.hears('ana: after', TAKEOVER_MS);
    await bob.say('me too');
    await waitForAll([ana, bob], 4, TAKEOVER_MS);
    for (const person of [ana, bob]) {
      assert.deepEqual(await person.heard(), ['ana: before', 'bob: before', 'ana: after', 'bob: me too']);
    }
    assert.equal(await ana.alert(), '');
  });

  test('a planned end of the owner moves the room: no line is lost or doubled, nobody has to do anything', async () => {
    const gate = await cluster.gate(0);
    const ana = await enter('ana', gate.url);
    const bob = await enter('bob', cluster.pods[1].url);
    for (let n = 0; n < 6; n += 1) {
      await ana.say(`a${n}`);
      await bob.say(`b${n}`);
      if (n === 2) {
        gate.prefer(2);
        cluster.pods[0].signal('SIGTERM');
      }
    }
    await waitForAll([ana, bob], 12, TAKEOVER_MS);
    const [one, two] = [await ana.heard(), await bob.heard()];
    assert.deepEqual(two, one);
    assert.equal(new Set(one).size, 12);
    assert.equal(await ana.page.locator('.note', { hasText: 'missing' }).count(), 0);
    await until(() => !cluster.pods[0].alive, 'the pod to end', 60_000);
    await ana.say('and on');
    await bob.hears('ana: and on', TAKEOVER_MS);
  });

  test('what another pod’s room refuses is said in the same words: full, taken, unknown', async () => {
    for (const name of ['p1', 'p2', 'p3']) await lineJoin(0, name);
    const ana = await Person.open(browser);
    people.push(ana);
    await ana.page.goto(`${cluster.pods[1].url}/room?room=${room}&name=P2`);
    await ana.until(async () => (await ana.alert()) === errorWords('name_taken'), 'the words for name_taken');
    await ana.page.fill('#name', 'ana');
    await ana.page.keyboard.press('Enter');
    await ana.seated();
    const fifth = await Person.open(browser);
    people.push(fifth);
    await fifth.page.goto(`${cluster.pods[2].url}/room?room=${room}&name=p5`);
    await fifth.page.waitForSelector('#stopped:not([hidden])');
    assert.equal(await fifth.page.textContent('#stopped-title'), 'The room is full');
    await fifth.page.goto(`${cluster.pods[2].url}/room?room=zzzzzzzz&name=p5`);
    await fifth.until(async () => (await fifth.page.textContent('#stopped-title')) === 'No such room', 'the words for room_not_found', 30_000);
  });

  test('Redis away: the room talks on, what needs it says so, and goes through by itself when it is back', async () => {
    const ana = await enter('ana', cluster.pods[0].url);
    const bob = await enter('bob', cluster.pods[1].url);
    await cluster.redis.kill();
    await ana.say('still here');
    await bob.hears('ana: still here');
    const guest = await Person.open(browser);
    people.push(guest);
    await guest.page.goto(cluster.pods[2].url);
    await guest.page.fill('#name', 'guest');
    await guest.page.click('#create');
    await guest.until(async () => (await guest.alert()) === errorWords('unavailable'), 'the words for unavailable');
    await guest.page.goto(`${cluster.pods[2].url}/room?room=${room}&name=guest`);
    await guest.until(async () => (await guest.alert()) === errorWords('unavailable'), 'the words for unavailable in the room', 30_000);
    await cluster.redis.start();
    await guest.status('connected', 60_000);
    await guest.say('here at last');
    for (const person of [ana, bob, guest]) await person.hears('guest: here at last');
    assert.equal(await guest.alert(), '');
  });
});
