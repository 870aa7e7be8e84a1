// What the page knows of protocol v1: limits, names, room ids and what goes over the socket. Pure: no I/O.

export const SUBPROTOCOL = 'chatd.v1';
export const MAX_TEXT_BYTES = 4000;

const encoder = new TextEncoder();

/** The room id in what somebody typed or pasted: an id in any case, or an invite link. `null` where there is none. */
export function roomFrom(input) {
  const text = input.trim();
  const linked = /[?&]room=([A-Za-z0-9]+)/.exec(text);
  const room = (linked ? linked[1] : text).toLowerCase();
  return /^[a-z0-9]{8}$/.test(room) ? room : null;
}

/** A name as the server takes it, or `null`. */
export function nameFrom(input) {
  const name = input.trim();
  return /^[A-Za-z0-9_-]{1,24}$/.test(name) ? name : null;
}

/** Names are compared in lower case. */
export function sameName(one, other) {
  return one.toLowerCase() === other.toLowerCase();
}

export function byteLength(text) {
  return encoder.encode(text).length;
}

/** Why this text cannot be sent, as an error code, or `null`. The server has the last word on what is visible. */
export function textProblem(text) {
  if (text.trim() === '') return 'bad_text';
  return byteLength(text) > MAX_TEXT_BYTES ? 'text_too_long' : null;
}

/**
 * The first message of a connection: back into the held seat where there is one, else a new one. With the same `key` JOIN finds the
 * seat of a JOIN whose answer was lost, or of a tab that was closed.
 */
export function entry(room, name, seat, key) {
  // A page has one address, whichever pod answers there: it always asks to be relayed.
  if (!seat) return { type: 'join', room, name, resumable: true, on_wrong_pod: 'relay', ...(key && { key }) };
  const { token, timeline, lastSeq } = seat;
  return { type: 'resume', room, token, timeline, last_seq: lastSeq, on_wrong_pod: 'relay' };
}

/** A server's message, or `null` where it is not one: the caller ignores what it doesn't know. */
export function parse(data) {
  try {
    const message = JSON.parse(data);
    return message !== null && typeof message.type === 'string' ? message : null;
  } catch {
    return null;
  }
}
