// Pictures of the pages, light and dark, phone and desktop, for people to look at: in target/pages/ or CHATD_PAGES_SHOTS.

import assert from 'node:assert/strict';
import { stat } from 'node:fs/promises';
import path from 'node:path';
import { after, before, test } from 'node:test';
import { Person, SHOTS, launch } from './support/browser.js';
import { startCluster } from './support/cluster.js';

const SIZES = { desktop: { width: 1180, height: 840 }, phone: { width: 390, height: 780 } };
const TALK = [
  ['ines', 'Morning! Is everybody here?'],
  ['mateo', 'Here. Coffee in hand.'],
  ['ana', 'Me too. I have the list from yesterday: three things left, and the first one is the sign on the door.'],
  ['ana', 'Who has the paint?'],
  ['mateo', 'I do. Half a tin of the dark green, that should be enough.'],
  ['ines', 'Then I’ll bring the ladder. Ten o’clock at the gate?'],
  ['ana', 'Ten it is.'],
  ['mateo', 'See you there. I’ll text when I’m at the gate.'],
];

let browser;
before(async () => {
  browser = await launch();
});
after(() => browser.close());

async function seats(cluster, looks) {
  const room = await cluster.createRoom();
  const url = cluster.pods[0].url;
  const ana = await Person.open(browser, looks);
  const others = [await Person.open(browser), await Person.open(browser)];
  await ana.join(url, room, 'ana');
  await others[0].join(url, room, 'ines');
  await others[1].join(url, room, 'mateo');
  const people = { ana, ines: others[0], mateo: others[1] };
  for (const [name, text] of TALK) {
    await people[name].say(text);
    await ana.hears(`${name}: ${text}`);
  }
  return people;
}

async function taken(name) {
  const { size } = await stat(path.join(SHOTS, `${name}.png`));
  assert.ok(size > 5000, `${name}.png is empty`);
}

for (const colorScheme of ['light', 'dark']) {
  for (const [size, viewport] of Object.entries(SIZES)) {
    const looks = { colorScheme, viewport, deviceScaleFactor: size === 'phone' ? 2 : 1 };
    const of = (what) => `${what}-${colorScheme}-${size}`;

    test(`lobby, ${colorScheme}, ${size}`, async (t) => {
      const cluster = await startCluster();
      t.after(() => cluster.stop());
      const person = await Person.open(browser, looks);
      await person.page.goto(cluster.pods[0].url);
      await person.page.fill('#name', 'ana');
      await person.shot(of('lobby'));
      await person.page.fill('#room', 'not a room');
      await person.page.click('#join');
      await person.shot(of('lobby-error'));
      await person.close();
      await taken(of('lobby'));
    });

    test(`room, ${colorScheme}, ${size}`, async (t) => {
      const cluster = await startCluster();
      t.after(() => cluster.stop());
      const { ana, ines, mateo } = await seats(cluster, looks);
      await ana.shot(of('room'));
      await mateo.page.goto('about:blank');
      await ana.page.waitForSelector('.player.away');
      await ana.page.fill('#draft', 'Shall we say that '.repeat(12).trim());
      await ana.shot(of('room-away'));
      for (const person of [ana, ines, mateo]) await person.close();
      await taken(of('room'));
    });

    test(`errors, ${colorScheme}, ${size}`, async (t) => {
      const cluster = await startCluster({ double: true });
      t.after(() => cluster.stop());
      const { ana, ines, mateo } = await seats(cluster, looks);
      let code = 'line_too_long';
      cluster.double.intercept = (session, { type, id }) => type === 'say' && (session.fail(code, id), true);
      await ana.page.fill('#draft', 'Shall I bring');
      await ana.page.press('#draft', 'Enter');
      await ana.page.waitForFunction(() => document.getElementById('draft').value !== '' && document.querySelector('.notice.shown'));
      code = 'unavailable';
      await ana.say('Did this one arrive?');
      await ana.page.waitForSelector('.message.unsure');
      await ana.page.fill('#draft', 'Shall I bring the brushes');
      cluster.double.refusal = { status: 503, code: 'unavailable' };
      cluster.double.session('ana').socket.terminate();
      await ana.status('reconnecting');
      await ana.shot(of('room-error'));
      const lost = await Person.open(browser, looks);
      cluster.double.refusal = null;
      const [room] = cluster.double.rooms.keys();
      await lost.join(cluster.pods[0].url, room);
      await lost.page.waitForSelector('#ask:not([hidden])');
      await lost.shot(of('room-ask'));
      const fourth = await Person.open(browser);
      await fourth.join(cluster.pods[0].url, room, 'zoe');
      await lost.page.reload();
      await lost.page.waitForSelector('#stopped:not([hidden])');
      await lost.shot(of('room-full'));
      await fourth.close();
      await lost.join(cluster.pods[0].url, 'aaaa2222');
      await lost.page.waitForSelector('#stopped:not([hidden])');
      await lost.shot(of('room-unknown'));
      for (const person of [ana, ines, mateo, lost]) await person.close();
      await taken(of('room-error'));
    });
  }
}
