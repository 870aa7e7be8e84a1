// A room in real browsers: talking, coming back, and what the page does about what people get wrong.

import assert from 'node:assert/strict';
import { randomBytes } from 'node:crypto';
import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { after, afterEach, before, beforeEach, describe, test } from 'node:test';
import { joinToken } from '../../../examples/apps/backend/join_token.mjs';
import { Person, launch } from './support/browser.js';
import { needsChatd, startCluster } from './support/cluster.js';

let browser;
let cluster;
let url;
before(async () => {
  browser = await launch();
  cluster = await startCluster();
  url = cluster.pods[0].url;
});
after(async () => {
  await browser?.close();
  await cluster?.stop();
});

describe('room', () => {
  let room;
  let people;
  beforeEach(async () => {
    room = await cluster.createRoom();
    people = [];
  });
  afterEach(async () => {
    for (const person of people) await person.close();
  });

  async function enter(name, options, at = url) {
    const person = await Person.open(browser, options);
    people.push(person);
    await person.join(at, room, name);
    return person;
  }

  const players = (person) => person.page.$$eval('.player:not(.free) .player-name', (names) => names.map(({ textContent }) => textContent));
  const logged = (person) => person.page.$$eval('#log p', (lines) => lines.map(({ textContent }) => textContent));
  const notes = (person) => person.page.$$eval('.note', (rows) => rows.map(({ textContent }) => textContent.trim()));

  test('two people talk: one order, own lines once, and only the other’s are read out', async () => {
    const ana = await enter('ana');
    const bob = await enter('bob');
    await ana.until(async () => (await players(ana)).length === 2, 'bob to be seen');
    const said = [];
    for (let turn = 0; turn < 4; turn += 1) {
      const [person, name] = turn % 2 === 0 ? [ana, 'ana'] : [bob, 'bob'];
      await person.say(`line ${turn}`);
      said.push(`${name}: line ${turn}`);
      for (const listener of [ana, bob]) await listener.hears(said.at(-1));
    }
    assert.deepEqual(await ana.heard(), said);
    assert.deepEqual(await bob.heard(), said);
    assert.deepEqual(await logged(ana), ['bob: line 1', 'bob: line 3']);
    assert.equal(await ana.page.evaluate(() => document.activeElement.id), 'draft');
    assert.equal(await ana.page.inputValue('#draft'), '');
    assert.equal(await ana.page.getAttribute('#log', 'role'), 'log');
    assert.equal(await ana.page.getAttribute('#status', 'role'), 'status');
    assert.equal(await ana.page.getAttribute('#alert', 'role'), 'alert');
    assert.equal(await ana.page.textContent('#status'), 'Connected');
    assert.deepEqual(await notes(ana), ['bob joined']);
  });

  test('markup and right-to-left text stay text, each in its own bdi', async () => {
    const ana = await enter('ana');
    const bob = await enter('bob');
    for (const text of ['<img src=x onerror=alert(1)><b>bold</b> &amp;', '\u05e9\u05dc\u05d5\u05dd (abc) \u200f', '\u{1f469}\u200d\u{1f467} a  b']) {
      await bob.say(text);
      await ana.hears(`bob: ${text}`);
    }
    assert.equal(await ana.page.locator('.messages img, .messages b, #log img').count(), 0);
    assert.equal(await ana.page.locator('.message-text:not(bdi), .message-from:not(bdi), .player:not(.free) .player-name:not(bdi)').count(), 0);
    assert.equal(await ana.page.locator('#log p bdi').count(), 6);
  });

  test('links in messages open elsewhere and tell nothing about the room', async () => {
    const ana = await enter('ana');
    const bob = await enter('bob');
    await bob.say('look: https://example.org/a?b=1. javascript:alert(1)');
    await ana.hears('bob: look: https://example.org/a?b=1. javascript:alert(1)');
    const links = await ana.page.$$eval('.message-text a', (all) => all.map(({ href, rel, target, textContent }) => ({ href, rel, target, textContent })));
    assert.deepEqual(links, [{ href: 'https://example.org/a?b=1', rel: 'noopener noreferrer nofollow', target: '_blank', textContent: 'https://example.org/a?b=1' }]);
  });

  test('a reload keeps the seat: the messages are there, nothing is read out again, nobody joins again', async () => {
    const ana = await enter('ana');
    const bob = await enter('bob');
    await ana.say('before');
    await bob.hears('ana: before');
    await ana.page.fill('#draft', 'half a thought');
    assert.equal(new URL(ana.page.url()).search, `?room=${room}`, 'the address is an invitation: no name in it');
    await ana.page.reload();
    await ana.seated();
    await bob.say('after');
    await ana.hears('bob: after');
    assert.deepEqual(await ana.heard(), ['ana: before', 'bob: after']);
    assert.equal(await ana.page.inputValue('#draft'), 'half a thought');
    assert.deepEqual(await logged(ana), ['bob: after']);
    await bob.until(async () => (await notes(bob)).at(-1) === 'ana is back', 'ana to be back');
    assert.ok(!(await notes(bob)).slice(1).includes('ana joined'));
    assert.equal(await ana.page.locator('.note', { hasText: 'missing' }).count(), 0);
  });

  test('who is typing is shown to the others, until the message comes, or nothing more', async () => {
    const ana = await enter('ana');
    const bob = await enter('bob');
    const typing = (person) => person.page.locator('.player.typing .player-name');
    await ana.page.type('#draft', 'he');
    await bob.until(async () => (await typing(bob).allTextContents()).join() === 'ana', 'ana to be typing');
    assert.equal(await typing(ana).count(), 0);
    await ana.say('hello');
    await bob.hears('ana: hello');
    assert.equal(await typing(bob).count(), 0);
    await bob.page.type('#draft', 'h');
    await ana.until(async () => (await typing(ana).count()) === 1, 'bob to be typing');
    await ana.until(async () => (await typing(ana).count()) === 0, 'bob to have stopped', 10_000);
  });

  test('what was said during a reload is shown, but not read out', async () => {
    const ana = await enter('ana');
    const bob = await enter('bob');
    await ana.page.goto('about:blank');
    await bob.page.waitForSelector('.player.away');
    await bob.say('while you were gone');
    await bob.hears('bob: while you were gone');
    await ana.page.goBack();
    await ana.seated();
    await ana.hears('bob: while you were gone');
    assert.deepEqual(await logged(ana), []);
  });

  test('the invite link lacks the name, and its page asks for one', async () => {
    const ana = await enter('ana', { permissions: ['clipboard-read', 'clipboard-write'] });
    await ana.page.click('#copy');
    await ana.until(async () => (await ana.page.textContent('#copy-text')) === 'Copied', 'the copy to be confirmed');
    const link = await ana.page.evaluate(() => navigator.clipboard.readText());
    assert.equal(link, `${url}/room?room=${room}`);
    const guest = await Person.open(browser);
    people.push(guest);
    await guest.page.goto(link);
    await guest.page.waitForSelector('#ask:not([hidden])');
    assert.equal(await guest.page.evaluate(() => document.activeElement.id), 'name');
    await guest.page.keyboard.type('a b');
    await guest.page.keyboard.press('Enter');
    assert.match(await guest.page.textContent('#name-error'), /letters, digits/, 'beside its field');
    await guest.page.fill('#name', 'guest');
    await guest.page.keyboard.press('Enter');
    await guest.seated();
    assert.equal(await guest.alert(), '');
    assert.deepEqual(await players(guest), ['ana', 'guest']);
    assert.equal(await guest.page.evaluate(() => document.activeElement.id), 'draft');
  });

  test('the empty room shows its one action: the link, to copy or to share', async () => {
    const ana = await enter('ana', { permissions: ['clipboard-read', 'clipboard-write'] });
    const { page } = ana;
    assert.equal(await page.textContent('#empty-title'), 'Nobody else is here yet.');
    assert.equal(await page.inputValue('#invite-link'), `${url}/room?room=${room}`);
    await page.focus('#invite-link');
    assert.equal(await page.evaluate(() => getSelection().toString()), `${url}/room?room=${room}`);
    await page.click('#invite-copy');
    await ana.until(async () => (await page.textContent('#invite-copy')) === 'Copied', 'the copy to be confirmed');
    assert.equal(await page.evaluate(() => navigator.clipboard.readText()), `${url}/room?room=${room}`);
    assert.equal(await page.textContent('#copied'), 'Invite link copied');
    assert.ok(await page.isHidden('#invite-share'), 'this browser has nothing to share with');
    const phone = await Person.open(browser);
    people.push(phone);
    await phone.page.addInitScript(() => { navigator.share = async ({ url: link }) => { document.body.dataset.shared = link; }; });
    await phone.join(url, await cluster.createRoom(), 'ana');
    await phone.page.click('#invite-share');
    assert.match(await phone.page.getAttribute('body', 'data-shared'), /room\?room=[a-z0-9]{8}$/);
    const bob = await enter('bob');
    await page.waitForSelector('#empty-title:text("Nobody has said")');
    assert.ok(await page.isHidden('#invite'), 'with company nobody has to be invited');
    await bob.say('hi');
    await ana.hears('bob: hi');
    assert.ok(await page.isHidden('#empty'));
  });

  test('without a clipboard the link is copied the older way', async () => {
    const ana = await enter('ana');
    await ana.page.evaluate(() => {
      Object.defineProperty(navigator, 'clipboard', { value: undefined });
      document.addEventListener('copy', () => {
        document.body.dataset.copied = document.getSelection().toString() || document.activeElement.value;
      });
    });
    await ana.page.click('#copy');
    await ana.until(async () => (await ana.page.textContent('#copy-text')) === 'Copied', 'the copy to be confirmed');
    assert.equal(await ana.page.getAttribute('body', 'data-copied'), `${url}/room?room=${room}`);
  });

  test('a taken name asks for another one', async () => {
    await enter('ana');
    const second = await Person.open(browser);
    people.push(second);
    await second.page.goto(`${url}/room?room=${room}&name=ANA`);
    await second.until(async () => /that name already/.test(await second.page.textContent('#name-error')), 'the words for name_taken');
    assert.equal(await second.page.evaluate(() => document.activeElement.id), 'name');
    await second.page.keyboard.type('bea');
    await second.page.keyboard.press('Enter');
    await second.seated();
  });

  test('a full room says so, and lets in when a seat is free', async () => {
    const seated = [];
    for (const name of ['p1', 'p2', 'p3', 'p4']) seated.push(await enter(name));
    const fifth = await Person.open(browser);
    people.push(fifth);
    await fifth.page.goto(`${url}/room?room=${room}&name=p5`);
    await fifth.page.waitForSelector('#stopped:not([hidden])');
    assert.equal(await fifth.page.textContent('#stopped-title'), 'The room is full');
    await seated[0].page.click('#leave');
    await seated[0].page.waitForURL(`${url}/`);
    await fifth.page.click('#again');
    await fifth.seated();
  });

  test('without a name: who is there is shown before it is asked for, and a full or unknown room says so instead', async () => {
    const first = await enter('first');
    const guest = await Person.open(browser);
    people.push(guest);
    const present = (where) => guest.page.$$eval(`#${where}-present .player-name`, (names) => names.map(({ textContent }) => textContent));
    await guest.page.goto(`${url}/room?room=${room}`);
    await guest.page.waitForSelector('#ask:not([hidden])');
    assert.deepEqual(await present('ask'), ['first']);
    assert.match(await guest.page.textContent('#ask-present'), /1 of 4 seats is taken/);
    for (const name of ['second', 'third', 'fourth']) await enter(name);
    await guest.page.reload();
    await guest.page.waitForSelector('#stopped:not([hidden])');
    assert.equal(await guest.page.textContent('#stopped-title'), 'The room is full');
    assert.deepEqual((await present('stopped')).sort(), ['first', 'fourth', 'second', 'third']);
    await first.page.click('#leave');
    await first.page.waitForURL(`${url}/`);
    await guest.page.click('#again');
    await guest.page.waitForSelector('#ask:not([hidden])');
    await first.join(url, room, 'again');
    await guest.page.fill('#name', 'fifth');
    await guest.page.keyboard.press('Enter');
    await guest.page.waitForSelector('#stopped:not([hidden])');
    await guest.until(async () => (await present('stopped')).length === 4, 'who is there');
    await guest.page.goto(`${url}/room?room=zzzzzzzz`);
    await guest.page.waitForSelector('#stopped:not([hidden])');
    assert.equal(await guest.page.textContent('#stopped-title'), 'No such room');
  });

  test('an unknown room and a code that is none say so', async () => {
    const lost = await Person.open(browser);
    people.push(lost);
    await lost.page.goto(`${url}/room?room=zzzzzzzz&name=ana`);
    await lost.page.waitForSelector('#stopped:not([hidden])');
    assert.match(await lost.page.textContent('#stopped-text'), /no such room/);
    for (const query of ['?room=-&name=ana', '']) {
      await lost.page.goto(`${url}/room${query}`);
      await lost.page.waitForSelector('#stopped:not([hidden])');
      assert.match(await lost.page.textContent('#stopped-text'), /not a room code/);
    }
    await lost.page.click('#lobby-link');
    await lost.page.waitForURL(`${url}/`);
  });

  test('4,000 bytes are sent, one more is refused in the page with the draft kept', async () => {
    const ana = await enter('ana');
    const longest = 'é'.repeat(2000);
    await ana.page.fill('#draft', `${longest}x`);
    assert.equal(await ana.page.textContent('#bytes'), '1 byte too long');
    await ana.page.press('#draft', 'Enter');
    assert.match(await ana.alert(), /too long/);
    assert.equal(await ana.page.inputValue('#draft'), `${longest}x`);
    await ana.say(longest);
    await ana.hears(`ana: ${longest}`);
    assert.equal(await ana.alert(), '');
  });

  test('lines stay lines, up to 30 line ends; empty ones are not sent', async () => {
    const ana = await enter('ana');
    await ana.say('one\ntwo\r\nthree');
    await ana.hears('ana: one\ntwo\nthree');
    assert.ok(await ana.page.$eval('.message-text', ({ offsetHeight }) => offsetHeight) > 60, 'three lines are shown');
    await ana.say('x\n'.repeat(32).trim());
    await ana.hears(`ana: ${'x\n'.repeat(30)}x x`);
    await ana.say('   ');
    assert.match(await ana.alert(), /nothing to show/);
    assert.equal((await ana.heard()).length, 2);
  });

  test('only the button leaves', async () => {
    const ana = await enter('ana');
    const bob = await enter('bob');
    const cleo = await enter('cleo');
    await cleo.page.goto('about:blank');
    await bob.page.click('#leave');
    await bob.page.waitForURL(`${url}/`);
    await ana.until(async () => (await notes(ana)).includes('bob left'), 'bob to leave');
    await ana.page.waitForSelector('.player.away .player-name:text("cleo")');
    assert.deepEqual(await players(ana), ['ana', 'cleo']);
    const kept = await bob.page.evaluate(() => Object.keys(sessionStorage));
    assert.deepEqual(kept, []);
  });

  describe('with a moderator', { skip: needsChatd }, () => {
    let keys;
    let moderated;
    before(async () => {
      keys = await mkdtemp(path.join(tmpdir(), 'chatd-keys-'));
      await writeFile(path.join(keys, 'app-1'), randomBytes(32).toString('base64'));
      moderated = await startCluster({ flags: ['--join-keys-file', keys] });
    });
    after(async () => {
      await moderated?.stop();
      await rm(keys, { recursive: true });
    });
    beforeEach(async () => {
      room = await moderated.createRoom();
    });

    const addressOf = (id) => `${moderated.pods[0].url}/room?room=${id}`;
    /** With a join token, as an application's page leaves it. */
    async function enterBy(claims, name, id = room) {
      const person = await Person.open(browser);
      people.push(person);
      const token = joinToken(path.join(keys, 'app-1'), id, `user-${name}`, name, claims);
      await person.page.goto(moderated.pods[0].url);
      await person.page.evaluate(([key, value]) => sessionStorage.setItem(key, value), [`chatd.auth.v1.${id}`, token]);
      await person.page.goto(addressOf(id));
      await person.seated();
      return person;
    }
    const enterByLink = (name) => enter(name, {}, moderated.pods[0].url);
    const remove = async (moderator, name, ban) => {
      await moderator.page.click(`.remove[data-name="${name}"]`);
      assert.equal(await moderator.page.textContent('#kick-title'), `Remove ${name} from the room?`);
      if (ban) await moderator.page.selectOption('#kick-ban', ban);
      await moderator.page.click('#kick-form [type="submit"]');
    };
    const stopped = async (person) => {
      await person.page.waitForSelector('#stopped:not([hidden])');
      return person.page.textContent('#stopped-title');
    };
    const noted = (person, note) => person.until(async () => (await notes(person)).includes(note), note);

    test('a player is removed, which all see, and may come back; with a ban only later', async () => {
      const mo = await enterBy({ role: 'moderator', display: 'Mo D.' }, 'mo');
      const ana = await enterByLink('ana');
      const bob = await enterByLink('bob');
      await mo.page.waitForSelector('.remove[data-name="bob"]');
      assert.deepEqual(await mo.page.$$eval('.player .tag', (tags) => tags.map(({ textContent }) => textContent)), ['moderator', 'you']);
      assert.equal(await mo.page.locator('.remove').count(), 2, 'for all others');
      assert.equal(await ana.page.locator('.remove, #lock:not([hidden])').count(), 0, 'by nobody else');
      assert.equal(await ana.page.textContent('.player-display'), 'Mo D.');
      await mo.page.click('.remove[data-name="bob"]');
      await mo.page.click('#kick-cancel');
      assert.equal(await mo.page.evaluate(() => document.activeElement.dataset.name), 'bob');
      await remove(mo, 'bob');
      assert.equal(await stopped(bob), 'You were sent out');
      await noted(ana, 'bob was sent out by a moderator');
      await noted(mo, 'bob was sent out by a moderator');
      await bob.join(moderated.pods[0].url, room, 'bob');
      await mo.page.waitForSelector('.remove[data-name="bob"]');
      await remove(mo, 'bob', '600');
      assert.equal(await stopped(bob), 'You were sent out');
      await bob.page.goto(`${addressOf(room)}&name=bob`);
      assert.equal(await stopped(bob), 'You were sent out');
      assert.match(await bob.page.textContent('#stopped-text'), /keeps you out/);
      assert.deepEqual(await players(ana), ['mo', 'ana']);
    });

    test('who only hears is called so, and takes no seat', async () => {
      const ana = await enterByLink('ana');
      await enterBy({ role: 'viewer' }, 'vic');
      await ana.until(async () => (await players(ana)).includes('vic'), 'the viewer');
      assert.deepEqual(await ana.page.$$eval('.player .tag', (tags) => tags.map(({ textContent }) => textContent)), ['you', 'viewer']);
      assert.equal(await ana.page.textContent('#seats-count'), '1 of 4');
    });

    test('a locked room says so to all, and to who comes; a reload is no newcomer', async () => {
      const mo = await enterBy({ role: 'moderator' }, 'mo');
      const ana = await enterByLink('ana');
      await mo.page.click('#lock');
      for (const person of [mo, ana]) {
        await noted(person, 'mo locked the room: nobody new comes in');
        assert.match(await person.page.textContent('#status'), /is locked/);
      }
      assert.equal(await mo.page.textContent('#lock-text'), 'Unlock the room');
      const eve = await Person.open(browser);
      people.push(eve);
      await eve.page.goto(`${addressOf(room)}&name=eve`);
      assert.equal(await stopped(eve), 'The room is locked');
      for (const person of [ana, mo]) {
        await person.page.reload();
        await person.seated();
        assert.match(await person.page.textContent('#status'), /is locked/);
      }
      await mo.page.click('#lock');
      await ana.until(async () => (await ana.page.textContent('#status')) === 'Connected', 'the lock to be off');
      await eve.page.click('#again');
      await eve.seated();
    });

    test('a room that has ended says so, stays readable, and leads to the lobby', async () => {
      const end = Math.floor(Date.now() / 1000) + 5;
      const ana = await enterBy({ create: { expires_at: end, access: 'token' } }, 'ana', 'match-1');
      await ana.say('to the end');
      assert.equal(await stopped(ana), 'The room has ended');
      assert.equal(await ana.page.textContent('#status'), 'Not connected');
      assert.deepEqual(await ana.heard(), ['ana: to the end']);
      assert.ok(await ana.page.isHidden('#again'), 'there is nothing to try');
      await ana.page.click('#lobby-link');
      await ana.page.waitForURL(`${moderated.pods[0].url}/`);
    });
  });

  test('a second tab takes the seat over, and the first one does not fight for it', async () => {
    const ana = await enter('ana');
    const stored = await ana.page.evaluate(() => (dispatchEvent(new Event('pagehide')), JSON.stringify(sessionStorage)));
    const copy = await ana.context.newPage();
    ana.watch(copy);
    await copy.goto(url);
    await copy.evaluate((text) => Object.entries(JSON.parse(text)).forEach(([key, value]) => sessionStorage.setItem(key, value)), stored);
    await copy.goto(`${url}/room?room=${room}`);
    await copy.waitForSelector('#status[data-status="connected"]');
    await ana.page.waitForSelector('#stopped:not([hidden])');
    assert.equal(await ana.page.textContent('#stopped-title'), 'Open somewhere else');
    await ana.page.fill('#draft', 'kept');
    await ana.page.press('#draft', 'Enter');
    assert.match(await ana.alert(), /not in the room here/);
    assert.equal(await ana.page.inputValue('#draft'), 'kept');
    assert.equal(await copy.textContent('#status'), 'Connected');
    await ana.page.click('#again');
    await ana.seated();
    await copy.waitForSelector('#stopped:not([hidden])');
  });

  test('by keyboard alone: from the lobby into a room, talk, copy, leave', async () => {
    const ana = await Person.open(browser, { permissions: ['clipboard-read', 'clipboard-write'] });
    people.push(ana);
    const keys = ana.page.keyboard;
    const focused = () => ana.page.evaluate(() => document.activeElement.id);
    await ana.page.goto(url);
    await keys.type('ana');
    await keys.press('Tab');
    assert.equal(await focused(), 'create');
    await keys.press('Enter');
    await ana.seated();
    assert.equal(await focused(), 'draft');
    await keys.type('by keys');
    await keys.press('Enter');
    await ana.hears('ana: by keys');
    assert.equal(await focused(), 'draft');
    const visited = [];
    for (let step = 0; step < 3; step += 1) {
      await keys.press('Shift+Tab');
      visited.push(await focused());
    }
    assert.deepEqual(visited, ['scroller', 'leave', 'copy']);
    await keys.press('Enter');
    await ana.until(async () => (await ana.page.textContent('#copy-text')) === 'Copied', 'the copy to be confirmed');
    assert.equal(await focused(), 'copy');
    await keys.press('Tab');
    await keys.press('Space');
    await ana.page.waitForURL(`${url}/`);
  });

  test('offline and back: the status says so, what was missed comes, what was written goes out once', async () => {
    const gate = await cluster.gate();
    const ana = await enter('ana', {}, gate.url);
    const bob = await enter('bob');
    await ana.context.setOffline(true);
    gate.cut();
    await ana.status('offline');
    await ana.say('written offline');
    await bob.page.waitForSelector('.player.away');
    await bob.say('are you there?');
    await bob.hears('bob: are you there?');
    gate.open();
    await ana.context.setOffline(false);
    await ana.seated();
    for (const person of [ana, bob]) {
      await person.hears('ana: written offline');
      assert.deepEqual(await person.heard(), ['bob: are you there?', 'ana: written offline']);
    }
    assert.deepEqual(await logged(ana), []);
  });

  test('a line that arrived, and whose return was lost with the connection, is not said again', async () => {
    const gate = await cluster.gate();
    const ana = await enter('ana', {}, gate.url);
    const bob = await enter('bob');
    gate.deafen();
    await ana.say('said once');
    await bob.hears('ana: said once');
    gate.drop();
    await ana.hears('ana: said once');
    await ana.say('the next');
    for (const person of [ana, bob]) {
      await person.hears('ana: the next');
      assert.deepEqual(await person.heard(), ['ana: said once', 'ana: the next']);
    }
  });

  test('a dead connection is found by silence, and what was said into it is sent again, once', async () => {
    const gate = await cluster.gate();
    const ana = await Person.open(browser);
    people.push(ana);
    await ana.page.clock.install();
    await ana.join(gate.url, room, 'ana');
    const bob = await enter('bob');
    await ana.page.waitForSelector('.note:has-text("bob")');
    gate.hang();
    await ana.say('into the void');
    gate.open();
    await ana.page.clock.runFor(21_000);
    assert.equal(await ana.page.textContent('#status'), 'Connected');
    await ana.page.clock.runFor(10_500);
    await ana.page.waitForSelector('.message.delivered');
    await bob.hears('ana: into the void');
    assert.equal((await bob.heard()).length, 1);
    assert.equal((await ana.heard()).length, 1);
  });
});

test('back and forward: the seat is found again, with and without the browser’s page cache', async (t) => {
  // Not goBack(): it waits for a load event, which a page out of the cache does not have. And not before this has been answered.
  const go = (page, by) => page.evaluate((by) => void setTimeout(() => history.go(by)), by);
  for (const cached of [false, true]) {
    const its = await launch(cached ? { ignoreDefaultArgs: ['--disable-back-forward-cache'] } : {});
    t.after(() => its.close());
    const ana = await Person.open(its);
    const room = await cluster.createRoom();
    await ana.page.goto(url);
    await ana.join(url, room, 'ana');
    await ana.say('one');
    await ana.hears('ana: one');
    await go(ana.page, -1);
    await ana.page.waitForURL(`${url}/`, { waitUntil: 'commit' });
    await go(ana.page, 1);
    await ana.page.waitForURL(/room=/, { waitUntil: 'commit' });
    await ana.seated();
    await ana.say('two');
    await ana.hears('ana: two');
    assert.deepEqual(await ana.heard(), ['ana: one', 'ana: two']);
    await ana.close();
  }
});
