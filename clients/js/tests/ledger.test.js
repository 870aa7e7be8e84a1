// The ledger notices what it is there for.

import assert from 'node:assert/strict';
import { test } from 'node:test';
import { judge } from './ledger.js';

const said = (...deliveries) => deliveries.map((delivery, n) => ({ from: 'ana', text: `${n}`, delivery }));
const log = (...texts) => texts.map((text) => (typeof text === 'string' ? ['message', { text }] : ['gap', { count: text }]));
const both = (own, others) => [{ name: 'ana', log: log(...own) }, { name: 'bob', log: log(...others) }];

test('what is as it should be passes, gaps included', () => {
  assert.deepEqual(judge(said('delivered', 'unsure', 'failed'), both(['0', '1'], ['0', '1']), ''), { delivered: 1, unsure: 1, failed: 1, inGaps: 0 });
  for (const gap of [null, 1]) {
    assert.equal(judge(said('delivered', 'delivered', 'delivered'), both(['0', '1', '2'], ['0', gap, '2']), '').inGaps, 1);
  }
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
