// Applications with the package as npm gives it: the README's page and the examples, in Chromium and Node, against a chatd of another
// origin; and a tab that is frozen while its network and its room's pod go.

import assert from 'node:assert/strict';
import { spawn } from 'node:child_process';
import { randomBytes } from 'node:crypto';
import { cp, mkdir, writeFile } from 'node:fs/promises';
import path from 'node:path';
import { after, afterEach, before, beforeEach, describe, test } from 'node:test';
import { fileURLToPath } from 'node:url';
import { Person, launch } from '../../../chatd/tests/pages/support/browser.js';
import { judge } from './ledger.js';
import { install, readmePage, serve } from './site.js';
import { Guest, freePort, ownerOf, settles, startCluster, until } from './support.js';

let plain;
let site;
let browser;
let cluster;
let room;
let bob;
before(async () => {
  plain = await install('examples/apps/plain');
  await writeFile(path.join(plain.place, 'empty.html'), '<!doctype html><title>A tab</title>');
  site = await serve(plain.place);
  browser = await launch();
});
after(async () => {
  await browser?.close();
  await site?.stop();
  await plain?.remove();
});
beforeEach(async () => {
  cluster = await startCluster({ pods: 2, flags: ['--allowed-origins', site.origin] });
  room = await cluster.createRoom();
  bob = await Guest.in({ url: cluster.pods[0].url, room, name: 'bob' });
});
afterEach(async () => {
  await bob?.room.leave();
  await cluster?.stop();
});

const example = (name) => fileURLToPath(new URL(`../../../examples/apps/backend/${name}`, import.meta.url));

async function open(t, page) {
  const person = await Person.open(browser);
  t.after(() => person.close());
  await person.page.goto(`${site.origin}/${page}`);
  return person;
}
const shows = (person, selector, text) => person.page.waitForFunction(([where, what]) => document.querySelector(where).textContent.includes(what), [selector, text]);

test('the page of the README: talk, a reload into its own seat, what was not delivered, and why there is no room', async (t) => {
  await readmePage(plain.place, cluster.pods[1].url);
  const person = await open(t, `readme.html#/${room}/${encodeURIComponent('José')}`);
  await bob.wasTold('entered');
  await shows(person, '#status', 'connected');
  await bob.says('hi José');
  await shows(person, '#messages', 'bob: hi José');
  const says = async (text) => {
    await person.page.fill('#text', text);
    await person.page.press('#text', 'Enter');
  };
  await says('hi bob');
  await bob.hears('hi bob');
  await shows(person, '#messages', 'José: hi bob');
  assert.equal(await person.page.inputValue('#text'), '');
  await says('x'.repeat(4001));
  await shows(person, '#messages', 'failed (text_too_long): xxx');
  await person.page.reload();
  await shows(person, '#status', 'connected');
  assert.deepEqual([bob.told('exited'), bob.room.players.length], [[], 2]);
  await person.page.goto(`${site.origin}/readme.html#/n0such22/ana`);
  await shows(person, '#status', 'ended: room_not_found');
  await readmePage(plain.place, 'http://127.0.0.1:1');
  const early = await open(t, `readme.html#/${room}/ana`);
  await shows(early, '#status', 'connecting: unreachable');
});

test('the plain page: talk, players, a reload into its own seat, and why it has ended', async (t) => {
  const query = new URLSearchParams({ url: cluster.pods[1].url, room, name: 'ana' });
  const person = await open(t, `?${query}`);
  await shows(person, '#status', 'connected');
  await shows(person, '#players', 'ana');
  await person.page.fill('#text', 'hello');
  await person.page.press('#text', 'Enter');
  await bob.hears('hello');
  await person.page.reload();
  await shows(person, '#status', 'connected');
  await bob.says('still there?');
  await shows(person, '#messages', 'bob: still there?');
  assert.deepEqual([bob.told('exited'), bob.room.players.length], [[], 2]);
  const other = await open(t, `?${query}`);
  await shows(other, '#status', 'ended: name_taken');
});

