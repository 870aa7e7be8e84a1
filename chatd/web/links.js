// Which parts of a message are links. Pure: no I/O.

// Neither spaces, nor what encloses a link, nor characters that draw nothing.
const LINK = /\bhttps?:\/\/[^\s<>"`\p{Cf}]+/giu;
const TRAILING = new Set(".,;:!?'*_~…。、，．！？：；’”»）」』】〉》");
const PAIRS = { ')': '(', ']': '[', '}': '{' };

/** A message as `{text, href?}` in its order: http and https only, and nothing that shows one host and goes to another. */
export function partsOf(message) {
  const parts = [];
  let end = 0;
  for (const match of message.matchAll(LINK)) {
    const text = withoutTrailing(match[0]);
    const href = target(text);
    if (!href) continue;
    if (match.index > end) parts.push({ text: message.slice(end, match.index) });
    parts.push({ text, href });
    end = match.index + text.length;
  }
  if (end < message.length) parts.push({ text: message.slice(end) });
  return parts;
}

// What ends a sentence belongs to it, and a bracket that was not opened in the link too. In one pass: anybody may send thousands.
function withoutTrailing(text) {
  const counts = {};
  for (const character of text) counts[character] = (counts[character] ?? 0) + 1;
  let end = text.length;
  for (;;) {
    const last = text[end - 1];
    const isAlone = last in PAIRS && counts[last] > (counts[PAIRS[last]] ?? 0);
    if (!isAlone && !TRAILING.has(last)) return text.slice(0, end);
    counts[last] -= 1;
    end -= 1;
  }
}

function target(text) {
  const url = URL.canParse(text) ? new URL(text) : null;
  const isPlain = url && ['http:', 'https:'].includes(url.protocol) && !url.username && !url.password;
  return isPlain ? url.href : null;
}
