// What must not break the page: long names, towers of marks, small and low windows, and what moves by itself.

import assert from 'node:assert/strict';
import { after, afterEach, before, beforeEach, describe, test } from 'node:test';
import { Person, launch } from './support/browser.js';
import { startCluster } from './support/cluster.js';
import { say } from './support/double.js';

let browser;
before(async () => {
  browser = await launch();
});
after(() => browser.close());

describe('layout', () => {
  let cluster;
  let double;
  let people;
  beforeEach(async () => {
    cluster = await startCluster({ double: true });
    double = cluster.double;
    people = [];
  });
  afterEach(async () => {
    for (const person of people) await person.close();
    await cluster.stop();
  });

  async function open(options) {
    const person = await Person.open(browser, { reducedMotion: 'reduce', ...options });
    people.push(person);
    return person;
  }

  const WIDE = ['W', 'M'].map((letter) => letter.repeat(24));
  const zalgo = `z${'\u0310\u0351\u0321'.repeat(60)}`;

  for (const [width, height] of [[320, 568], [844, 390], [360, 640]]) {
    test(`wide names and towers of marks in ${width} x ${height}`, async () => {
      const room = double.createRoom();
      const ana = await open({ viewport: { width, height } });
      await ana.join(double.url, room, WIDE[0]);
      const other = await open();
      await other.join(double.url, room, WIDE[1]);
      await other.say(zalgo.repeat(3));
      await ana.say(`${'W'.repeat(200)} ${zalgo}`);
      await ana.page.waitForSelector('.message.mine.delivered');
      await ana.page.waitForSelector('.message.theirs.delivered');
      const seen = await ana.page.evaluate(() => {
        const inside = (selector) => [...document.querySelectorAll(selector)].every((element) => {
          const { left, right } = element.getBoundingClientRect();
          return left >= 0 && right <= innerWidth + 0.5;
        });
        return {
          sideways: document.documentElement.scrollWidth - innerWidth,
          inside: inside('.message-from, .message-text, .note, .player, .actions .button, .send'),
          clipped: [...document.querySelectorAll('.message-text')].every((text) => getComputedStyle(text).overflowY === 'clip'),
          talk: document.getElementById('scroller').clientHeight / innerHeight,
          leave: document.getElementById('leave').getBoundingClientRect().bottom <= innerHeight,
        };
      });
      await ana.shot(`layout-${width}`);
      assert.deepEqual({ ...seen, talk: seen.talk > 0.5 }, { sideways: 0, inside: true, clipped: true, talk: true, leave: true }, JSON.stringify(seen));
    });
  }

  const watchShifts = (page) => page.addInitScript(() => {
    window.shifts = [];
    new PerformanceObserver((list) => window.shifts.push(...list.getEntries().map(({ value, sources }) => [value, ...sources.map(({ node }) => node?.id || node?.className)])))
      .observe({ type: 'layout-shift', buffered: true });
  });

  async function shiftsOf(page) {
    await page.evaluate(() => new Promise((resolve) => requestAnimationFrame(() => requestAnimationFrame(resolve))));
    return page.evaluate(() => window.shifts);
  }

  test('nothing moves when a name is asked for', async () => {
    for (const viewport of [{ width: 1180, height: 760 }, { width: 390, height: 780 }, { width: 844, height: 390 }]) {
      const ana = await open({ viewport });
      await watchShifts(ana.page);
      // Slow enough for the page to be painted before its scripts and before the room has answered.
      await ana.page.route(/room\.js|api/, async (route) => {
        await new Promise((resolve) => setTimeout(resolve, 300));
        await route.continue();
      });
      await ana.page.goto(`${double.url}/room?room=${double.createRoom()}`);
      await ana.page.waitForSelector('#ask:not([hidden])');
      assert.deepEqual(await shiftsOf(ana.page), [], `${viewport.width} wide`);
    }
  });

  test('next to nothing moves when the name in the link is taken', async () => {
    // In a narrow window the header gets a row of buttons, and loses it.
    for (const [viewport, most] of [[{ width: 1180, height: 760 }, 0], [{ width: 390, height: 780 }, 0.04]]) {
      const room = double.createRoom();
      const ana = await open();
      await ana.join(double.url, room, 'ana');
      const other = await open({ viewport });
      await watchShifts(other.page);
      // Slow enough for the page to be painted before its scripts, before the answer to JOIN, and before what is asked after it.
      await other.page.routeWebSocket(/ws/, (socket) => {
        const server = socket.connectToServer();
        socket.onMessage((message) => setTimeout(() => server.send(message), 300));
      });
      await other.page.route(/room\.js|api/, async (route) => {
        await new Promise((resolve) => setTimeout(resolve, 300));
        await route.continue();
      });
      await other.page.goto(`${double.url}/room?room=${room}&name=ana`);
      await other.page.waitForSelector('#ask:not([hidden])');
      assert.match(await other.page.textContent('#ask-present'), /1 of 4/);
      const shifts = await shiftsOf(other.page);
      assert.ok(shifts.reduce((sum, [value]) => sum + value, 0) <= most, `${viewport.width} wide: ${JSON.stringify(shifts)}`);
    }
  });

  test('nothing moves in the lobby when there are open rooms', async () => {
    for (let number = 0; number < 12; number += 1) double.createRoom(`match-${number}`, 'duel');
    for (const viewport of [{ width: 1180, height: 760 }, { width: 390, height: 844 }, { width: 844, height: 390 }]) {
      const ana = await open({ viewport });
      await watchShifts(ana.page);
      await ana.page.route(/api/, async (route) => {
        await new Promise((resolve) => setTimeout(resolve, 300));
        await route.continue();
      });
      await ana.page.goto(double.url);
      await ana.page.waitForSelector('#open:not([hidden])');
      await ana.shot(`open-rooms-${viewport.width}`);
      const first = double.rooms.get('match-0');
      first.locked = true;
      await ana.page.evaluate(() => document.dispatchEvent(new Event('visibilitychange')));
      await ana.page.waitForSelector('.open-room.gone');
      first.locked = false;
      assert.deepEqual(await shiftsOf(ana.page), [], `${viewport.width} wide`);
    }
  });

  test('new messages are counted where one has scrolled away, and only messages', async () => {
    const room = double.createRoom();
    const ana = await open({ viewport: { width: 600, height: 500 } });
    await ana.join(double.url, room, 'ana');
    const tell = (text) => say(double.rooms.get(room), 'bob', { text });
    for (let n = 0; n < 30; n += 1) tell(`line ${n}`);
    await ana.hears('bob: line 29');
    await ana.page.evaluate(() => document.getElementById('scroller').scrollTo(0, 0));
    const bob = await open();
    await bob.join(double.url, room, 'bob');
    await ana.page.waitForSelector('.note:has-text("bob")');
    assert.ok(await ana.page.isHidden('#newer'), 'who comes is no message');
    tell('one');
    await ana.page.waitForSelector('#newer:text("1 new message")');
    tell('two');
    await ana.page.waitForSelector('#newer:text("2 new messages")');
    await ana.page.click('#newer');
    await ana.page.waitForSelector('#newer', { state: 'hidden' });
    await ana.page.evaluate(() => document.getElementById('scroller').scrollTo(0, 0));
    tell('three');
    await ana.page.waitForSelector('#newer:text("1 new message")');
  });
});