test('the React application, built by Vite: talk, players, who is typing, a reload into its own seat, and why it has ended', async (t) => {
  const { place, npm, remove } = await install('examples/apps/react', ['clients/js', 'clients/react']);
  t.after(remove);
  npm('run', 'build');
  await cp(path.join(place, 'dist'), path.join(plain.place, 'react'), { recursive: true });
  const query = new URLSearchParams({ url: cluster.pods[1].url, room, name: 'ana' });
  const person = await open(t, `react/?${query}`);
  await shows(person, '#status', 'connected');
  await shows(person, '#players', 'ana');
  await bob.room.send('typing', true, { volatile: true });
  await shows(person, '#players', 'bob is typing…');
  await bob.says('hi');
  await shows(person, '#messages', 'bob: hi');
  await person.page.waitForFunction(() => !document.querySelector('#players').textContent.includes('typing'));
  await person.page.fill('#text', 'hello');
  await person.page.press('#text', 'Enter');
  await bob.hears('hello');
  await bob.wasTold('event');
  await shows(person, '#messages', 'ana: hello');
  await person.page.reload();
  await shows(person, '#status', 'connected');
  assert.deepEqual([bob.told('exited'), bob.room.players.length], [[], 2]);
  const other = await open(t, `react/?${query}`);
  await shows(other, '#status', 'ended: name_taken');
});

test('the bot greets and answers, outlives its room’s owner, and leaves at SIGTERM', async (t) => {
  const { place, remove } = await install('examples/apps/bot');
  const gate = await cluster.gate();
  const bot = spawn(process.execPath, ['bot.js', gate.url, room], { cwd: place, stdio: ['ignore', 'ignore', 'pipe'] });
  const ended = new Promise((resolve) => bot.once('close', resolve));
  let output = '';
  bot.stderr.setEncoding('utf8').on('data', (text) => { output += text; });
  try {
    await until(() => output.includes('connected'), () => `the bot to be there: ${output}`);
    const gates = await cluster.gate(1);
    const ana = await Guest.in({ url: gates.url, room, name: 'ana' });
    t.after(() => ana.room.leave());
    await ana.hears('Welcome, ana!');
    await ana.says('!time');
    await until(() => ana.texts.some((text) => /^ana: \d{4}-/.test(text)), 'the time');
    await bob.room.leave();
    await cluster.pods[0].kill();
    await ana.wasTold('gap', 60_000);
    await ana.is('connected');
    await ana.says('!time', 60_000);
    await until(() => ana.texts.filter((text) => /^ana: \d{4}-/.test(text)).length === 2, () => `the time again: ${ana} ${output}`, 60_000);
    bot.kill('SIGTERM');
    assert.equal(await settles(ended, 'the bot’s end', 10_000), 0);
    assert.equal((await ana.wasTold('exited')).reason !== undefined, true);
  } finally {
    bot.kill('SIGKILL');
    await ended;
    await remove();
  }
});

