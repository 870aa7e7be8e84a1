// The packages as npm gives them, in a real React and jsdom, under StrictMode, against a real chatd.

import assert from 'node:assert/strict';
import { execFileSync } from 'node:child_process';
import { readFileSync } from 'node:fs';
import { mkdir, mkdtemp, rm, symlink } from 'node:fs/promises';
import { createRequire } from 'node:module';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { after, afterEach, before, beforeEach, test } from 'node:test';
import { fileURLToPath, pathToFileURL } from 'node:url';
import { JSDOM } from 'jsdom';
import { startCluster } from '../../../chatd/tests/pages/support/cluster.js';
import { until } from '../../../chatd/tests/pages/support/browser.js';

const CLIENTS = fileURLToPath(new URL('../..', import.meta.url));
const MODULES = fileURLToPath(new URL('./node_modules', import.meta.url));

let place;
let cluster;
let React;
let createRoot;
let hooks;
let connect;
/** All sockets of the components; those of `bob` are not among them. */
let sockets;
let root;
let element;
let room;
let bob;

before(async () => {
  place = await mkdtemp(path.join(tmpdir(), 'chatd-react-'));
  const npm = (...args) => execFileSync('npm', [...args, '--silent', '--no-audit', '--no-fund'], { cwd: place, encoding: 'utf8' });
  const packed = ['js', 'react'].map((name) => `./${npm('pack', path.join(CLIENTS, name)).trim()}`);
  npm('install', '--offline', '--legacy-peer-deps', ...packed);
  await mkdir(path.join(place, 'node_modules'), { recursive: true });
  for (const name of ['react', 'react-dom', 'scheduler']) await symlink(path.join(MODULES, name), path.join(place, 'node_modules', name));
  const { window } = new JSDOM('<!doctype html><main></main>', { url: 'https://app.example/', pretendToBeVisual: true });
  // As in a page: listeners of its document take its own signals only.
  Object.assign(globalThis, { window, document: window.document, AbortController: window.AbortController });
  const from = createRequire(path.join(place, 'index.js'));
  React = from('react');
  ({ createRoot } = from('react-dom/client'));
  hooks = await import(pathToFileURL(path.join(place, 'node_modules/@chatd/react/src/index.js')));
  ({ connect } = await import(pathToFileURL(path.join(place, 'node_modules/@chatd/client/src/index.js'))));
  cluster = await startCluster();
});
after(async () => {
  await cluster?.stop();
  globalThis.window?.close();
  await rm(place, { recursive: true, force: true });
});
beforeEach(async () => {
  sockets = [];
  room = await cluster.createRoom();
  bob = enterAsBob(room);
  await until(() => bob.room.status === 'connected', 'bob to be in');
  element = document.createElement('main');
  root = createRoot(element);
});
afterEach(async () => {
  root.unmount();
  await bob.room.leave();
});

function enterAsBob(id) {
  const log = [];
  const own = connect({ url: cluster.pods[0].url, room: id, name: 'bob' });
  for (const type of ['entered', 'away', 'back', 'exited', 'message']) own.on(type, (about) => log.push([type, about.text ?? about.name]));
  return { room: own, log, told: (type) => log.filter(([kind]) => kind === type).map(([, what]) => what) };
}

class Counted extends WebSocket {
  constructor(...args) {
    super(...args);
    sockets.push(this);
  }
}

let entered;
function Chat({ id = room, heard = [], silent = false, ...more }) {
  entered = hooks.useRoom({ url: cluster.pods[0].url, room: id, name: 'ana', runtime: { WebSocket: Counted }, ...more });
  hooks.useRoomEvent(entered, 'message', ({ text }) => heard.push(text));
  if (silent) return null;
  return React.createElement(React.Fragment, null, React.createElement(Status, { room: entered }), React.createElement(Messages, { room: entered }));
}
function Status({ room: of }) {
  const { status, problem, end } = hooks.useStatus(of);
  const players = hooks.usePlayers(of);
  return React.createElement('p', null, `${status} ${problem?.code ?? '-'} ${end?.code ?? '-'}: ${players.map(({ name }) => name)}`);
}
const Messages = ({ room: of }) => React.createElement('ol', null, hooks.useMessages(of).map(({ seq, text }) => React.createElement('li', { key: seq }, text)));

const render = (props) => root.render(React.createElement(React.StrictMode, null, React.createElement(Chat, props)));
const shows = (text, timeout = 20_000) => until(() => element.textContent.includes(text), () => `“${text}” in “${element.textContent}”`, timeout);

