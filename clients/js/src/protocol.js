// What a client knows of protocol v1: limits, and what goes over the socket. Pure: no I/O.

/** @import { ServerMessage, State } from '../internal.js' */

export const SUBPROTOCOL = 'chatd.v1';
export const MAX_TEXT_BYTES = 4000;

const encoder = new TextEncoder();

/** Names are compared without case, and as the server normalises them. @param {string} one @param {string | null} other */
export function sameName(one, other) {
  return compared(one) === compared(other);
}

/** @param {string | null} name */
function compared(name) {
  return name?.toLowerCase().normalize('NFKC');
}

/** @param {string} text */
export function byteLength(text) {
  return encoder.encode(text).length;
}

/**
 * Why this text cannot be sent, as an error code, or `null`. The server has the last word on what is visible.
 *
 * @param {string} text
 */
export function textProblem(text) {
  if (text.trim() === '') return 'bad_text';
  return byteLength(text) > MAX_TEXT_BYTES ? 'text_too_long' : null;
}

/**
 * The first message of a connection: back into the held seat where there is one, else a new one. With the same `key` JOIN finds the
 * seat of a JOIN whose answer was lost, or of a tab that was closed.
 *
 * @param {State} state
 */
export function entry({ room, name, seat, key, auth }) {
  // A client has one address, whichever pod answers there: it always asks to be relayed.
  const relayed = { room, on_wrong_pod: 'relay' };
  if (!seat) return { type: 'join', ...relayed, name, resumable: true, ...(key && { key }), ...(auth && { auth }) };
  const { token, timeline, lastSeq } = seat;
  return { type: 'resume', ...relayed, token, timeline, last_seq: lastSeq };
}

/**
 * A server's message, or `null` where it is not one: the caller ignores what it doesn't know.
 *
 * @param {string} data @returns {ServerMessage | null}
 */
export function parse(data) {
  try {
    const message = JSON.parse(data);
    return message !== null && typeof message.type === 'string' ? message : null;
  } catch {
    return null;
  }
}
