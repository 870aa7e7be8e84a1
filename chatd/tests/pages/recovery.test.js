// What the page makes of answers that a healthy server does not give: against the double, which gives them on demand.

import assert from 'node:assert/strict';
import { after, afterEach, before, beforeEach, describe, test } from 'node:test';
import { errorWords } from '../../web/words.js';
import { Person, launch } from './support/browser.js';
import { startCluster } from './support/cluster.js';
import { say } from './support/double.js';

let browser;
before(async () => {
  browser = await launch();
});
after(() => browser.close());

describe('recovery', () => {
  let cluster;
  let double;
  let room;
  let ana;
  beforeEach(async () => {
    cluster = await startCluster({ double: true });
    double = cluster.double;
    room = double.createRoom();
    ana = await Person.open(browser);
    await ana.join(double.url, room, 'ana');
  });
  afterEach(async () => {
    await ana.close();
    await cluster.stop();
  });

  const session = () => double.session('ana');
  const alerted = (code) => ana.until(async () => (await ana.alert()) === errorWords(code), `the words for ${code}`);
  const saidTexts = () => double.rooms.get(room).ring.map(({ text }) => text);

  test('each error on a message has its own words and keeps the draft', async () => {
    for (const code of ['bad_text', 'line_too_long', 'bad_command']) {
      double.intercept = (its, message) => message.type === 'say' && (its.fail(code, message.id), true);
      await ana.say(`refused for ${code}`);
      await alerted(code);
      await ana.until(async () => (await ana.page.inputValue('#draft')) === `refused for ${code}`, 'the draft to come back');
      assert.equal(await ana.page.locator('.message').count(), 0);
    }
    double.intercept = () => false;
    await ana.page.press('#draft', 'Enter');
    await ana.hears('ana: refused for bad_command');
    assert.equal(await ana.alert(), '', 'what went well clears the error');
  });

  test('a refused message does not overwrite what is being written', async () => {
    let refuse;
    double.intercept = (its, message) => message.type === 'say' && ((refuse = () => its.fail('line_too_long', message.id)), true);
    await ana.say('first');
    await ana.until(() => refuse, 'the message to arrive');
    await ana.page.fill('#draft', 'second');
    refuse();
    await alerted('line_too_long');
    assert.equal(await ana.page.inputValue('#draft'), 'second');
    double.intercept = () => false;
    await ana.page.click('.message.failed .text-button:text("Send again")');
    await ana.hears('ana: first');
    assert.equal(await ana.page.inputValue('#draft'), 'second');
    assert.equal(await ana.page.evaluate(() => document.activeElement.id), 'draft');
  });

  test('what was too fast goes by itself when its time has come, in the order in which it was written', async () => {
    const refusedAt = [];
    double.intercept = (its, message) => {
      if (message.type !== 'say' || refusedAt.length === 2) return false;
      refusedAt.push([message.text, Date.now()]);
      its.fail('rate_limited', message.id, { retry_after_ms: 700 });
      return true;
    };
    for (const text of ['one', 'two', 'three']) await ana.say(text);
    await ana.hears('ana: three');
    assert.deepEqual(saidTexts(), ['one', 'two', 'three']);
    assert.deepEqual(refusedAt.map(([text]) => text), ['one', 'one']);
    assert.ok(refusedAt[1][1] - refusedAt[0][1] >= 700, 'not before its time');
    assert.equal(await ana.alert(), '');
    assert.equal(await ana.page.inputValue('#draft'), '');
  });

  test('every message tells its time, and a new day is marked where it begins', async () => {
    const hours = 60 * 60_000;
    const noon = Math.floor(Date.now() / (24 * hours)) * 24 * hours - 12 * hours;
    const tell = (seq, at) => session().send({ type: 'message', from: 'bob', text: `${seq}`, seq, at });
    [noon - 48 * hours, noon - 48 * hours + 1000, noon, Date.now()].forEach((at, index) => tell(index + 1, at));
    await ana.hears('bob: 4');
    const rows = await ana.page.$$eval('.messages > li', (all) => all.map((row) => (row.matches('.day') ? 'day' : row.querySelector('.message-text').textContent)));
    assert.deepEqual(rows, ['day', '1', '2', 'day', '3', 'day', '4']);
    const days = await ana.page.$$eval('.day time', (all) => all.map(({ dateTime }) => dateTime));
    assert.deepEqual(days.slice(0, 2), [noon - 48 * hours, noon].map((at) => new Date(at).toISOString().slice(0, 10)));
    const titles = await ana.page.$$eval('.message', (all) => all.map(({ title }) => title));
    assert.ok(titles.every((title, index) => /\d\d:\d\d:\d\d/.test(title) && title !== titles[index - 1]), titles.join(' | '));
  });

  test('how long a held seat is held is said', async () => {
    const bob = await Person.open(browser);
    await bob.join(double.url, room, 'bob');
    double.session('bob').socket.terminate();
    await ana.page.waitForSelector('.note:has-text("the seat is held for up to 30 seconds")');
    await bob.close();
  });

  test('unavailable: it may have arrived, so the person decides', async () => {
    double.intercept = (its, message) => message.type === 'say' && (its.fail('unavailable', message.id), true);
    await ana.say('maybe');
    await ana.page.waitForSelector('.message.unsure');
    double.intercept = () => false;
    await ana.page.click('.message.unsure .text-button:text("Remove")');
    assert.equal(await ana.page.locator('.message').count(), 0);
    assert.deepEqual(saidTexts(), []);
  });

  test('after a takeover what was under way is asked about, and the gap is shown', async () => {
    double.intercept = (its, message) => message.type === 'say';
    await ana.say('under way');
    await ana.until(() => session().received.some(({ type }) => type === 'say'), 'the message to arrive');
    double.intercept = () => false;
    double.takeOver(room);
    session().socket.terminate();
    await ana.page.waitForSelector('.message.unsure');
    assert.deepEqual(await ana.page.$$eval('.note', (rows) => rows.map(({ textContent }) => textContent)), ['Some messages may be missing here.']);
    assert.deepEqual(saidTexts(), []);
    await ana.page.click('.text-button:text("Send again")');
    await ana.hears('ana: under way');
  });

  test('more was missed than the room remembers: the number is shown', async () => {
    session().socket.terminate();
    double.refusal = { status: 503, code: 'unavailable' };
    for (let n = 0; n < 40; n += 1) say(double.rooms.get(room), 'bob', { text: `${n}` });
    double.refusal = null;
    await ana.hears('bob: 39');
    assert.deepEqual(await ana.page.$$eval('.note', (rows) => rows.map(({ textContent }) => textContent)), ['8 messages are missing here.']);
    assert.equal((await ana.heard()).length, 32);
  });

  test('moved: a takeover below the page is told, the connection stays', async () => {
    const before = double.upgrades;
    const { timeline, seq } = double.takeOver(room);
    session().send({ type: 'moved', room, timeline, seq });
    await ana.page.waitForSelector('.note:has-text("took the room over")');
    await ana.say('still here');
    await ana.hears('ana: still here');
    assert.equal(double.upgrades, before);
  });

  test('redirect: the page comes back to its own address at once', async () => {
    session().send({ type: 'redirect', room, tcp: 'elsewhere:1', web: 'elsewhere:2' });
    const before = session();
    const started = Date.now();
    before.bye('moved', 1012);
    await ana.until(() => session() && session() !== before, 'the page to come back');
    assert.ok(Date.now() - started < 5000);
    assert.equal(session().received[0].type, 'resume');
    assert.equal(session().received[0].on_wrong_pod, 'relay');
    await ana.seated();
    assert.equal(await ana.alert(), '');
  });

  test('the codes that end a connection are explained, and the page comes back', async () => {
    for (const [code, close] of [['slow_consumer', 1008], ['timeout', 1008], ['rate_limited', 1008], ['line_too_long', 1009]]) {
      const before = session();
      before.bye(code, close);
      await alerted(code);
      await ana.until(() => session() && session() !== before, `the page to come back after ${code}`);
      await ana.seated();
      await ana.page.click('#dismiss');
      assert.equal(await ana.alert(), '');
    }
  });

  test('replaced stays away, whatever wakes the page', async () => {
    session().bye('replaced', 4001);
    await ana.page.waitForSelector('#stopped:not([hidden])');
    const before = double.upgrades;
    await ana.page.evaluate(() => {
      dispatchEvent(new Event('online'));
      document.dispatchEvent(new Event('visibilitychange'));
    });
    await ana.page.clock.install();
    await ana.page.clock.runFor(120_000);
    assert.equal(double.upgrades, before);
    assert.equal(await ana.page.textContent('#status'), 'Not connected');
    assert.equal(await ana.page.locator('[role=alert] #stopped-title').count(), 1, 'it is read out');
  });

  test('a refused upgrade is explained by what the room’s address answers, and is tried again', async () => {
    double.refusal = { status: 503, code: 'too_many_connections', retryAfter: '1' };
    session().socket.terminate();
    await alerted('too_many_connections');
    assert.equal(await ana.page.textContent('#status'), 'Connection lost. Reconnecting… Your seat is held for 30 seconds.');
    double.refusal = { status: 503 };
    await alerted('refused');
    await ana.page.fill('#draft', 'kept');
    double.refusal = null;
    await ana.seated();
    assert.equal(await ana.alert(), '');
    assert.equal(await ana.page.inputValue('#draft'), 'kept');
  });

  test('a room that is gone when one comes back is said to be, with the talk still there', async () => {
    await ana.say('once');
    await ana.hears('ana: once');
    double.rooms.delete(room);
    double.refusal = { status: 503 };
    session().socket.terminate();
    await ana.page.waitForSelector('#stopped:not([hidden])');
    assert.equal(await ana.page.textContent('#stopped-title'), 'No such room');
    assert.deepEqual(await ana.heard(), ['ana: once']);
    double.refusal = null;
  });

  test('a seat that was not held long enough is joined again by itself', async () => {
    await ana.say('once');
    await ana.hears('ana: once');
    double.holdMs = 0;
    double.refusal = { status: 503, code: 'unavailable' };
    session().socket.terminate();
    await ana.until(() => double.rooms.get(room).seats.size === 0, 'the seat to end');
    double.refusal = null;
    await ana.seated();
    await ana.page.waitForSelector('.note:has-text("new one")');
    assert.deepEqual(await ana.heard(), ['ana: once']);
  });

  test('a join that is answered with unavailable is tried again', async () => {
    const bob = await Person.open(browser);
    let tries = 0;
    double.intercept = (its, message) => message.type === 'join' && (tries += 1) < 3 && (its.fail('unavailable', message.id, { retry_after_ms: 100 }), true);
    await bob.join(double.url, room, 'bob');
    assert.equal(tries, 3);
    assert.equal(await bob.alert(), '');
    await bob.close();
  });

  test('the page asks for a sign of life after 20 s of silence, and when it is shown again or the network is back', async () => {
    const pings = () => session().received.filter(({ type }) => type === 'ping').length;
    await ana.page.clock.install();
    await ana.page.reload();
    await ana.seated();
    await ana.page.clock.runFor(19_000);
    assert.equal(pings(), 0);
    await ana.page.clock.runFor(1500);
    await ana.until(() => pings() === 1, 'the ping after silence');
    for (const [count, wake] of [[2, 'online'], [3, 'visibilitychange']]) {
      // The answer to the last ping is on the page once a later message is.
      say(double.rooms.get(room), 'bob', { text: `${count}` });
      await ana.hears(`bob: ${count}`);
      await ana.page.evaluate((type) => (type === 'online' ? window : document).dispatchEvent(new Event(type)), wake);
      await ana.until(() => pings() === count, `the ping after ${wake}`);
    }
    const before = double.upgrades;
    double.silent = true;
    await ana.page.clock.runFor(20_500);
    double.silent = false;
    double.intercept = (its, message) => message.type === 'ping';
    await ana.page.clock.runFor(10_500);
    await ana.until(() => double.upgrades > before, 'a new connection');
    await ana.seated();
  });

  test('leaving works without an answer too', async () => {
    double.silent = true;
    await ana.page.click('#leave');
    await ana.page.waitForURL(`${double.url}/`);
  });

  test('the list follows new messages only from its end', async () => {
    const hundred = double.rooms.get(room);
    for (let n = 0; n < 60; n += 1) say(hundred, 'bob', { text: `line ${n}` });
    await ana.hears('bob: line 59');
    const toEnd = () => ana.page.$eval('#scroller', (element) => element.scrollHeight - element.scrollTop - element.clientHeight);
    assert.ok((await toEnd()) < 2);
    await ana.page.$eval('#scroller', (element) => element.scrollTo(0, 0));
    await ana.page.waitForFunction(() => document.getElementById('scroller').scrollTop === 0);
    await ana.page.evaluate(() => new Promise((resolve) => requestAnimationFrame(() => requestAnimationFrame(resolve))));
    say(hundred, 'bob', { text: 'one more' });
    await ana.page.waitForSelector('#newer:not([hidden])');
    assert.equal(await ana.page.$eval('#scroller', (element) => element.scrollTop), 0);
    const focused = () => ana.page.evaluate(() => document.activeElement.id);
    await ana.page.focus('#draft');
    await ana.page.click('#newer');
    assert.ok((await toEnd()) < 2);
    assert.equal(await ana.page.isHidden('#newer'), true);
    assert.equal(await focused(), 'draft');
    await ana.page.$eval('#scroller', (element) => element.scrollTo(0, 0));
    await ana.page.waitForFunction(() => document.getElementById('scroller').scrollTop === 0);
    await ana.page.evaluate(() => new Promise((resolve) => requestAnimationFrame(() => requestAnimationFrame(resolve))));
    say(hundred, 'bob', { text: 'and another' });
    await ana.page.waitForSelector('#newer:not([hidden])');
    await ana.page.focus('#newer');
    await ana.page.keyboard.press('Enter');
    await ana.until(async () => (await focused()) === 'draft', 'the focus to be where one writes');
  });
});
