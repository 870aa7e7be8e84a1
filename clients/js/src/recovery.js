// What follows from a close, a refused upgrade or a refused join: stop, ask, or try again and when. Pure: no I/O.

/** @import { Answer, Outcome, ServerError, State } from '../internal.js' */

const FIRST_MS = 400;
// A held seat waits 30 s: several tries fit into that, also after a takeover has made the first ones fail.
const LONGEST_MS = 5000;

/**
 * How long to wait before try number `attempt`: doubling, and spread so that a room's players don't return in step.
 *
 * @param {number} attempt @param {number} random
 */
export function delay(attempt, random) {
  return Math.min(LONGEST_MS, FIRST_MS * 2 ** attempt) * (0.5 + random / 2);
}

/** By WebSocket code; after any other close it comes back with the usual pause. @type {Record<number, Outcome>} */
const CLOSES = {
  // A flood or too many misses: coming back at once would only be closed again.
  1008: { act: 'reconnect', atLeastMs: 2000 },
  1012: { act: 'reconnect', atOnce: true },
  // Another page took the seat: coming back would take it from there, and so on without end.
  4001: { act: 'stop', code: 'replaced' },
};

/** A connection that had been open was closed with this WebSocket code. @param {number} code @returns {Outcome} */
export const outcomeOfClose = (code) => CLOSES[code] ?? { act: 'reconnect' };

/**
 * The upgrade was refused, which a script cannot see: this is what the room's own address answered. It hides rooms from those who show no
 * join token, as a probe does not.
 *
 * @param {Answer} answer @param {{auth?: string | undefined, asksAuth?: boolean}} state @returns {Outcome}
 */
export function outcomeOfProbe({ status, code, message, atLeastMs }, { auth, asksAuth }) {
  if (status === 400 || (status === 404 && !auth && !asksAuth)) return { act: 'stop', code: code ?? 'room_not_found', message };
  if (status === 403 || status === 421) return { act: 'stop', code: code ?? 'bad_origin', message };
  // The room's address says what it may: the upgrade was refused for another reason, which nothing tells.
  if (status === 200 || status === 401) return { act: 'reconnect', code: 'refused' };
  return { act: 'reconnect', code: code ?? 'unreachable', message: code && message, atLeastMs };
}

/** Errors that pass, where a join or resume is tried again. */
export const PASSING = [
  'already_in_room', 'not_in_room', 'rate_limited', 'unavailable', 'shutting_down', 'moved', 'overloaded', 'too_many_connections', 'too_many_from_address',
];

/**
 * A join or resume was answered with an error.
 *
 * @param {ServerError} error @param {State} state @returns {Outcome}
 */
export function outcomeOfJoinError({ code, message, retry_after_ms: atLeastMs }, { seat, asksAuth, authRefused }) {
  // The application may have a better token; it is not asked for ever.
  const mayRejoin = isAboutAuth(code) ? asksAuth && !authRefused : code === 'bad_token' && seat;
  if (mayRejoin) return { act: 'rejoin' };
  return { act: PASSING.includes(code) ? 'reconnect' : 'stop', code, message, atLeastMs };
}

/** auth_required, auth_invalid, auth_expired. @param {string} code */
export const isAboutAuth = (code) => code.startsWith('auth_');