test('the backend: its page comes in with its tokens, and it hears who came', async (t) => {
  const [webPort, keys, secret] = [await freePort(), path.join(plain.place, 'join-keys'), path.join(plain.place, 'webhook.secret')];
  await mkdir(keys);
  await writeFile(path.join(keys, 'app-1'), randomBytes(32).toString('base64'), { mode: 0o600 });
  await writeFile(secret, `whsec_${randomBytes(32).toString('base64')}\n`, { mode: 0o600 });
  const origin = `http://localhost:${webPort}`;
  const service = await startCluster({
    flags: ['--allowed-origins', origin, '--room-access', 'token', '--join-keys-file', keys, '--webhook-url', `${origin}/chat-events`, '--webhook-secret-file', secret],
  });
  t.after(() => service.stop());
  const backend = spawn(process.execPath, [example('server.mjs'), plain.place, path.join(keys, 'app-1'), secret], { env: { ...process.env, PORT: webPort } });
  const ended = new Promise((resolve) => backend.once('close', resolve));
  t.after(async () => {
    backend.kill();
    await ended;
  });
  let output = '';
  for (const stream of [backend.stdout, backend.stderr]) stream.setEncoding('utf8').on('data', (text) => { output += text; });
  await until(() => output.includes(origin), () => `the backend to listen: ${output}`);
  const person = await Person.open(browser);
  t.after(() => person.close());
  await person.page.goto(`${origin}/?${new URLSearchParams({ url: service.pods[0].url, room: 'match-42', name: 'ana', tokens: '/chat-token' })}`);
  await shows(person, '#status', 'connected');
  await until(() => /"player.joined".*"name":"ana"/.test(output), () => `the webhook: ${output}`);
  const asked = async (way, init) => (await fetch(`${origin}${way}`, init)).status;
  assert.equal(await asked('/chat-events', { method: 'POST', body: '{}', headers: { 'webhook-id': 'evt_1', 'webhook-timestamp': String(Math.floor(Date.now() / 1000)), 'webhook-signature': 'v1,AAAA' } }), 401);
  assert.equal(await asked('/chat-token?room=*&name=ana', { method: 'POST' }), 400);
  for (const hidden of ['/join-keys/app-1', '/webhook.secret', '/chat-token?room=match-42&name=ana']) assert.equal(await asked(hidden), 404, hidden);
});

test('a backend with a client made from the OpenAPI document: a match from its beginning to its end', async (t) => {
  const { place, npm, remove } = await install('examples/apps/api', []);
  t.after(remove);
  const port = await freePort();
  const secret = 'backend-0123456789abcdef0123456789';
  const keys = path.join(place, 'keys.json');
  await writeFile(keys, JSON.stringify({ keys: [{ id: 'backend', secret, scopes: ['read', 'write'] }] }));
  const service = await startCluster({ flags: ['--api-listen', `127.0.0.1:${port}`, '--api-keys-file', keys] });
  t.after(() => service.stop());
  const url = `http://127.0.0.1:${port}`;
  await writeFile(path.join(place, 'openapi.json'), await (await fetch(`${url}/v1/openapi.json`)).text());
  npm('run', 'generate');
  npm('run', 'check');
  const run = spawn(process.execPath, ['rooms.ts'], { cwd: place, env: { ...process.env, CHATD_API: url, CHATD_API_KEY: secret } });
  let output = '';
  for (const stream of [run.stdout, run.stderr]) stream.setEncoding('utf8').on('data', (text) => { output += text; });
  const code = await settles(new Promise((resolve) => run.once('close', resolve)), 'the backend', 30_000);
  assert.equal(code, 0, output);
  for (const line of ['match-42 is at chat-0, for 2', 'duels: match-42 (0 of 2); without 0 pods', 'number 1, attempt 2', 'locked: true', 'closed: match-42', 'afterwards: room_not_found', 'pods: chat-0']) {
    assert.ok(output.includes(line), `${line}: ${output}`);
  }
});

