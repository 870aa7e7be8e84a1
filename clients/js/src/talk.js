// What is said in a room, messages and events of applications alike, and what becomes of what one has said oneself. Pure: no I/O.
//
// One of one's own is on the wire at a time, so that one which has to wait cannot be overtaken.

import { sameName, textProblem } from './protocol.js';
import { delay } from './recovery.js';

/** @import { Effect, Env, Own, OwnerEffect, Said, ServerError, Spoken, State, Step, Told } from '../internal.js' */

export const MAX_OUTBOX = 20;

/** @type {Partial<Own>} */
const UNSURE = { delivery: 'unsure', code: 'unconfirmed' };
const SPEECHLESS = ['stopped', 'leaving', 'left'];

/** @param {Told[0]} type @param {object} about @returns {OwnerEffect} */
export const tell = (type, about) => ({ type: 'tell', told: /** @type {Told} */ ([type, about]) });

/** `why` is for those who show it. @param {number | null} count @param {'rejoined' | 'took_over'} [why] @returns {Effect} */
export const gap = (count, why) => ({ ...tell('gap', { count }), why });

/** It is taken where `nextId` has changed. @param {State} state @param {Said} event @returns {Step} */
export function say(state, { type, volatile, ...said }) {
  const { text, data } = said;
  let code = textProblem(text ?? JSON.stringify(data));
  if (SPEECHLESS.includes(state.phase)) code ??= 'not_here';
  if (!volatile && state.outbox.length >= MAX_OUTBOX) code ??= 'outbox_full';
  if (code) return [{ ...state, error: { code, about: 'message' } }, []];
  const id = state.nextId;
  const next = { ...state, nextId: id + 1 };
  // Nobody waits for what becomes of it: its id is none that the outbox has.
  if (volatile) return [next, [{ type: 'send', message: { ...onTheWire({ ...said, id: 0 }), volatile } }]];
  return [{ ...next, outbox: [...state.outbox, { ...said, id, delivery: 'queued' }], error: state.error?.about === 'message' ? null : state.error }, []];
}

/** @param {Omit<Own, 'delivery'>} own */
function onTheWire({ id, text, kind, data, to }) {
  return kind ? { type: 'send', kind, data, ...(to && { to }), id } : { type: 'say', text, id };
}

/**
 * Sends the next one that waits, unless one is on the wire or a replay may still bring it back.
 *
 * @param {State} state @returns {Step}
 */
export function flush(state) {
  if (state.phase !== 'joined' || state.settling || state.resting || state.outbox.some(({ delivery }) => delivery === 'sent')) return [state, []];
  const next = state.outbox.find(({ delivery }) => delivery === 'queued');
  return next ? [redeliver(state, next.id, 'sent'), [{ type: 'send', message: onTheWire(next) }]] : [state, []];
}

/**
 * A message, or an application's event. Those with a number are counted together, and replayed.
 *
 * @param {State} state @param {Spoken} message @returns {Step}
 */
export function heard(state, { type, id, reached, replay = false, ...said }) {
  const { seq } = said;
  // The timeline's count tells what was heard before: nothing is told twice, whatever is replayed.
  if (seq && replay && state.heard && state.heard.seq >= seq) return [state, []];
  // The application may speak with a player's name.
  const mine = sameName(said.from, state.name) && !said.system;
  const own = state.outbox.find((other) => other.id === id && mine);
  const next = seq ? counted(state, seq, replay) : state;
  const told = { ...tell(type, { ...said, mine, replay }), own, reached };
  if (!own) return [next, [told]];
  return [{
    ...next,
    outbox: next.outbox.filter((other) => other.id !== id),
    error: state.error?.about === 'message' ? null : state.error,
    refusals: 0,
  }, [told]];
}

/**
 * The replay has ended where its last message, or a later one, has come. It was whole if none is missing.
 *
 * @param {State} state @param {number} seq @param {boolean} replay @returns {State}
 */
function counted({ seat, heard, settling, ...state }, seq, replay) {
  const next = {
    ...state,
    settling,
    seat: seat && { ...seat, lastSeq: replay ? seq : Math.max(seat.lastSeq, seq) },
    heard: heard && { ...heard, seq: Math.max(heard.seq, seq) },
  };
  if (!settling) return next;
  const { until } = settling;
  const remaining = settling.remaining - (seq <= until ? 1 : 0);
  if (seq < until) return { ...next, settling: { ...settling, remaining } };
  return settle({ ...next, settling: { ...settling, sure: settling.sure && remaining === 0 } });
}

/**
 * One that was not in the replay did not arrive, if the replay was whole. What is for some only is in none.
 *
 * @param {State} state @returns {State}
 */
export function settle(state) {
  return { ...state, outbox: offTheWire(state.outbox, ({ to }) => Boolean(state.settling?.sure) && !to), settling: null };
}

/** What is on the wire may have arrived or not. @param {readonly Own[]} outbox */
export const unsure = (outbox) => offTheWire(outbox, () => false);

/** What was on the wire goes once more where that doubles nothing. @param {readonly Own[]} outbox @param {(own: Own) => boolean} again @returns {Own[]} */
function offTheWire(outbox, again) {
  return outbox.filter(({ discarded }) => !discarded).map((own) => {
    if (own.delivery !== 'sent') return own;
    return again(own) ? { ...own, delivery: 'queued' } : { ...own, ...UNSURE };
  });
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
 * Too fast: what was refused goes out by itself after the server's time, and later each time that this was too early. Where it was none of the
 * outbox, who is there tells what is missing.
 *
 * @param {State} state @param {Own | undefined} own @param {ServerError} error @param {Env} env @returns {Step}
 */
export function rest(state, own, { retry_after_ms: atLeastMs = 0 }, env) {
  const ms = Math.max(atLeastMs, delay(state.refusals, env.random));
  const next = { ...state, resting: true, refusals: state.refusals + 1, asksWho: state.asksWho || (!own && state.data !== undefined) };
  return [own ? { ...next, outbox: offTheWire(next.outbox, () => true) } : next, state.resting ? [] : [{ type: 'rest', ms }]];
}

/** One of one's own was refused. @param {State} state @param {Own} own @param {ServerError} error @returns {Step} */
export function unsent(state, own, { code, message }) {
  const next = redeliver(state, own.id, code === 'unavailable' ? 'unsure' : 'failed', code);
  return [{ ...next, error: { code, message, about: 'message' } }, []];
}

/** @param {State} state @param {number} id @param {Own['delivery']} delivery @param {string} [code] @returns {State} */
export function redeliver(state, id, delivery, code) {
  return { ...state, outbox: state.outbox.map((own) => (own.id === id ? { ...own, delivery, ...(code && { code }) } : own)) };
}
