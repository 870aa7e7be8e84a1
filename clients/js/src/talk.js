// What is said in a room, and what becomes of own messages. Pure: no I/O.
//
// One own message is on the wire at a time, so that one which has to wait cannot be overtaken.

import { sameName, textProblem } from './protocol.js';
import { delay } from './recovery.js';

/** @import { Custom, Env, Item, Note, Own, ServerError, Spoken, State, Step } from '../internal.js' */

export const MAX_ITEMS = 300;
export const MAX_OUTBOX = 20;

/** @type {Partial<Own>} */
const QUEUED = { delivery: 'queued' };
/** @type {Partial<Own>} */
const UNSURE = { delivery: 'unsure', code: 'unconfirmed' };

const SPEECHLESS = ['looking', 'asking', 'stopped', 'leaving', 'left'];

/** @param {State} state @param {string} text @param {Env} env @returns {Step} */
export function say(state, text, env) {
  /** @param {string} code @returns {Step} */
  const refuse = (code) => [{ ...state, error: { code, about: 'message' } }, []];
  const problem = textProblem(text);
  if (problem) return refuse(problem);
  if (SPEECHLESS.includes(state.phase)) return refuse('not_here');
  if (state.outbox.length >= MAX_OUTBOX) return refuse('outbox_full');
  /** @type {Own} */
  const own = { key: state.nextKey, id: state.nextId, from: state.name, mine: true, text, at: env.now, delivery: 'queued' };
  const next = {
    ...state,
    outbox: [...state.outbox, own],
    nextId: state.nextId + 1,
    nextKey: state.nextKey + 1,
    error: state.error?.about === 'message' ? null : state.error,
  };
  return [next, [{ type: 'accepted' }]];
}

/**
 * Sends the next one that waits, unless one is on the wire or a replay may still bring it back.
 *
 * @param {State} state @returns {Step}
 */
export function flush(state) {
  if (state.phase !== 'joined' || state.settling || state.resting || state.outbox.some(({ delivery }) => delivery === 'sent')) return [state, []];
  const next = state.outbox.find(({ delivery }) => delivery === 'queued');
  if (!next) return [state, []];
  return [redeliver(state, next.id, 'sent'), [{ type: 'send', message: { type: 'say', text: next.text, id: next.id } }]];
}

/**
 * A message, or an application's event, which is numbered with them and not shown.
 *
 * @param {State} state @param {Spoken | Custom} message @returns {Step}
 */
export function heard(state, message) {
  const { seq, replay } = message;
  // The timeline's count tells what was heard before: nothing is shown twice, whatever is replayed.
  if (!seq || (replay && state.heard && state.heard.seq >= seq)) return [state, []];
  const next = replayed({
    ...state,
    seat: state.seat && { ...state.seat, lastSeq: replay ? seq : Math.max(state.seat.lastSeq, seq) },
    heard: state.heard && { ...state.heard, seq: Math.max(state.heard.seq, seq) },
  }, seq);
  return message.type === 'message' ? spoken(next, message) : [next, []];
}

/** @param {State} state @param {Spoken} message @returns {Step} */
function spoken(state, { id, from, text, at, seq, replay = false }) {
  const mine = sameName(from, state.name ?? '');
  const own = mine ? state.outbox.find((other) => other.id === id) : undefined;
  /** @type {Item} */
  const item = { key: own ? own.key : state.nextKey, kind: 'message', from, mine, text, at, seq, replay, ...(own && { id: own.id }) };
  const next = {
    ...state,
    items: append(state.items, item),
    nextKey: own ? state.nextKey : state.nextKey + 1,
    outbox: own ? state.outbox.filter((other) => other !== own) : state.outbox,
    error: own && state.error?.about !== 'connection' ? null : state.error,
    refusals: own ? 0 : state.refusals,
  };
  return [next, mine || replay ? [] : [{ type: 'announce', from, text }]];
}

/**
 * The replay has ended where its last message, or a later one, has come. It was whole if none is missing.
 *
 * @param {State} state @param {number} seq @returns {State}
 */
function replayed(state, seq) {
  if (!state.settling) return state;
  const { until, sure } = state.settling;
  const remaining = state.settling.remaining - (seq <= until ? 1 : 0);
  const settling = { until, remaining, sure };
  return seq < until ? { ...state, settling } : settle({ ...state, settling: { ...settling, sure: sure && remaining === 0 } });
}

/**
 * An own message that was not in the replay did not arrive, if the replay was whole.
 *
 * @param {State} state @returns {State}
 */
export function settle(state) {
  return { ...state, outbox: offTheWire(state.outbox, state.settling?.sure ? QUEUED : UNSURE), settling: null };
}

/** What is on the wire may have arrived or not. @param {readonly Own[]} outbox @returns {Own[]} */
export function unsure(outbox) {
  return offTheWire(outbox, UNSURE);
}

/** @param {readonly Own[]} outbox @param {Partial<Own>} becomes @returns {Own[]} */
function offTheWire(outbox, becomes) {
  return outbox.filter(({ discarded }) => !discarded).map((own) => (own.delivery === 'sent' ? { ...own, ...becomes } : own));
}

/**
 * Nobody waits for it any longer: it is not sent again. On the wire it stays, so that nothing overtakes it.
 *
 * @param {State} state @param {number} id @returns {State}
 */
export function discard(state, id) {
  const outbox = state.outbox.filter((own) => own.id !== id || own.delivery === 'sent');
  return { ...state, outbox: outbox.map((own) => (own.id === id ? { ...own, discarded: true } : own)) };
}

/**
 * Too fast: what was refused goes out by itself after the server's time, and later each time that this was too early.
 *
 * @param {State} state @param {Own | undefined} own @param {ServerError} error @param {Env} env @returns {Step}
 */
export function rest(state, own, { retry_after_ms: atLeastMs }, env) {
  const ms = Math.max(atLeastMs ?? 0, delay(state.refusals, env.random));
  const next = { ...state, resting: true, refusals: state.refusals + 1 };
  return [own ? { ...next, outbox: offTheWire(next.outbox, QUEUED) } : next, state.resting ? [] : [{ type: 'rest', ms }]];
}

/**
 * An own message was refused. Its text goes back to where it was written, where that is empty: the view decides.
 *
 * @param {State} state @param {Own} own @param {ServerError} error @returns {Step}
 */
export function unsent(state, own, { code, message: sentence }) {
  /** @type {State['error']} */
  const error = { code, sentence, about: 'message' };
  if (code === 'unavailable') return [{ ...redeliver(state, own.id, 'unsure', code), error }, []];
  return [{ ...redeliver(state, own.id, 'failed', code), error }, [{ type: 'giveBack', id: own.id, text: own.text }]];
}

/** @param {State} state @param {number} id @param {Own['delivery']} delivery @param {string} [code] @returns {State} */
export function redeliver(state, id, delivery, code) {
  return { ...state, outbox: state.outbox.map((own) => (own.id === id ? { ...own, delivery, ...(code && { code }) } : own)) };
}

/** @param {State} state @param {Note} what @param {number} at @returns {State} */
export function note(state, what, at) {
  /** @type {Item} */
  const item = { key: state.nextKey, kind: 'note', at, ...what };
  return { ...state, items: append(state.items, item), nextKey: state.nextKey + 1 };
}

/** @param {readonly Item[]} items @param {Item} item */
function append(items, item) {
  return [...items.slice(-(MAX_ITEMS - 1)), item];
}
