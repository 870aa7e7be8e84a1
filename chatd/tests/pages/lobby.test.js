// The lobby in a real browser.

import assert from 'node:assert/strict';
import { after, before, beforeEach, afterEach, describe, test } from 'node:test';
import { Person, launch } from './support/browser.js';
import { needsChatd, startCluster } from './support/cluster.js';

let browser;
before(async () => {
  browser = await launch();
});
after(() => browser.close());

describe('lobby', () => {
  let cluster;
  let person;
  let page;
  let url;
  before(async () => {
    cluster = await startCluster();
    url = cluster.pods[0].url;
  });
  after(() => cluster.stop());
  beforeEach(async () => {
    person = await Person.open(browser);
    page = person.page;
    await page.goto(url);
  });
  afterEach(() => person.close());

  test('the policy, and no socket before a room is entered', async () => {
    const sockets = [];
    page.on('websocket', (socket) => sockets.push(socket.url()));
    const response = await page.reload();
    const headers = response.headers();
    assert.equal(headers['content-security-policy'], "default-src 'none'; script-src 'self'; style-src 'self'; connect-src 'self'; img-src 'self'; form-action 'self'; base-uri 'none'; frame-ancestors 'none'");
    assert.equal(headers['x-content-type-options'], 'nosniff');
    assert.equal(headers['referrer-policy'], 'same-origin');
    const icon = await page.request.get(`${url}/favicon.svg`);
    assert.match(icon.headers()['content-type'], /^image\/svg\+xml/);
    assert.deepEqual(sockets, []);
  });

  test('the name has the focus, and is remembered', async () => {
    assert.equal(await page.evaluate(() => document.activeElement.id), 'name');
    await page.keyboard.type('Ana');
    await page.click('#create');
    await person.seated();
    await page.goto(url);
    assert.equal(await page.inputValue('#name'), 'Ana');
    assert.equal(await page.evaluate(() => document.activeElement.id), 'name');
  });

  test('create makes a room and enters it', async () => {
    await page.fill('#name', 'ana');
    const posted = page.waitForRequest((request) => request.method() === 'POST' && request.url() === `${url}/api/rooms`);
    await page.keyboard.press('Enter');
    await posted;
    await person.seated();
    assert.match(page.url(), /\/room\?room=[a-z0-9]{8}$/);
  });

  test('a room is joined by its code in any case, or by a pasted link', async () => {
    const room = await cluster.createRoom();
    await page.fill('#name', 'ana');
    await page.fill('#room', room.toUpperCase());
    await page.press('#room', 'Enter');
    await person.seated();
    await page.click('#leave');
    await page.waitForURL(`${url}/`);
    await page.fill('#room', `${url}/room?room=${room}`);
    assert.equal(await page.inputValue('#room'), room);
    await page.click('#join');
    await person.seated();
    assert.equal(await page.textContent('#room-code'), room);
  });

  test('a bad name and a bad room are explained at their field, and nothing is lost', async () => {
    await page.fill('#name', 'a b');
    await page.click('#create');
    assert.match(await person.alert(), /letters, digits/);
    assert.match(await page.textContent('#name-error'), /letters, digits/, 'beside its field');
    assert.equal(await page.getAttribute('#name', 'aria-invalid'), 'true');
    assert.equal(await page.evaluate(() => document.activeElement.id), 'name');
    await page.fill('#name', 'ana');
    assert.equal(await person.alert(), '');
    await page.fill('#room', 'nonsense here');
    await page.click('#join');
    assert.match(await page.textContent('#room-error'), /not a room code/);
    assert.equal(await page.inputValue('#room'), 'nonsense here');
    assert.equal(page.url(), `${url}/`);
  });
});

test('what the server says against a new room is shown, and it can be tried again', async (t) => {
  const cluster = await startCluster({ double: true });
  t.after(() => cluster.stop());
  const person = await Person.open(browser);
  await person.page.goto(cluster.double.url);
  await person.page.fill('#name', 'ana');
  const expected = { unavailable: /does not answer/, too_many_rooms: /another room/, rate_limited: /too fast/, shutting_down: /restarted/, bad_origin: /this address/ };
  for (const [code, words] of Object.entries(expected)) {
    cluster.double.refusal = { status: code === 'rate_limited' ? 429 : 503, code };
    await person.page.click('#create');
    await person.until(async () => words.test(await person.alert()), `the words for ${code}`);
  }
  await person.context.setOffline(true);
  await person.page.click('#create');
  await person.until(async () => /cannot be reached/.test(await person.alert()), 'the words for a lost network');
  await person.context.setOffline(false);
  cluster.double.refusal = null;
  await person.page.click('#create');
  await person.seated();
  await person.close();
});

test('a link opens the room whatever came along with it, and an address where nothing is has a page', { skip: needsChatd }, async (t) => {
  const cluster = await startCluster();
  t.after(() => cluster.stop());
  const { url } = cluster.pods[0];
  const room = await cluster.createRoom();
  const person = await Person.open(browser);
  for (const link of [`/room?room=${room})`, `/room?room=${room}。`, `/room?room=\u200b${room}`, `/room/?room=${room}`, `/room/${room}`, `/room/${room}.`]) {
    await person.page.goto(url + link);
    await person.page.waitForSelector('#ask:not([hidden])');
    assert.equal(await person.page.textContent('#room-code'), room, link);
  }
  await person.page.goto(url);
  await person.page.fill('#room', `Come to ${url}/room?room=${room}, it is open!`);
  assert.equal(await person.page.inputValue('#room'), room);
  const response = await person.page.goto(`${url}/rooms`);
  assert.equal(response.status(), 404);
  await person.shot('not-here');
  await person.page.click('text=To the lobby');
  await person.page.waitForURL(`${url}/`);
  await person.close();
});
