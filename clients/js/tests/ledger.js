// Judges what was said against what everybody heard. Pure: no I/O.

import assert from 'node:assert/strict';

/**
 * `said`: `{from, text, delivery}`, in the order of each sender; `hearers`: `{name, log}` with `['message', {text}]`, `['event', {data: {text}, seq}]`
 * and `['gap', {count}]`, all of whom were there all the time. Gives how many were delivered, unsure and failed, and for how many hearers one stood in a gap that they were told of.
 */
export function judge(said, hearers, where) {
  const figures = { delivered: 0, unsure: 0, failed: 0, inGaps: 0 };
  const heard = hearers.map(({ name, log }) => ({ name, ...indexed(log, `${where}: ${name}`) }));
  said.forEach((entry, index) => {
    const { from, text, delivery } = entry;
    figures[delivery] += 1;
    for (const { name, at, gaps } of heard) {
      const what = `${where}: ${delivery} “${text}” at ${name}`;
      if (delivery === 'failed') assert.ok(!at.has(text), `${what} was heard`);
      if (delivery !== 'delivered' || at.has(text)) continue;
      assert.notEqual(name, from, `${what} was not heard by its sender`);
      const before = neighbour(said, index, -1, from, at) ?? -1;
      const after = neighbour(said, index, 1, from, at) ?? Infinity;
      assert.ok(gaps.some((gap) => before < gap && gap < after), `${what} is lost: no gap was told`);
      figures.inGaps += 1;
    }
  });
  const all = new Set(heard.flatMap(({ at }) => [...at.keys()]));
  for (const { name, at, counts } of heard) {
    const told = counts.reduce((sum, count) => sum + (count ?? Infinity), 0);
    assert.ok(all.size - at.size <= told, `${where}: ${all.size - at.size} are missing at ${name}, who was told of ${told}`);
  }
  for (const one of heard) for (const other of heard) sameOrder(one, other, where);
  return figures;
}

/** Where each text stands in a log, once; and where its gaps are. */
function indexed(log, where) {
  const at = new Map();
  const gaps = [];
  const counts = [];
  log.forEach(([type, about], index) => {
    if (type === 'gap') {
      gaps.push(index);
      counts.push(about.count);
    }
    if (type !== 'message' && !(type === 'event' && about.seq)) return;
    const text = about.text ?? about.data.text;
    assert.ok(!at.has(text), `${where} heard “${text}” twice`);
    at.set(text, index);
  });
  return { at, gaps, counts };
}

/**
 * Events for one: `sent`: `{from, to, text, delivery, reached}`. Each is heard at most once, by its sender and whom it is for and by nobody else, and never where
 * it has failed; its sender has heard what was delivered. What reached a connection may be lost with it: gives how many were.
 */
export function judgeWhispers(sent, hearers, where) {
  let lost = 0;
  for (const { from, to, text, delivery, reached } of sent) {
    for (const { name, log } of hearers) {
      const times = log.filter(([type, about]) => type === 'event' && !about.seq && about.data === text).length;
      const what = `${where}: ${delivery} “${text}” at ${name}, ${times} times`;
      assert.ok(times <= (name === from || name === to ? 1 : 0) && !(delivery === 'failed' && times > 0), what);
      if (delivery !== 'delivered') continue;
      if (name === from) assert.equal(times, 1, what);
      if (name === to && times === 0 && reached.includes(to)) lost += 1;
    }
  }
  return { sent: sent.length, delivered: sent.filter(({ delivery }) => delivery === 'delivered').length, lost };
}

/** Where the sender's message before or after this one, that was heard here, stands. */
function neighbour(said, index, step, from, at) {
  for (let other = index + step; said[other]; other += step) {
    if (said[other].from === from && at.has(said[other].text)) return at.get(said[other].text);
  }
  return undefined;
}

function sameOrder(one, other, where) {
  let last = -1;
  for (const text of one.at.keys()) {
    if (!other.at.has(text)) continue;
    assert.ok(other.at.get(text) > last, `${where}: ${one.name} and ${other.name} heard “${text}” in another order`);
    last = other.at.get(text);
  }
}
