// The room's page: joins a session of the client package to the document and the storage. I/O.

import { addressOf } from './address.js';
import { Driver, firstId } from './client/driver.js';
import { nameOf } from './moderation.js';
import { nameFrom, roomFrom } from './names.js';
import { forgetKey, forgetQuick, forgetRoom, hasKey, loadAuth, loadKey, loadRoom, nextQuick, rememberName, rememberedName, saveKey, saveRoom } from './storage.js';
import { View } from './view.js';
import { create, reduce, toKeep } from './visit.js';

const SAVE_KEY_MS = 10_000;
const CLOSED = ['room_full', 'room_locked', 'room_not_found', 'banned'];

const query = new URLSearchParams(location.search);
const room = roomFrom(location.search);
const auth = room && loadAuth(room);
const askedName = nameOf(auth) ?? query.get('name');
const kept = room && loadRoom(room);
const invite = room && `${addressOf('room')}?room=${room}`;
const key = room && loadKey(room, Date.now());

const driver = new Driver({
  url: new URL(addressOf('./')),
  reduce,
  state: create({ room, name: nameFrom(askedName ?? ''), kept, firstId: firstId(), key, auth, mayHaveSeat: hasKey(room) }),
  changed: (before, after, event) => {
    isElsewhere ||= triesNext(after);
    if (!isElsewhere) view.render(after);
    if (event.type === 'opened' || event.type === 'received') keepKey(SAVE_KEY_MS);
  },
  perform,
});
const dispatch = (event) => driver.dispatch(event);
const view = new View({ room, invite, dispatch, suggestedName: askedName ?? rememberedName() });
let keySavedAt = 0;
let isElsewhere = false;

// From now on the client may have a seat in the room.
function keepKey(every) {
  const { phase, key, holdMs } = driver.state;
  const now = Date.now();
  if (!['joining', 'joined'].includes(phase) || now - keySavedAt < every) return;
  keySavedAt = now;
  saveKey(room, key, holdMs, now);
}

function perform(effect) {
  switch (effect.type) {
    case 'announce': view.announce(effect); break;
    case 'typing': view.showTyping(effect.from); break;
    case 'accepted': view.clearDraft(); break;
    case 'giveBack': if (view.giveBack(effect.text)) dispatch({ type: 'discard', id: effect.id }); break;
    case 'remember': remember(); break;
    case 'save': save(); break;
    case 'forget': forgetRoom(room); forgetKey(room); location.replace(addressOf('./')); break;
  }
}

// Of a quick join: its next room, where nobody comes into this one any more.
function triesNext({ phase, stop, wasIn, name }) {
  const next = phase === 'stopped' && !wasIn && CLOSED.includes(stop.code) && nextQuick(room);
  if (next) location.replace(`${addressOf('room')}?${new URLSearchParams({ room: next, ...(name && { name }) })}`);
  return Boolean(next);
}

// The name leaves the address, so that what is copied from there is an invitation too. A reload has it from the storage.
function remember() {
  rememberName(driver.state.name);
  forgetQuick();
  history.replaceState(null, '', invite);
}

// Only who has been in the room has a visit to go on with: a kept one counts as such (`wasIn`).
function save() {
  const { state } = driver;
  if (!['leaving', 'left'].includes(state.phase) && state.wasIn) saveRoom(room, { ...toKeep(state), draft: view.draft });
}

// Leaving the page is not leaving the room: a reload and the way back find the seat.
addEventListener('pagehide', () => {
  keepKey(0);
  save();
});
document.addEventListener('visibilitychange', () => {
  if (document.visibilityState !== 'visible') save();
});
addEventListener('pageshow', (event) => {
  if (!event.persisted || loadRoom(room)?.seat?.token === driver.state.seat?.token) return;
  // Another page of this tab has gone on in the seat while this one was kept aside: the session, which listens too, is over.
  event.stopImmediatePropagation();
  location.reload();
});

if (!room) {
  view.render({ ...driver.state, phase: 'stopped', stop: { code: 'bad_room' } });
} else {
  view.restoreDraft(kept?.draft);
  driver.start();
  if (askedName && !nameFrom(askedName)) dispatch({ type: 'refused', code: 'bad_name' });
}
