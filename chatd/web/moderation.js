// Moderators' commands on the page, and what comes of them: who may be sent out, and whether the room is locked. Pure: no I/O.

import { kick, lock, lockedAfter } from './client/moderation.js';
import { sameName } from './client/protocol.js';
import { tell } from './client/talk.js';

const MAX_ASKED = 8;

/** For how long a player who is sent out may be kept out, in seconds. */
export const BANS = [600, 3600, 86_400];

/** The name that a join token says for its holder, or `null`. The server verifies the token; the page only asks for no other name. */
export function nameOf(auth) {
  try {
    const payload = auth.split('.')[1].replaceAll('-', '+').replaceAll('_', '/');
    const bytes = Uint8Array.from(atob(payload), (character) => character.charCodeAt(0));
    const { name } = JSON.parse(new TextDecoder().decode(bytes));
    return typeof name === 'string' ? name : null;
  } catch {
    return null;
  }
}

/** `moderates`: oneself does, as the server says. `asked`: the ids of commands that may still be refused. */
export const create = () => ({ moderates: false, locked: false, asked: [] });

export const remove = (state, { name, banSeconds }) => ask(state, kick(name, banSeconds || undefined));
export const setLock = (state, { locked }) => ask(state, lock(locked));

function ask(state, command) {
  if (state.phase !== 'joined') return [state, []];
  const id = state.nextId;
  const next = { ...state, nextId: id + 1, asked: [...state.asked.slice(1 - MAX_ASKED), id], error: null };
  return [next, [{ type: 'send', message: { ...command, id } }]];
}

/** What a message of the server changes. The event is the answer to who has locked, and everyone's news. */
export function heard(before, message) {
  const { type, id, by, code, message: sentence } = message;
  const locked = lockedAfter(before.locked, message);
  const state = locked === before.locked ? before : { ...before, locked };
  switch (type) {
    case 'joined':
    case 'players': {
      const own = state.players.find(({ name }) => sameName(name, state.name));
      return [{ ...state, moderates: own?.role === 'moderator', asked: type === 'joined' ? [] : state.asked }, []];
    }
    case 'locked':
    case 'unlocked': return [state, [tell(type, { name: by })]];
    case 'error': return [state.asked.includes(id) ? { ...state, error: { code, message: sentence, about: 'message' } } : state, []];
    default: return [state, []];
  }
}
