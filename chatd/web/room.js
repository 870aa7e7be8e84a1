// The room's page: joins the pure session to the socket, the document, the storage and the browser's events. I/O.

import { addressOf } from './address.js';
import { Connection } from './connection.js';
import { nameFrom, roomFrom } from './protocol.js';
import { create, reduce, toKeep } from './session.js';
import { forgetKey, forgetRoom, hasKey, loadKey, loadRoom, rememberName, rememberedName, saveKey, saveRoom } from './storage.js';
import { View } from './view.js';

const LEAVE_MS = 2000;
const PROBE_MS = 8000;
const SAVE_KEY_MS = 10_000;
// Somebody waits for the question after their name.
const LOOK_MS = 2500;

const query = new URLSearchParams(location.search);
const room = roomFrom(location.search);
const askedName = query.get('name');
const kept = room && loadRoom(room);
const invite = room && `${addressOf('room')}?room=${room}`;
const socketAddress = addressOf('ws').replace(/^http/, 'ws');

const connection = new Connection(socketAddress, dispatch);
const view = new View({ room, invite, dispatch, suggestedName: askedName ?? rememberedName() });
let waiting = null;
const key = room && loadKey(room, Date.now());
let state = create({ room, name: nameFrom(askedName ?? ''), kept, firstId: firstId(), key, mayHaveSeat: hasKey(room) });
let keySavedAt = 0;

// 2^20 ids are left below 2^53 after the greatest start.
function firstId() {
  const [high, low] = crypto.getRandomValues(new Uint32Array(2));
  return ((high % 2 ** 12) * 2 ** 32 + low) * 2 ** 9;
}

function dispatch(event) {
  const [next, effects] = reduce(state, event, { now: Date.now(), random: Math.random() });
  state = next;
  view.render(state);
  for (const effect of effects) perform(effect);
  if (event.type === 'opened' || event.type === 'received') keepKey(SAVE_KEY_MS);
}

// From now on the client may have a seat in the room.
function keepKey(every) {
  const now = Date.now();
  if (!['joining', 'joined'].includes(state.phase) || now - keySavedAt < every) return;
  keySavedAt = now;
  saveKey(room, state.key, state.holdMs, now);
}

function perform(effect) {
  switch (effect.type) {
    case 'connect': clearTimeout(waiting); connection.open(); break;
    case 'disconnect': connection.drop(); break;
    case 'send': connection.send(effect.message); break;
    case 'check': connection.check(); break;
    case 'wait': clearTimeout(waiting); waiting = setTimeout(dispatch, effect.ms, { type: 'due' }); break;
    case 'rest': setTimeout(dispatch, effect.ms, { type: 'rested' }); break;
    case 'hurry': setTimeout(dispatch, LEAVE_MS, { type: 'closed', code: 1006, opened: true }); break;
    case 'probe': ask('probed', PROBE_MS); break;
    case 'look': ask('looked', LOOK_MS); break;
    case 'announce': view.announce(effect); break;
    case 'accepted': view.clearDraft(); break;
    case 'giveBack': if (view.giveBack(effect.text)) dispatch({ type: 'discard', id: effect.id }); break;
    case 'remember': remember(); break;
    case 'save': save(); break;
    case 'forget': forgetRoom(room); forgetKey(room); location.replace(addressOf('./')); break;
  }
}

/** What the room's own address says, in the words of the session: it also tells why an upgrade was refused. */
async function ask(type, patience) {
  try {
    const response = await fetch(addressOf(`api/rooms/${room}`), { cache: 'no-store', signal: AbortSignal.timeout(patience) });
    const { error, players, max_players: maxPlayers, names } = await response.json().catch(() => ({}));
    const seconds = Number(response.headers.get('retry-after'));
    const retryAfterMs = Number.isFinite(seconds) ? seconds * 1000 : 0;
    const answer = { status: response.status, code: error?.code, sentence: error?.message, retryAfterMs, players, maxPlayers, names };
    dispatch({ type, ...answer });
  } catch {
    dispatch({ type, status: 0 });
  }
}

// The name leaves the address, so that what is copied from there is an invitation too. A reload has it from the storage.
function remember() {
  rememberName(state.name);
  history.replaceState(null, '', invite);
}

function save() {
  if (state.phase !== 'leaving' && state.name) saveRoom(room, { ...toKeep(state), draft: view.draft });
}

// Leaving the page is not leaving the room: a reload and the way back find the seat.
addEventListener('pagehide', () => {
  keepKey(0);
  save();
});
document.addEventListener('visibilitychange', () => {
  if (document.visibilityState === 'visible') dispatch({ type: 'woken' });
  else save();
});
addEventListener('pageshow', ({ persisted }) => {
  if (!persisted) return;
  // Another page of this tab may have gone on in the seat while this one was kept aside.
  if (loadRoom(room)?.seat?.token !== state.seat?.token) location.reload();
  else dispatch({ type: 'woken' });
});
addEventListener('online', () => dispatch({ type: 'network', online: true }));
addEventListener('offline', () => dispatch({ type: 'network', online: false }));

if (!room) {
  state = { ...state, phase: 'stopped', stop: { code: 'bad_room' } };
  view.render(state);
} else {
  view.restoreDraft(kept?.draft);
  dispatch({ type: 'begin' });
  if (!navigator.onLine) dispatch({ type: 'network', online: false });
  if (askedName && !nameFrom(askedName)) dispatch({ type: 'refused', code: 'bad_name' });
}