describe('in a tab', () => {
  /** A room in the page, with its log. */
  const enter = async (t, url) => {
    const person = await open(t, 'empty.html');
    await person.page.evaluate(async ([url, room]) => {
      const { connect } = await import('/node_modules/@chatd/client/src/index.js');
      const own = globalThis.own = { log: [], said: [], frozen: 0, seen: Date.now(), room: connect({ url, room, name: 'ana' }) };
      setInterval(() => {
        if (Date.now() - own.seen > 800) own.frozen += 1;
        own.seen = Date.now();
      }, 100);
      for (const type of ['message', 'gap', 'ended']) own.room.on(type, (about) => own.log.push([type, about]));
    }, [url, room]);
    await connected(person);
    return person;
  };
  const connected = (person, timeout = 60_000) => person.page.waitForFunction(() => own.room.status === 'connected', null, { timeout });
  /** Stops the processes of the pages, as a system does that saves its battery: the browser holds what comes for them. */
  const freeze = async (t) => {
    const session = await browser.newBrowserCDPSession();
    const { processInfo } = await session.send('SystemInfo.getProcessInfo');
    const pages = processInfo.filter(({ type }) => type === 'renderer');
    const signal = (name) => pages.forEach(({ id }) => process.kill(id, name));
    signal('SIGSTOP');
    let thawed = false;
    const thaw = () => {
      if (!thawed) signal('SIGCONT');
      thawed = true;
    };
    t.after(thaw);
    return thaw;
  };

  test('frozen while the network goes, the owner dies and others talk: what was delivered was heard once, gaps are told', async (t) => {
    const gate = await cluster.gate();
    const person = await enter(t, gate.url);
    await bob.room.leave();
    const carl = await Guest.in({ url: (await cluster.gate(1)).url, room, name: 'carl' });
    t.after(() => carl.room.leave());
    const said = [];
    const say = async (text) => said.push({ from: 'carl', text, ...await settles(carl.room.say(text), text, 45_000) });
    const sayAll = (texts) => person.page.evaluate((all) => {
      for (const text of all) own.room.say(text).then((delivery) => own.said.push({ from: 'ana', text, ...delivery }));
    }, texts);
    await sayAll(['a0', 'a1']);
    await say('c0');
    // More than the server takes at once: with its rate of 10 a second this lasts a while.
    let thaw = await freeze(t);
    gate.cut();
    for (let n = 1; n < 35; n += 1) await say(`c${n}`);
    gate.open();
    thaw();
    await connected(person);
    await sayAll(['a2', 'a3']);
    await person.page.waitForFunction(() => own.said.length === 4);
    thaw = await freeze(t);
    await cluster.pods[await ownerOf(cluster, room)].kill();
    for (let n = 35; n < 70; n += 1) await say(`c${n}`);
    thaw();
    await connected(person);
    await sayAll(['a4', 'a5']);
    await person.page.waitForFunction(() => own.said.length === 6, null, { timeout: 60_000 });
    await carl.says('end', 60_000);
    await person.page.waitForFunction(() => own.log.some(([type, about]) => type === 'message' && about.text === 'end'), null, { timeout: 60_000 });
    const own = await person.page.evaluate(() => { const { said, log, frozen } = globalThis.own; return { said, log, frozen }; });
    assert.ok(own.frozen >= 2, 'the tab was never frozen');
    const figures = judge([...said, ...own.said], [{ name: 'ana', log: own.log }, carl], 'frozen');
    t.diagnostic(JSON.stringify(figures));
    assert.ok(figures.delivered >= 70, JSON.stringify(figures));
  });

  test('offline and online are heeded at once, and a worker has the same room', async (t) => {
    const gate = await cluster.gate();
    const person = await enter(t, gate.url);
    gate.cut();
    await person.context.setOffline(true);
    await person.page.waitForFunction(() => own.room.status === 'offline');
    gate.open();
    await person.context.setOffline(false);
    await connected(person, 20_000);
    const answer = await person.page.evaluate(([url, room, origin]) => new Promise((resolve, reject) => {
      const source = `
        import { connect } from '${origin}/node_modules/@chatd/client/src/index.js';
        const room = connect({ url: '${url}', room: '${room}', name: 'worker' });
        const { delivery } = await room.say('from a worker');
        await room.leave();
        postMessage(delivery);
      `;
      const worker = new Worker(URL.createObjectURL(new Blob([source], { type: 'text/javascript' })), { type: 'module' });
      worker.onmessage = ({ data }) => resolve(data);
      worker.onerror = ({ message }) => reject(new Error(message));
    }), [gate.url, room, site.origin]);
    assert.equal(answer, 'delivered');
    await bob.hears('from a worker');
  });
});
