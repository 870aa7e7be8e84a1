// The lobby in a real browser.

import assert from 'node:assert/strict';
import { after, before, beforeEach, afterEach, describe, test } from 'node:test';
import { Person, launch } from './support/browser.js';
import { quickOrder } from '../../web/quick.js';
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

describe('rooms that are listed', () => {
  let cluster;
  let double;
  let person;
  let page;
  beforeEach(async () => {
    cluster = await startCluster({ double: true });
    double = cluster.double;
    person = await Person.open(browser);
    page = person.page;
  });
  afterEach(async () => {
    await person.close();
    await cluster.stop();
  });

  const shown = () => page.$$eval('#open:not([hidden]) .open-room', (rows) => rows.map((row) => row.innerText.split(/\s+/).join(' ')));
  const shows = (...expected) => person.until(async () => JSON.stringify(await shown()) === JSON.stringify(expected), `the list ${expected}`);
  const again = () => page.evaluate(() => document.dispatchEvent(new Event('visibilitychange')));

  test('without any the lobby has no list and no quick join', async () => {
    double.createRoom();
    const asked = page.waitForResponse(`${double.url}/api/rooms`);
    await page.goto(double.url);
    await asked;
    assert.deepEqual([await page.isVisible('#open'), await page.isVisible('#quick'), await page.textContent('#open-status')], [false, false, '']);
  });

  test('each is one item with its kind, its seats and a link, and keeps its place', async () => {
    const [one, other] = ['match-1', 'match-2'].map((id) => double.rooms.get(double.createRoom(id, 'duel')));
    await page.goto(double.url);
    await shows('match-1 duel 0 of 4 seats taken Join', 'match-2 duel 0 of 4 seats taken Join');
    assert.equal(await page.getByRole('list').getByRole('listitem').count(), 2);
    assert.equal(await page.textContent('#open-status'), '2 open rooms');
    one.locked = true;
    await again();
    await shows('match-1 duel Not open any more', 'match-2 duel 0 of 4 seats taken Join');
    double.createRoom('match-3', 'quiz');
    other.locked = true;
    await again();
    await shows('match-3 quiz 0 of 4 seats taken Join');
    double.rooms.get('match-3').locked = true;
    await page.focus('.open-room a');
    await again();
    await page.waitForSelector('#open', { state: 'hidden' });
    assert.equal(await page.evaluate(() => document.activeElement.id), 'name', 'the focus is somewhere');
    await page.fill('#name', 'ana b');
    one.locked = false;
    await again();
    await shows('match-1 duel 0 of 4 seats taken Join');
    const link = page.getByRole('link', { name: 'Join match-1' });
    assert.equal(await link.getAttribute('href'), `${double.url}/room?room=match-1`, 'a name that is none');
    await page.fill('#name', 'ana');
    await link.click();
    await person.seated();
    assert.equal(await page.textContent('#room-code'), 'match-1');
    await page.goto(double.url);
    assert.equal(await page.inputValue('#name'), 'ana');
  });

  test('quick join takes the fuller one, goes on where nobody comes in any more, and needs a name', async () => {
    for (const id of ['full', 'locked', 'gone', 'open']) double.createRoom(id, 'duel');
    const guest = await Person.open(browser);
    await guest.join(double.url, 'full', 'guest');
    // The fuller of the first two comes first, each time.
    await page.addInitScript(() => { Math.random = () => 0; });
    await page.goto(double.url);
    await page.click('#quick');
    assert.match(await person.alert(), /letters, digits/);
    assert.equal(await page.evaluate(() => document.activeElement.id), 'name');
    await page.fill('#name', 'ana');
    // What is left of a quick join does not count for a room that somebody asks for.
    double.intercept = (session, { type }) => type === 'join' && (session.fail('name_taken'), true);
    await page.click('#quick');
    await page.waitForSelector('#ask #name-error:not(:empty)');
    const first = new URL(page.url()).searchParams.get('room');
    assert.equal(first, 'full');
    double.intercept = (session, { type }) => type === 'join' && (session.fail('room_full'), true);
    await page.goto(double.url);
    await page.fill('#room', first);
    await page.click('#join');
    await page.waitForSelector('#stopped-title:text("The room is full")');
    assert.equal(new URL(page.url()).searchParams.get('room'), first);
    await page.goto(double.url);
    // Since the list was made. That this tab could not come into the first before does not count.
    const tried = [];
    double.intercept = (session, { type, room, name }) => {
      if (type !== 'join' || name !== 'ana') return false;
      tried.push(room);
      return room !== 'open' && (session.fail(`room_${room === 'gone' ? 'not_found' : room}`), true);
    };
    await page.click('#quick');
    await person.seated();
    assert.equal(await page.textContent('#room-code'), 'open');
    assert.deepEqual(tried, ['full', 'gone', 'locked', 'open'], 'each is tried once');
    double.intercept = () => false;
    double.rooms.get('full').locked = true;
    await page.goto(`${double.url}/room?room=full&name=ana`);
    await page.waitForSelector('#stopped-title:text("The room is locked")');
    await guest.close();
  });

  test('of two random ones the fuller is tried first, and each once', () => {
    const rooms = [1, 3, 0, 2].map((players, index) => ({ room: `r${index}`, players, max_players: 4 }));
    assert.deepEqual(quickOrder(rooms, () => 0), ['r1', 'r3', 'r0', 'r2'], 'of the first two, and then of the next two');
    assert.deepEqual(quickOrder(rooms).sort(), ['r0', 'r1', 'r2', 'r3']);
    assert.deepEqual(quickOrder([]), []);
    assert.equal(quickOrder(Array.from({ length: 50 }, (_, index) => ({ room: `r${index}`, players: 0, max_players: 4 }))).length, 10);
  });
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
