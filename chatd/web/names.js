// What people type, paste or open: names of players, and rooms. Pure: no I/O.

// A link as people pass it on: its room follows `room=` or `/room/`, and ends with the last letter or digit of it: not before another one, nor
// before a Latin letter that no room has, nor before what makes it the name of a field.
const LINKED = /(?:[?&;]room=|\/room\/)[^\p{L}\p{N}\s]*([a-z0-9](?:[a-z0-9._-]{0,62}[a-z0-9])?)(?![._-]*[a-z0-9\u{c0}-\u{24f}]|=)/iu;
// Alone, with whatever punctuation came along.
const ALONE = /^[^\p{L}\p{N}]*([a-z0-9](?:[a-z0-9._-]{0,62}[a-z0-9])?)[^\p{L}\p{N}]*$/iu;

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

/**
 * A name as the server most likely takes it, or `null`: letters, digits and marks of any script and four signs, 1 to 24 characters as people
 * count them, 64 bytes. The server knows more rules (docs/protocol.md, Names, rooms and text), and answers `bad_name` by them.
 */
export function nameFrom(input) {
  const name = input.trim().normalize('NFKC');
  const fits = /^[\p{L}\p{Nd}_.'-][\p{L}\p{M}\p{Nd}_.'-]*$/u.test(name) && new TextEncoder().encode(name).length <= 64;
  return fits && characters(name) <= 24 ? name : null;
}

function characters(text) {
  return [...new Intl.Segmenter(undefined, { granularity: 'grapheme' }).segment(text)].length;
}
