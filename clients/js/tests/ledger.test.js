// The ledger notices what it is there for.

import assert from 'node:assert/strict';
import { test } from 'node:test';
import { judge, judgeWhispers } from './ledger.js';

const said = (...deliveries) => deliveries.map((delivery, n) => ({ from: 'ana', text: `${n}`, delivery }));
const log = (...texts) => texts.map((text) => (typeof text === 'string' ? ['message', { text }] : ['gap', { count: text }]));
const both = (own, others) => [{ name: 'ana', log: log(...own) }, { name: 'bob', log: log(...others) }];

test('what is as it should be passes, gaps included', () => {
  assert.deepEqual(judge(said('delivered', 'unsure', 'failed'), both(['0', '1'], ['0', '1']), ''), { delivered: 1, unsure: 1, failed: 1, inGaps: 0 });
  for (const gap of [null, 1]) {
    assert.equal(judge(said('delivered', 'delivered', 'delivered'), both(['0', '1', '2'], ['0', gap, '2']), '').inGaps, 1);
  }
});

test('events are judged with the messages', () => {
  const event = (text) => ['event', { data: { text }, seq: 1 }];
  const hearers = (own, others) => [{ name: 'ana', log: own }, { name: 'bob', log: others }];
  judge(said('delivered'), hearers([event('0')], [event('0')]), '');
  assert.throws(() => judge(said('delivered'), hearers([event('0')], []), ''), /lost/);
  assert.throws(() => judge(said('delivered'), hearers([event('0')], [event('0'), event('0')]), ''), /twice/);
});

test('an event for one that comes twice, to others, or after all does not pass; a lost one is counted', () => {
  const whisper = (delivery, own, others, third = 0) => judgeWhispers(
    [{ from: 'ana', to: 'bob', text: 'x', delivery, reached: ['bob'] }],
    Object.entries({ ana: own, bob: others, carl: third }).map(([name, times]) => ({ name, log: Array(times).fill(['event', { data: 'x', to: ['bob'] }]) })), '',
  );
  assert.deepEqual(whisper('delivered', 1, 1), { sent: 1, delivered: 1, lost: 0 });
  assert.equal(whisper('delivered', 1, 0).lost, 1);
  whisper('unsure', 0, 1);
  for (const wrong of [['delivered', 0, 1], ['delivered', 1, 2], ['delivered', 1, 1, 1], ['failed', 0, 1], ['unsure', 2, 0]]) assert.throws(() => whisper(...wrong));
});

test('a loss, a double, another order, and a failure that was heard do not pass', () => {
  const three = said('delivered', 'delivered', 'delivered');
  for (const [why, messages, hearers] of [
    [/lost/, three, both(['0', '1', '2'], ['0', '2'])],
    [/lost/, three, both(['0', '1', '2'], ['0', '2', null])],
    [/lost/, three, both(['0', '1', '2'], [null, '0', '2'])],
    [/not heard by its sender/, three, both(['0', null, '2'], ['0', '1', '2'])],
    [/twice/, three, both(['0', '1', '2'], ['0', '1', '1', '2'])],
    [/another order/, three, both(['0', '1', '2'], ['0', '2', '1'])],
    [/2 are missing at bob, who was told of 1/, said('delivered', 'delivered', 'delivered', 'delivered'), both(['0', '1', '2', '3'], ['0', 1, '3'])],
    [/was heard/, said('failed'), both(['0'], [])],
  ]) assert.throws(() => judge(messages, hearers, ''), why);
});
