// The accessibility rules of axe-core on every state of the pages, in both themes, and what a rule cannot see.

import assert from 'node:assert/strict';
import { readFile } from 'node:fs/promises';
import { createRequire } from 'node:module';
import { after, before, describe, test } from 'node:test';
import { Person, launch } from './support/browser.js';
import { startCluster } from './support/cluster.js';

const axeSource = await readFile(createRequire(import.meta.url).resolve('axe-core/axe.min.js'), 'utf8');

let browser;
before(async () => {
  browser = await launch();
});
after(() => browser.close());

async function clean(person, what) {
  await person.page.evaluate(axeSource);
  const { violations, passes } = await person.page.evaluate(() => window.axe.run(document, { resultTypes: ['violations'] }));
  assert.ok(passes.length > 10, `${what}: axe has looked at nothing`);
  const found = violations.map(({ id, help, nodes }) => `${id}: ${help}\n  ${nodes.map(({ html, failureSummary }) => `${html}\n  ${failureSummary}`).join('\n  ')}`);
  assert.deepEqual(found, [], what);
}

/** The double verifies no token. */
async function asModerator(page, room) {
  const token = `.${Buffer.from('{"role":"moderator"}').toString('base64url')}.`;
  await page.evaluate(([key, value]) => sessionStorage.setItem(key, value), [`chatd.auth.v1.${room}`, token]);
}

for (const colorScheme of ['light', 'dark']) {
  for (const viewport of [{ width: 1180, height: 760 }, { width: 360, height: 640 }]) {
    test(`axe, ${colorScheme}, ${viewport.width} wide`, async (t) => {
      const cluster = await startCluster({ double: true });
      t.after(() => cluster.stop());
      const { double } = cluster;
      // Without motion nothing is half faded in when it is looked at.
      const looks = { colorScheme, viewport, reducedMotion: 'reduce' };
      const person = await Person.open(browser, looks);
      const { page } = person;
      await page.goto(double.url);
      await clean(person, 'the lobby');
      await page.click('#create');
      await clean(person, 'the lobby with an error');
      for (const id of ['match-42', 'w'.repeat(64)]) double.createRoom(id, 'duel');
      await page.reload();
      await page.waitForSelector('#open:not([hidden])');
      await clean(person, 'the lobby with open rooms');
      double.rooms.get('match-42').locked = true;
      await page.evaluate(() => document.dispatchEvent(new Event('visibilitychange')));
      await page.waitForSelector('.open-room.gone');
      await clean(person, 'the lobby with a room that is not open any more');
      const beside = await page.evaluate(() => document.documentElement.scrollWidth - document.documentElement.clientWidth);
      assert.ok(beside <= 0, 'nothing sticks out of the lobby sideways');
      const room = double.createRoom();
      await asModerator(page, room);
      await person.join(double.url, room);
      await clean(person, 'the question for a name');
      await page.fill('#name', 'ana');
      await page.press('#name', 'Enter');
      await person.seated();
      await clean(person, 'an empty room');
      const bob = await Person.open(browser);
      await bob.join(double.url, room, 'bob');
      await bob.say('hello');
      await person.hears('bob: hello');
      await person.say('hi');
      await person.hears('ana: hi');
      await page.click('#lock');
      await page.waitForSelector('#status[data-locked]');
      await clean(person, 'a locked room, for a moderator');
      await page.click('.remove[data-name="bob"]');
      await clean(person, 'the question before a removal');
      await page.keyboard.press('Escape');
      await bob.page.goto('about:blank');
      await page.waitForSelector('.player.away');
      double.intercept = (session, { type, id }) => type === 'say' && (session.fail('unavailable', id), true);
      await person.say('maybe');
      await page.waitForSelector('.message.unsure');
      await page.fill('#draft', 'x'.repeat(4001));
      await clean(person, 'a talk with an error and a text too long');
      double.refusal = { status: 503, code: 'unavailable' };
      double.session('ana').socket.terminate();
      await person.status('reconnecting');
      await clean(person, 'a lost connection');
      double.refusal = null;
      await person.seated();
      double.session('ana').bye('replaced', 4001);
      await page.waitForSelector('#stopped:not([hidden])');
      await clean(person, 'a seat taken over');
      const narrow = await page.evaluate(() => document.documentElement.scrollWidth - document.documentElement.clientWidth);
      assert.equal(narrow, 0, 'nothing sticks out sideways');
      await bob.close();
      await person.close();
    });
  }
}

describe('what a rule cannot see', () => {
  test('with forced colours the states still differ; without motion nothing moves; at 200 % nothing is lost', async (t) => {
    const cluster = await startCluster({ double: true });
    t.after(() => cluster.stop());
    const person = await Person.open(browser, { forcedColors: 'active', reducedMotion: 'reduce', viewport: { width: 320, height: 512 } });
    const { page } = person;
    await person.join(cluster.double.url, cluster.double.createRoom(), 'ana');
    await person.say('x'.repeat(300));
    await page.waitForSelector('.message.delivered');
    const seen = await page.evaluate(() => ({
      border: getComputedStyle(document.querySelector('.message-text')).borderTopStyle,
      moving: document.getAnimations().length,
      sideways: document.documentElement.scrollWidth - document.documentElement.clientWidth,
      send: document.getElementById('send').getBoundingClientRect().right <= innerWidth,
    }));
    assert.deepEqual(seen, { border: 'solid', moving: 0, sideways: 0, send: true });
    await person.close();
  });

  test('everything that can be pressed is large enough for a finger', async (t) => {
    const cluster = await startCluster({ double: true });
    t.after(() => cluster.stop());
    const person = await Person.open(browser, { viewport: { width: 390, height: 780 } });
    const room = cluster.double.createRoom();
    await person.page.goto(cluster.double.url);
    await asModerator(person.page, room);
    await person.join(cluster.double.url, room, 'ana');
    const bob = await Person.open(browser);
    await bob.join(cluster.double.url, room, 'bob');
    await person.page.waitForSelector('.remove');
    const small = await person.page.$$eval('button, a, input, textarea', (elements) => elements
      .map((element) => [element.id, element.getBoundingClientRect()])
      .filter(([, { width, height }]) => width > 0 && (width < 24 || height < 36))
      .map(([id]) => id));
    assert.deepEqual(small, []);
    await bob.close();
    await person.close();
  });
});
