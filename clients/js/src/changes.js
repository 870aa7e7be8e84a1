// What the owner of a room is told of the difference between two states: which events, and what became of own messages. Pure: no I/O.

import { connectionStatus } from './session.js';

/** @import { Item, Own, State } from '../internal.js' */
/** @import { Delivery, Message, Problem, RoomEvents, Status } from './index.js' */

/** @typedef {{ [Type in keyof RoomEvents]: [Type, ...Parameters<RoomEvents[Type]>] }[keyof RoomEvents]} Told */

/** @type {Record<ReturnType<typeof connectionStatus>, Status>} */
const STATUS = {
  asking: 'ended', stopped: 'ended', connecting: 'connecting', trying: 'connecting', connected: 'connected', reconnecting: 'reconnecting', offline: 'offline',
};

/** @param {State} state @returns {Status} */
export function statusOf(state) {
  return state.phase === 'new' ? 'connecting' : STATUS[connectionStatus(state)];
}

/** @param {State} state @returns {Problem | null} */
export function problemOf({ phase, error }) {
  return error?.about === 'message' || phase === 'joined' ? null : problem(error);
}

/** Why nothing more can come of it, or `null`. @param {State} state @returns {Problem | null} */
export function endOf({ phase, stop, error }) {
  if (phase === 'left') return { code: 'left' };
  // A name that the room does not take: only the caller has another one.
  return phase === 'asking' ? problem(error) : problem(stop);
}

/** @param {{code: string, sentence?: string | undefined} | null} what @returns {Problem | null} */
const problem = (what) => what && { code: what.code, ...(what.sentence !== undefined && { message: what.sentence }) };

/**
 * What to tell, in its order. `ended` is not among it: it comes last.
 *
 * @param {State} before @param {State} after @returns {Told[]}
 */
export function changes(before, after) {
  /** @type {Told[]} */
  const told = [];
  const status = statusOf(after);
  if (status !== statusOf(before) || problemOf(after)?.code !== problemOf(before)?.code) told.push(['status', status, problemOf(after)]);
  if (after.players !== before.players) told.push(['players', after.players]);
  const items = added(before.items, after.items);
  items.forEach((item, index) => {
    // A takeover is noted, and then that messages may be missing: to a caller it is one gap.
    if (isUnknown(item) && isUnknown(index > 0 ? items[index - 1] : before.items.at(-1))) return;
    told.push(item.kind === 'message' ? ['message', messageOf(item)] : noted(item));
  });
  return told;
}

/**
 * Rows only ever come at the end, and leave at the start.
 *
 * @param {readonly Item[]} before @param {readonly Item[]} after
 */
function added(before, after) {
  const last = before.at(-1);
  return last ? after.slice(after.lastIndexOf(last) + 1) : after;
}

/** @param {Extract<Item, {kind: 'message'}>} item @returns {Message} */
const messageOf = ({ from, text, at, seq, mine, replay }) => ({ from, text, at, seq, mine, replay });

/** @param {Item | undefined} item */
const isUnknown = (item) => item?.kind === 'note' && (item.code === 'gap' ? item.count === null : ['rejoined', 'took_over'].includes(item.code));

/** @param {Extract<Item, {kind: 'note'}>} item @returns {Told} */
function noted(item) {
  switch (item.code) {
    case 'entered': case 'away': case 'back': return [item.code, { name: item.name }];
    case 'exited': return ['exited', { name: item.name, reason: item.reason }];
    case 'gap': return ['gap', { count: item.count }];
    // A seat that was not held any longer, a room that another pod took over: nobody knows what was said in between.
    default: return ['gap', { count: null }];
  }
}

/**
 * What became of those messages that have an answer now, by id.
 *
 * @param {State} before @param {State} after @returns {[number, Delivery][]}
 */
export function settled(before, after) {
  /** @type {[number, Delivery][]} */
  const all = [];
  for (const item of added(before.items, after.items)) {
    if (item.kind === 'message' && item.id !== undefined) all.push([item.id, { delivery: 'delivered', message: messageOf(item) }]);
  }
  for (const own of after.outbox) {
    if (own.delivery === 'unsure' || own.delivery === 'failed') all.push([own.id, { delivery: own.delivery, code: own.code ?? 'unconfirmed' }]);
  }
  return all;
}

/**
 * What becomes of a message that is not waited for any longer.
 *
 * @param {Own} own @param {string} code @returns {Delivery}
 */
export const givenUp = (own, code) => (own.delivery === 'sent' ? { delivery: 'unsure', code } : { delivery: 'failed', code });
