// What the page knows of protocol v1: limits, names, room ids and what goes over the socket. Pure: no I/O.

export const SUBPROTOCOL = 'chatd.v1';
export const MAX_TEXT_BYTES = 4000;

const encoder = new TextEncoder();

// A link as people pass it on: its room follows `room=` or `/room/`, and ends where letters and digits do.
const LINKED = /(?:[?&;]room=|\/room\/)[^\p{L}\p{N}\s]*([a-z0-9]{8})(?![a-z0-9])/iu;
// Alone, with whatever punctuation came along.
const ALONE = /^[^\p{L}\p{N}]*([a-z0-9]{8})[^\p{L}\p{N}]*$/iu;

/**
 * The room id in what somebody typed, pasted or opened: an id in any case, an invite link, or a text with one in it. `null`
 * where there is none. The server reads links in the same way (web/invite.rs): tests/pages/links.json holds for both.
 */
export function roomFrom(input) {
  const text = decoded(input).replace(/\p{Cf}/gu, '');
  return (LINKED.exec(text) ?? ALONE.exec(text))?.[1].toLowerCase() ?? null;
}

// What is not percent-encoded stays as it is, such as a lone % in a sentence.
function decoded(text) {
  return text.replace(/(?:%[0-9a-f]{2})+/gi, (bytes) => {
    try {
      return decodeURIComponent(bytes);
    } catch {
      return bytes;
    }
  });
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
