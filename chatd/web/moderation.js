// Moderators' commands and what comes of them: who may be sent out, and whether the room is locked. Pure: no I/O.

import { tell } from './client/talk.js';

const MAX_ASKED = 8;

/** For how long a player who is sent out may be kept out, in seconds. */
export const BANS = [600, 3600, 86_400];

/**
 * What a join token says of its holder: `{name?, role?}`. The server verifies it; here it only says what a page offers.
 */
export function claimsOf(auth) {
  try {
    const payload = auth.split('.')[1].replaceAll('-', '+').replaceAll('_', '/');
    const bytes = Uint8Array.from(atob(payload), (character) => character.charCodeAt(0));
    const { name, role } = JSON.parse(new TextDecoder().decode(bytes));
    return { name: typeof name === 'string' ? name : null, role };
  } catch {
    return {};
  }
}

/** `asked`: the ids of commands that may still be refused. */
export function create(auth) {
  return { moderates: claimsOf(auth).role === 'moderator', locked: false, asked: [] };
}

export const kick = (state, { name, banSeconds }) => ask(state, { type: 'kick', name, ...(banSeconds > 0 && { ban_s: banSeconds }) });
export const lock = (state, { locked }) => ask(state, { type: locked ? 'lock' : 'unlock' });

function ask(state, command) {
  if (state.phase !== 'joined') return [state, []];
  const id = state.nextId;
  const next = { ...state, nextId: id + 1, asked: [...state.asked.slice(1 - MAX_ASKED), id], error: null };
  return [next, [{ type: 'send', message: { ...command, id } }]];
}

/** What a message of the server changes. The event is the answer to who has locked, and everyone's news. */
export function heard(state, { type, id, locked, by, code, message }) {
  switch (type) {
    case 'joined': return [{ ...state, locked: locked === true, asked: [] }, []];
    case 'locked':
    case 'unlocked': return [{ ...state, locked: type === 'locked' }, [tell(type, { name: by })]];
    case 'error': return state.asked.includes(id) ? [{ ...state, error: { code, message, about: 'message' } }, []] : [state, []];
    default: return [state, []];
  }
}
