// What is typed, and which keys send it: input methods, phone keyboards, pastes.

import assert from 'node:assert/strict';
import { after, afterEach, before, beforeEach, describe, test } from 'node:test';
import { isLineBreak, isSendingKey } from '../../web/composer.js';
import { Person, launch } from './support/browser.js';
import { startCluster } from './support/cluster.js';

let browser;
before(async () => {
  browser = await launch();
});
after(() => browser.close());

test('which key events and which input events send', () => {
  const enter = { key: 'Enter', isComposing: false, keyCode: 13 };
  assert.ok(isSendingKey(enter));
  for (const other of [{ isComposing: true }, { keyCode: 229 }, { shiftKey: true }, { key: 'Unidentified', keyCode: 229 }, { key: 'a', keyCode: 65 }]) {
    assert.ok(!isSendingKey({ ...enter, ...other }), JSON.stringify(other));
  }
  for (const [inputType, data] of [['insertLineBreak', null], ['insertParagraph', null], ['insertText', '\n'], ['insertCompositionText', 'word\n']]) {
    assert.ok(isLineBreak({ inputType, data }), inputType);
  }
  for (const [inputType, data] of [['insertText', 'a'], ['insertText', 'a\nb\n'], ['insertFromPaste', 'a\n'], ['insertFromDrop', '\n'], ['deleteContentBackward', null]]) {
    assert.ok(!isLineBreak({ inputType, data }), `${inputType} ${data}`);
  }
});

describe('writing', () => {
  let cluster;
  let ana;
  let room;
  let keyboard;
  beforeEach(async () => {
    cluster = await startCluster({ double: true });
    room = cluster.double.createRoom();
    ana = await Person.open(browser);
    await ana.join(cluster.double.url, room, 'ana');
    keyboard = await ana.context.newCDPSession(ana.page);
    await ana.page.focus('#draft');
  });
  afterEach(async () => {
    await ana.close();
    await cluster.stop();
  });

  const said = () => cluster.double.rooms.get(room).ring.map(({ text }) => text);
  const compose = (text) => keyboard.send('Input.imeSetComposition', { text, selectionStart: text.length, selectionEnd: text.length });
  const enter = async (windowsVirtualKeyCode) => {
    const key = { key: 'Enter', code: 'Enter', windowsVirtualKeyCode };
    await keyboard.send('Input.dispatchKeyEvent', { type: windowsVirtualKeyCode === 13 ? 'keyDown' : 'rawKeyDown', ...key });
    await keyboard.send('Input.dispatchKeyEvent', { type: 'keyUp', ...key });
  };

  test('the Enter that ends a composition sends nothing; the next one sends', async () => {
    await compose('にほん');
    await enter(229);
    await keyboard.send('Input.insertText', { text: '日本' });
    assert.equal(await ana.page.inputValue('#draft'), '日本');
    assert.deepEqual(said(), []);
    await ana.page.keyboard.press('Enter');
    await ana.hears('ana: 日本');
    assert.deepEqual(said(), ['日本']);
  });

  test('in Safari the composition ends before the key comes', async () => {
    await compose('にほん');
    await keyboard.send('Input.insertText', { text: '日本' });
    await enter(229);
    assert.equal(await ana.page.inputValue('#draft'), '日本');
    await ana.page.keyboard.press('Enter');
    await ana.hears('ana: 日本');
    assert.deepEqual(said(), ['日本']);
  });

  test('a phone keyboard’s line break sends, wherever it stands, and is in no message', async () => {
    await ana.page.keyboard.type('first');
    await ana.page.evaluate(() => document.execCommand('insertLineBreak'));
    await ana.hears('ana: first');
    await ana.page.keyboard.type('second');
    await ana.page.evaluate(() => document.getElementById('draft').setSelectionRange(3, 3));
    await keyboard.send('Input.insertText', { text: '\n' });
    await ana.hears('ana: second');
    // One that cannot be prevented, at the end of a composition.
    await compose('third\n');
    await ana.hears('ana: third');
    assert.equal(await ana.page.inputValue('#draft'), '');
    assert.deepEqual(said(), ['first', 'second', 'third']);
  });

  test('Shift and Enter, and a paste, keep lines and wait for Enter', async () => {
    await ana.page.evaluate(() => document.execCommand('insertText', false, 'one\ntwo\r\nthree'));
    await ana.page.evaluate(() => document.getElementById('draft').setSelectionRange(3, 3));
    await ana.page.keyboard.press('Shift+Enter');
    await ana.page.keyboard.type('x');
    assert.equal(await ana.page.inputValue('#draft'), 'one\nx\ntwo\nthree');
    assert.deepEqual(said(), []);
    await ana.page.keyboard.press('Enter');
    await ana.hears('ana: one\nx\ntwo\nthree');
    assert.deepEqual(said(), ['one\nx\ntwo\nthree']);
  });
});
