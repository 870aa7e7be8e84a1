// What the browser keeps, with a made-up store. No browser, no network.

import assert from 'node:assert/strict';
import { beforeEach, describe, test } from 'node:test';
import { forgetKey, loadKey, saveKey } from '../../web/storage.js';

const method = (value) => ({ value, enumerable: false });

beforeEach(() => {
  const store = {};
  globalThis.localStorage = Object.defineProperties(store, {
    getItem: method((name) => store[name] ?? null),
    setItem: method((name, value) => { store[name] = String(value); }),
    removeItem: method((name) => { delete store[name]; }),
  });
});

describe('the key of a room', () => {
  test('is 128 random bits, and another one for each room and browser', () => {
    const keys = [1, 2, 3].map(() => loadKey('abcd1234', 0));
    for (const key of keys) assert.match(key, /^[0-9a-f]{32}$/);
    assert.equal(new Set(keys).size, 3);
  });

  test('is kept for as long as a seat can be held, and swept out after that', () => {
    const key = loadKey('abcd1234', 0);
    saveKey('abcd1234', key, 30_000, 0);
    assert.equal(loadKey('abcd1234', 89_999), key);
    assert.notEqual(loadKey('efgh5678', 0), key);
    assert.notEqual(loadKey('abcd1234', 90_000), key);
    assert.deepEqual(Object.keys(localStorage), []);
  });

  test('goes with the seat, and where nothing can be kept there is one all the same', () => {
    saveKey('abcd1234', 'x', 30_000, 0);
    forgetKey('abcd1234');
    assert.deepEqual(Object.keys(localStorage), []);
    localStorage.setItem('chatd.key.v1.abcd1234', 'rubbish');
    assert.match(loadKey('abcd1234', 0), /^[0-9a-f]{32}$/);
    delete globalThis.localStorage;
    assert.match(loadKey('abcd1234', 0), /^[0-9a-f]{32}$/);
  });
});