test('StrictMode: one connection, one seat; what is said is shown, and with the component the seat goes', async () => {
  render();
  await shows('connected - -: bob,ana');
  assert.equal(sockets.length, 1);
  await bob.room.say('hi ana');
  await shows('hi ana');
  assert.equal((await entered.say('hi bob')).delivery, 'delivered');
  await shows('hi anahi bob');
  assert.deepEqual([bob.told('entered'), bob.told('away'), bob.told('exited'), bob.told('message')], [['ana'], [], [], ['hi ana', 'hi bob']]);
  root.unmount();
  await until(() => bob.told('exited').length === 1, 'ana to have left');
  assert.deepEqual(sockets.filter(({ readyState }) => readyState < 2), []);
});

test('the state of the room is shown as it changes, also after a reconnect', async () => {
  const Turn = () => {
    entered = hooks.useRoom({ url: cluster.pods[0].url, room, name: 'ana', runtime: { WebSocket: Counted } });
    return React.createElement('p', null, `${hooks.useStatus(entered).status}: ${hooks.useRoomState(entered).get('turn')?.value ?? 'nobody'}`);
  };
  root.render(React.createElement(React.StrictMode, null, React.createElement(Turn)));
  await shows('connected: nobody');
  assert.equal((await entered.setState('turn', 'bob')).delivery, 'delivered');
  await shows('connected: bob');
  sockets[0].close();
  await shows('reconnecting: bob');
  await shows('connected: bob');
  assert.equal((await entered.setState('turn', null)).version, 2);
  await shows('connected: nobody');
});

test('rendered again it stays, whatever function getAuth is; another room is entered, and the first one left', async () => {
  const tokens = [];
  const getAuth = (n) => () => (tokens.push(n), Promise.reject(new Error(`no token ${n}`)));
  render({ getAuth: getAuth(1) });
  await shows('connecting auth_failed');
  render({ getAuth: getAuth(2) });
  await until(() => tokens.includes(2), 'the latest function to be asked');
  assert.equal(tokens.lastIndexOf(1) < tokens.indexOf(2), true);
  render({ key: 'a component of its own' });
  await shows('connected - -: bob,ana');
  const count = sockets.length;
  render({ key: 'a component of its own', heard: [] });
  await bob.room.say('once');
  await shows('once');
  assert.equal(sockets.length, count);
  const other = await cluster.createRoom();
  render({ key: 'a component of its own', id: other });
  await shows('connected - -: ana');
  await until(() => bob.told('exited').length === 1, 'ana to have left');
  assert.deepEqual([element.textContent, bob.told('entered')], ['connected - -: ana', ['ana']]);
});

test('a connection that breaks comes back; an end is shown; and one that mounts later shows what was said before', async () => {
  render();
  await shows('connected');
  sockets[0].close();
  await shows('reconnecting');
  await bob.room.say('meanwhile');
  await shows('meanwhile');
  const late = document.createElement('div');
  const second = createRoot(late);
  second.render(React.createElement(Messages, { room: entered }));
  await until(() => late.textContent === 'meanwhile', () => `what was said before: ${late.textContent}`);
  second.unmount();
  render({ name: 'bob' });
  await shows('ended - name_taken');
});

test('what was said before anything shows it is shown', async () => {
  const heard = [];
  render({ silent: true, heard });
  await until(() => bob.told('entered').length === 1, 'ana to be in');
  await bob.room.say('early');
  await until(() => heard.length === 1, 'the handler to hear it');
  render();
  await shows('early');
});

test('what is published: its files, its licences, the version of the client that it is for', () => {
  const [{ files }] = JSON.parse(execFileSync('npm', ['pack', '--dry-run', '--json'], { cwd: path.join(CLIENTS, 'react'), encoding: 'utf8' }));
  const expected = ['LICENSE-APACHE', 'LICENSE-MIT', 'README.md', 'package.json', 'src/index.d.ts', 'src/index.js', 'src/log.js'];
  assert.deepEqual(files.map(({ path: name }) => name).sort(), expected);
  const read = (name) => readFileSync(path.join(CLIENTS, name), 'utf8');
  const { version, dependencies } = JSON.parse(read('react/package.json'));
  const client = JSON.parse(read('js/package.json')).version;
  assert.deepEqual([version, dependencies['@chatd/client']], [client, client]);
  for (const licence of ['LICENSE-MIT', 'LICENSE-APACHE']) assert.equal(read(`react/${licence}`), read(`../${licence}`), licence);
});
