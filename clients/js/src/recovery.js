// What follows from a close, a refused upgrade or a refused join: stop, ask, or try again and when. Pure: no I/O.

/** @import { Answer, Outcome, ServerError } from '../internal.js' */

const FIRST_MS = 400;
// A held seat waits 30 s: several tries fit into that, also after a takeover has made the first ones fail.
const LONGEST_MS = 5000;

/**
 * How long to wait before try number `attempt`: doubling, and spread so that a room's players don't return in step.
 *
 * @param {number} attempt @param {number} random
 */
export function delay(attempt, random) {
  return Math.min(LONGEST_MS, FIRST_MS * 2 ** Math.min(attempt, 10)) * (0.5 + random / 2);
}

/** A connection that had been open was closed with this WebSocket code. @param {number} code @returns {Outcome} */
export function outcomeOfClose(code) {
  // Another page took the seat: coming back would take it from there, and so on without end.
  if (code === 4001) return { act: 'stop', code: 'replaced' };
  if (code === 1012) return { act: 'reconnect', atOnce: true };
  // A flood or too many misses: coming back at once would only be closed again.
  if (code === 1008) return { act: 'reconnect', atLeastMs: 2000 };
  return { act: 'reconnect' };
}

/**
 * The upgrade was refused, which a script cannot see: this is what the room's own address answered.
 *
 * @param {Answer} answer @returns {Outcome}
 */
export function outcomeOfProbe({ status, code, sentence, retryAfterMs }) {
  if (status === 404 || status === 400) return { act: 'stop', code: code ?? 'room_not_found', sentence };
  if (status === 403 || status === 421) return { act: 'stop', code: code ?? 'bad_origin', sentence };
  if (status === 200) return { act: 'reconnect', code: 'refused' };
  return { act: 'reconnect', code: code ?? 'unreachable', sentence, atLeastMs: retryAfterMs };
}

/**
 * A join or resume was answered with an error.
 *
 * @param {ServerError} error @param {boolean} hadSeat @returns {Outcome}
 */
export function outcomeOfJoinError({ code, message: sentence, retry_after_ms: atLeastMs }, hadSeat) {
  switch (code) {
    case 'bad_token': return hadSeat ? { act: 'rejoin' } : { act: 'stop', code, sentence };
    case 'bad_name':
    case 'name_taken': return { act: 'ask', code, sentence };
    case 'already_in_room':
    case 'not_in_room':
    case 'rate_limited':
    case 'unavailable':
    case 'shutting_down':
    case 'moved':
    case 'overloaded':
    case 'too_many_connections':
    case 'too_many_from_address': return { act: 'reconnect', code, sentence, atLeastMs };
    default: return { act: 'stop', code, sentence };
  }
}
