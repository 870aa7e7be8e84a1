// The pure parts of the pages: what a session makes of each event. No browser, no network.

import assert from 'node:assert/strict';
import { readFile } from 'node:fs/promises';
import { describe, test } from 'node:test';
import { withDays } from '../../web/days.js';
import { partsOf } from '../../web/links.js';
import { byteLength, parse, sameName, textProblem } from '../../web/client/protocol.js';
import { delay, outcomeOfProbe } from '../../web/client/recovery.js';
import { MAX_OUTBOX } from '../../web/client/talk.js';
import { nameOf } from '../../web/moderation.js';
import { nameFrom, roomFrom } from '../../web/names.js';
import { MAX_ITEMS, connectionStatus, create, reduce, toKeep } from '../../web/visit.js';
import { errorWords, noteWords } from '../../web/words.js';

const ENV = { now: 1_000_000, random: 0.5 };
const JOINED = {
  type: 'joined', room: 'abcd1234', name: 'ana', players: [{ name: 'ana', away: false }], max_players: 4,
  timeline: 't1', seq: 10, resumed: false, missed: 0, token: 'secret', hold_ms: 30_000,
};

/** A session that events are fed to, with all effects that came of them. */
function session(options = {}) {
  let state = create({ room: 'abcd1234', name: 'ana', kept: null, firstId: 100, ...options });
  const effects = [];
  return {
    effects,
    get state() { return state; },
    feed(...events) {
      effects.length = 0;
      for (const event of events) {
        const [next, more] = reduce(state, event, ENV);
        state = next;
        effects.push(...more);
      }
      return this;
    },
    receive(...messages) {
      return this.feed(...messages.map((message) => ({ type: 'received', message })));
    },
    kinds() { return effects.map(({ type }) => type); },
    sent() { return effects.filter(({ type }) => type === 'send').map(({ message }) => message); },
  };
}

const seated = (options) => session(options).feed({ type: 'begin' }, { type: 'opened' }).receive(JOINED);
const message = (seq, text, more = {}) => ({ type: 'message', from: 'bob', text, seq, at: 5, ...more });
const dropped = { type: 'closed', code: 1006, opened: true };
const back = [{ type: 'due' }, { type: 'opened' }];

describe('protocol', () => {
  test('a room is taken from an id in any case, and from a link with whatever came along', async () => {
    const table = JSON.parse(await readFile(new URL('./links.json', import.meta.url), 'utf8'));
    for (const text of [...table.codes, ...table.links]) assert.equal(roomFrom(text), table.room, text);
    for (const [room, links] of Object.entries(table.chosen)) for (const text of links) assert.equal(roomFrom(text), room, text);
    for (const text of table.opensNothing) assert.equal(roomFrom(text), null, text);
  });

  test('names are equal without case, and however they are composed', () => {
    for (const [one, other] of [['José', 'JOSE\u0301'], ['Анна', 'АННА'], ['hana', 'Ｈana'], ['花子', '花子']]) assert.ok(sameName(one, other), one);
    for (const [one, other] of [['José', 'Jose'], ['alice', 'аlice'], ['花子', '花']]) assert.ok(!sameName(one, other), one);
  });

  test('names and texts are checked as the protocol says', () => {
    assert.equal(nameFrom(' Ana_-9 '), 'Ana_-9');
    for (const wrong of ['', 'a b', 'a😀', '\u0301a', 'x'.repeat(25), '花'.repeat(22)]) assert.equal(nameFrom(wrong), null);
    for (const name of ['José', '花子', 'Анна', "O'Neil", 'é'.repeat(24)]) assert.equal(nameFrom(name), name);
    assert.equal(nameFrom('Jose\u0301'), 'José');
    assert.equal(byteLength('é€😀'), 2 + 3 + 4);
    assert.equal(textProblem('é'.repeat(2000)), null);
    assert.equal(textProblem(`${'é'.repeat(2000)}x`), 'text_too_long');
    assert.equal(textProblem(' \t '), 'bad_text');
  });

  test('what is no message is nothing', () => {
    for (const rubbish of ['', 'null', '[]', '{"type":1}', '{', '7']) assert.equal(parse(rubbish), null);
  });
});

describe('links', () => {
  const shown = (text) => partsOf(text).map(({ text: words, href }) => (href ? [words, href] : words));

  test('http and https are links, and what stands around them is not', () => {
    assert.deepEqual(shown('see https://a.example/x?y=1#z, or not'), ['see ', ['https://a.example/x?y=1#z', 'https://a.example/x?y=1#z'], ', or not']);
    assert.deepEqual(shown('(HTTP://a.example/b_(c)).'), ['(', ['HTTP://a.example/b_(c)', 'http://a.example/b_(c)'], ').']);
    assert.deepEqual(shown('http://a.example http://b.example。'), [['http://a.example', 'http://a.example/'], ' ', ['http://b.example', 'http://b.example/'], '。']);
    assert.deepEqual(shown('<https://пример.example/>'), ['<', ['https://пример.example/', 'https://xn--e1afmkfd.example/'], '>']);
    for (const text of ['a\u200bhttp://', 'https://', 'nothing', 'javascript:alert(1)', 'ftp://a.example', 'data:text/html,x', 'xhttp://a.example', 'https://bank.example@evil.example/', 'https://a:b@c.example', 'http://[', 'http://a.example:99999', '']) {
      assert.deepEqual(shown(text).filter(Array.isArray), [], text);
    }
  });

  // Far longer than a message may be: work that grows with the square of it would not end.
  test('no text is lost, and one is taken apart in one pass', () => {
    for (const text of [`https://a.example/${')'.repeat(300_000)}`, `https://a.example/${'.'.repeat(300_000)}`, 'http://a.example/ '.repeat(20_000), '(['.repeat(200_000), 'https://'.repeat(500)]) {
      assert.equal(partsOf(text).map(({ text: words }) => words).join(''), text);
    }
  });
});

test('days are marked where they begin, and today needs no mark', () => {
  const at = (day, hour) => new Date(2026, 10, day, hour).getTime();
  const rows = (...times) => withDays(times.map((time, key) => ({ key, at: time })), at(24, 12)).map(({ kind, key }) => kind ?? key);
  assert.deepEqual(rows(at(24, 1), at(24, 11)), [0, 1]);
  assert.deepEqual(rows(at(22, 23), at(23, 0), at(23, 23), at(24, 0)), ['day', 0, 'day', 1, 2, 'day', 3]);
  assert.deepEqual(rows(), []);
});

describe('words', () => {
  test('every error code of the server has its own', async () => {
    const source = await readFile(new URL('../../src/protocol/error.rs', import.meta.url), 'utf8');
    const codes = [...source.matchAll(/ErrorCode::\w+ => "([a-z_]+)"/g)].map(([, code]) => code);
    const http = ['bad_request', 'bad_origin', 'bad_host', 'not_found', 'method_not_allowed', 'too_large'];
    const [, all] = source.match(/ALL: \[ErrorCode; (\d+)\]/);
    assert.equal(codes.length, Number(all), 'codes found in the source');
    const words = [...codes, ...http].map((code) => errorWords(code, 'fallback'));
    assert.ok(!words.includes('fallback'), `no words for ${[...codes, ...http][words.indexOf('fallback')]}`);
    assert.equal(new Set(words).size, words.length, 'two codes share their words');
  });

  test('a code from the future is explained by the server, and a name like a method is no code', () => {
    assert.equal(errorWords('brand_new', 'The server says so.'), 'The server says so.');
    assert.equal(errorWords('toString'), 'Something went wrong. Try again.');
  });

  test('how many messages are missing is said', () => {
    assert.match(noteWords({ code: 'gap', count: 1 }), /^One message/);
    assert.match(noteWords({ code: 'gap', count: 7 }), /^7 messages/);
    assert.match(noteWords({ code: 'gap', count: null }), /may be/);
  });
});

describe('joining', () => {
  test('without a name it asks, and with one it joins for a held seat, always by relay', () => {
    const it = session({ name: null }).feed({ type: 'begin' });
    assert.deepEqual([it.state.phase, it.kinds()], ['looking', ['look']]);
    it.feed({ type: 'looked', status: 200, players: 1, max_players: 4, names: ['bob'] });
    assert.deepEqual([it.state.phase, it.state.present], ['asking', { names: ['bob'], count: 1, maxPlayers: 4 }]);
    it.feed({ type: 'named', name: 'ana' });
    assert.deepEqual(it.kinds(), ['connect']);
    it.feed({ type: 'opened' });
    const join = { type: 'join', room: 'abcd1234', name: 'ana', resumable: true, on_wrong_pod: 'relay' };
    assert.deepEqual(it.sent(), [join]);
    const keyed = session({ key: 'k'.repeat(32) }).feed({ type: 'begin' }, { type: 'opened' });
    assert.deepEqual(keyed.sent(), [{ ...join, key: 'k'.repeat(32) }]);
    it.receive(JOINED);
    assert.equal(connectionStatus(it.state), 'connected');
    assert.deepEqual(it.state.seat, { token: 'secret', timeline: 't1', lastSeq: 10 });
  });

  test('a seat that the key has found is taken up where it is', () => {
    const it = session({ key: 'k'.repeat(32) }).feed({ type: 'begin' }, { type: 'opened' });
    const text = { ...message(12, 'said meanwhile'), replay: true };
    it.receive({ ...JOINED, seq: 12, resumed: true, missed: 3 }, text).receive(message(13, 'live'));
    assert.deepEqual(it.state.items.map(({ code, count, text: said }) => code ? [code, count] : said), [['gap', 3], 'said meanwhile', 'live']);
    assert.deepEqual([it.state.phase, it.state.settling, it.state.seat.lastSeq], ['joined', null, 13]);
    const lost = session({ key: 'k'.repeat(32) }).feed({ type: 'begin' }, { type: 'opened' });
    lost.receive({ ...JOINED, resumed: true, missed: null });
    assert.deepEqual(lost.state.items, [], 'nothing of the room was here before');
  });

  test('a room that is full or unknown says so before a name is asked for, and is looked at again', () => {
    const full = { type: 'looked', status: 200, players: 4, max_players: 4, names: ['a', 'b', 'c', 'd'] };
    const it = session({ name: null }).feed({ type: 'begin' }, full);
    assert.deepEqual([it.state.phase, it.state.stop.code, it.state.present.names.length], ['stopped', 'room_full', 4]);
    assert.deepEqual(it.feed({ type: 'retry' }).kinds(), ['look']);
    assert.equal(it.feed({ ...full, players: 3 }).state.phase, 'asking');
    const own = session({ name: null, mayHaveSeat: true }).feed({ type: 'begin' }, full);
    assert.equal(own.state.phase, 'asking', 'one of those seats may be the own one');
    const unknown = session({ name: null }).feed({ type: 'begin' }, { type: 'looked', status: 404, code: 'room_not_found' });
    assert.deepEqual([unknown.state.phase, unknown.state.stop.code], ['stopped', 'room_not_found']);
    for (const status of [0, 429, 500, 503]) {
      assert.equal(session({ name: null }).feed({ type: 'begin' }, { type: 'looked', status }).state.phase, 'asking', 'joining will tell');
    }
    const late = seated();
    late.feed({ ...full, status: 404 });
    assert.equal(late.state.phase, 'joined', 'who is inside does not care');
  });

  for (const code of ['name_taken', 'bad_name']) {
    test(`${code} asks for another name`, () => {
      const it = session().feed({ type: 'begin' }, { type: 'opened' }).receive({ type: 'error', code });
      assert.deepEqual([it.state.phase, it.kinds().includes('look')], ['looking', true], 'who is there is known first');
      it.feed({ type: 'looked', status: 200, players: 1, max_players: 4, names: ['ana'] });
      assert.deepEqual([it.state.phase, it.state.error.code], ['asking', code]);
      it.feed({ type: 'named', name: 'bob' }, { type: 'opened' }).receive({ type: 'error', code });
      assert.deepEqual([it.state.phase, it.state.error.code], ['asking', code], 'the panel stays');
    });
  }

  for (const code of ['room_full', 'room_not_found', 'bad_room', 'some_day']) {
    test(`${code} stops, and the person may try again`, () => {
      const it = session().feed({ type: 'begin' }, { type: 'opened' }).receive({ type: 'error', code, message: 'Why.' });
      assert.equal(it.state.phase, 'stopped');
      assert.deepEqual(it.state.stop, { code, message: 'Why.' });
      assert.deepEqual(it.feed({ type: 'retry' }).kinds(), ['connect']);
    });
  }

  for (const code of ['unavailable', 'rate_limited', 'shutting_down', 'overloaded', 'too_many_connections', 'too_many_from_address']) {
    test(`${code} is tried again, not before the server's time`, () => {
      const refusal = { type: 'error', code, retry_after_ms: 9000 };
      const it = session().feed({ type: 'begin' }, { type: 'opened' }).receive(refusal);
      assert.equal(it.state.phase, 'waiting');
      assert.equal(it.state.error.code, code);
      assert.equal(it.effects.find(({ type }) => type === 'wait').ms, 9000);
    });
  }
});

describe('talking', () => {
  test('an own message is pending until its id comes back, then takes its place in the room’s order', () => {
    const it = seated().feed({ type: 'say', text: 'hi' });
    assert.deepEqual(it.sent(), [{ type: 'say', text: 'hi', id: 100 }]);
    assert.equal(it.state.outbox[0].delivery, 'sent');
    it.receive(message(11, 'first'), message(12, 'hi', { from: 'ana', id: 100 }));
    assert.deepEqual(it.state.items.map(({ text }) => text), ['first', 'hi']);
    assert.equal(it.state.outbox.length, 0);
    assert.equal(it.state.seat.lastSeq, 12);
  });

  test('an id is matched only where it comes from oneself', () => {
    const it = seated().feed({ type: 'say', text: 'hi' }).receive(message(11, 'mine', { id: 100 }));
    assert.equal(it.state.outbox.length, 1);
  });

  test('only what others say live is read out', () => {
    const it = seated().receive(message(11, 'live'), message(12, 'again', { replay: true }), message(13, 'own', { from: 'ANA' }));
    assert.deepEqual(it.effects.filter(({ type }) => type === 'announce').map(({ text }) => text), ['live']);
  });

  test('the others are told that one is typing, now and then, and what they type is no row', () => {
    const it = seated().feed({ type: 'typing' });
    assert.deepEqual(it.sent(), [], 'nobody is there');
    it.receive({ type: 'entered', name: 'bob' }).feed({ type: 'say', text: '' }, { type: 'typing' }, { type: 'typing' });
    assert.deepEqual(it.sent(), [{ type: 'send', kind: 'typing', data: true, volatile: true, id: 0 }]);
    assert.equal(it.state.error.code, 'bad_text', 'what is told stays');
    const event = { type: 'event', kind: 'typing', data: true, at: 5 };
    it.receive({ ...event, from: 'bob' }, { ...event, from: 'ana', id: 0 });
    assert.deepEqual([it.effects, it.state.items.length], [[{ type: 'typing', from: 'bob' }], 1]);
    assert.deepEqual(it.feed(dropped, { type: 'typing' }).sent(), []);
  });

  test('a refused message goes back; one that may have arrived asks', () => {
    const it = seated().feed({ type: 'say', text: 'one' }, { type: 'say', text: 'two' });
    assert.deepEqual(it.sent().map(({ text }) => text), ['one'], 'the next one waits for the answer');
    it.receive({ type: 'error', code: 'bad_text', id: 100 });
    assert.deepEqual(it.effects[0], { type: 'giveBack', id: 100, text: 'one' });
    it.receive({ type: 'error', code: 'unavailable', id: 101 });
    assert.deepEqual(it.state.outbox.map(({ delivery }) => delivery), ['failed', 'unsure']);
    assert.deepEqual(it.feed({ type: 'resend', id: 101 }).sent(), [{ type: 'say', text: 'two', id: 101 }]);
    assert.deepEqual(it.feed({ type: 'discard', id: 100 }).state.outbox.map(({ id }) => id), [101]);
  });

  test('what was too fast waits for the server’s time and goes by itself, before what was written after it', () => {
    const it = seated().feed({ type: 'say', text: 'one' }, { type: 'say', text: 'two' });
    const tooFast = { type: 'error', code: 'rate_limited', retry_after_ms: 1700, id: 100 };
    it.receive(tooFast);
    assert.deepEqual(it.effects, [{ type: 'rest', ms: 1700 }]);
    assert.deepEqual([it.state.error, it.state.outbox.map(({ delivery }) => delivery)], [null, ['queued', 'queued']]);
    assert.deepEqual(it.feed({ type: 'say', text: 'three' }).sent(), [], 'nothing before its time');
    assert.deepEqual(it.feed({ type: 'rested' }).sent().map(({ text }) => text), ['one']);
    for (let n = 0; n < 200; n += 1) {
      it.receive({ ...tooFast, retry_after_ms: 1 });
      if (n === 10) assert.ok(it.effects[0].ms >= 2500, 'a server that goes on refusing is asked less often');
      it.feed({ type: 'rested' });
    }
    for (const id of [100, 101, 102]) it.receive(message(id, 'x', { from: 'ana', id }));
    assert.deepEqual([it.state.outbox, it.state.refusals], [[], 0]);
  });

  test('a rest ends with the connection; a question of who is there that was too fast is asked again', () => {
    const it = seated().feed({ type: 'say', text: 'one' }).receive({ type: 'error', code: 'rate_limited', retry_after_ms: 900, id: 100 });
    it.feed(dropped, ...back).receive({ ...JOINED, resumed: true, seq: 10 });
    assert.deepEqual(it.sent().map(({ text }) => text), ['one'], 'after the resume, with the seat’s own rate');
    it.receive({ type: 'missed', count: 1 }, { type: 'error', code: 'rate_limited', retry_after_ms: 900 });
    assert.equal(it.state.error, null);
    assert.deepEqual(it.feed({ type: 'rested' }).sent(), [{ type: 'who' }]);
    it.receive({ type: 'players', players: [], max_players: 4 }, { type: 'error', code: 'rate_limited' });
    assert.deepEqual(it.feed({ type: 'rested' }).sent(), []);
  });

  test('texts over the limit and an overfull outbox are refused before they are sent', () => {
    const it = seated().feed({ type: 'say', text: 'x'.repeat(4001) });
    assert.deepEqual([it.kinds(), it.state.error.code], [[], 'text_too_long']);
    it.feed(dropped);
    for (let n = 0; n <= MAX_OUTBOX; n += 1) it.feed({ type: 'say', text: `${n}` });
    assert.deepEqual([it.state.outbox.length, it.state.error.code], [MAX_OUTBOX, 'outbox_full']);
  });

  test('the talk is kept up to its limit', () => {
    const it = seated();
    for (let n = 0; n < MAX_ITEMS + 50; n += 1) it.receive(message(11 + n, `${n}`));
    assert.equal(it.state.items.length, MAX_ITEMS);
    assert.equal(it.state.items.at(-1).text, `${MAX_ITEMS + 49}`);
  });

  test('players come, go, and are away', () => {
    const it = seated().receive({ type: 'entered', name: 'bob' }, { type: 'away', name: 'bob' });
    assert.deepEqual(it.state.players[1], { name: 'bob', away: true });
    it.receive({ type: 'back', name: 'bob' });
    assert.equal(it.state.players[1].away, false);
    it.receive({ type: 'exited', name: 'bob', reason: 'left' });
    assert.deepEqual(it.state.players.map(({ name }) => name), ['ana']);
    assert.deepEqual(it.state.items.map(({ code }) => code), ['entered', 'away', 'back', 'exited']);
  });

  test('a moderator locks and sends out; only a refusal of that is shown', () => {
    const auth = `x.${Buffer.from('{"role":"moderator","name":"ana"}').toString('base64url')}.y`;
    assert.deepEqual([nameOf(auth), nameOf('x.y.z'), nameOf(undefined)], ['ana', null, null]);
    const it = seated();
    assert.equal(it.state.moderates, false);
    it.receive({ type: 'players', players: [{ name: 'ana', away: false, role: 'moderator' }], max_players: 4 }).feed({ type: 'lock', locked: true }, { type: 'kick', name: 'bob', banSeconds: 600 });
    assert.deepEqual([it.state.moderates, it.sent()], [true, [{ type: 'lock', id: 100 }, { type: 'kick', name: 'bob', ban_s: 600, id: 101 }]]);
    it.receive({ type: 'error', code: 'unavailable', id: 99 });
    assert.equal(it.state.error, null);
    it.receive({ type: 'error', code: 'player_not_found', id: 101 }, { type: 'locked', by: 'eve' });
    assert.deepEqual([it.state.error.code, it.state.locked, it.state.items.at(-1).code, it.state.phase], ['player_not_found', true, 'locked', 'joined']);
    it.receive({ type: 'moved', timeline: 't1', seq: 10 });
    assert.equal(it.state.locked, false, 'it would say so');
    it.receive({ type: 'missed', count: 1, locked: true });
    assert.equal(it.state.locked, true);
    it.feed(dropped, { type: 'kick', name: 'bob', banSeconds: 0 });
    assert.deepEqual(it.sent(), [], 'nothing is kept for later');
  });

  test('what it does not know changes nothing', () => {
    const it = seated();
    const before = it.state;
    it.receive({ type: 'confetti' }, { type: 'pong' }, { type: 'redirect', room: 'abcd1234' });
    assert.equal(it.state, before);
  });
});

describe('coming back', () => {
  const resumed = (more) => ({ ...JOINED, resumed: true, token: undefined, ...more });

  test('a drop resumes with token, timeline and last seq', () => {
    const it = seated().receive(message(11, 'hi')).feed(dropped);
    assert.equal(it.state.phase, 'waiting');
    assert.deepEqual(it.feed(...back).sent(), [
      { type: 'resume', room: 'abcd1234', token: 'secret', timeline: 't1', last_seq: 11, on_wrong_pod: 'relay' },
    ]);
    it.receive(resumed({ seq: 11 }));
    assert.equal(it.state.seat.token, 'secret', 'a resume without a token keeps the old one');
  });

  test('a whole replay without the id: sent again, once, after the replay and before what was written since', () => {
    const it = seated().feed({ type: 'say', text: 'lost' }, dropped, { type: 'say', text: 'later' }, ...back);
    it.receive(resumed({ seq: 12 }));
    assert.deepEqual(it.sent(), [], 'nothing before the replay has ended');
    it.receive(message(11, 'a', { replay: true }));
    assert.deepEqual(it.sent(), []);
    it.receive(message(12, 'b', { replay: true }));
    assert.deepEqual(it.sent().map(({ text }) => text), ['lost']);
    it.receive(message(13, 'lost', { from: 'ana', id: 100 }));
    assert.deepEqual(it.sent().map(({ text }) => text), ['later']);
  });

  test('events of applications are counted with the messages, and a replay may end with one', () => {
    const event = (more) => ({ type: 'event', from: 'bob', kind: 'move', data: 1, at: 5, ...more });
    const it = seated().receive(event({ seq: 11 }), event({ to: ['ana'] }), event({})).feed({ type: 'say', text: 'lost' }, dropped, ...back);
    assert.equal(it.sent().find(({ type }) => type === 'resume').last_seq, 11);
    it.receive(resumed({ seq: 13 }), message(12, 'a', { replay: true }));
    assert.deepEqual(it.sent(), []);
    it.receive(event({ seq: 13, replay: true }));
    assert.deepEqual(it.sent().map(({ text }) => text), ['lost']);
    assert.deepEqual([it.state.seat.lastSeq, it.state.items.length], [13, 1]);
  });

  test('a replay with the id: delivered, not sent again', () => {
    const it = seated().feed({ type: 'say', text: 'there' }, dropped, ...back);
    it.receive(resumed({ seq: 11 }), message(11, 'there', { from: 'ana', id: 100, replay: true }));
    assert.deepEqual(it.sent(), []);
    assert.equal(it.state.outbox.length, 0);
  });

  for (const [what, more] of [['some missed', { missed: 3, seq: 13 }], ['nobody knows', { missed: null, seq: 2, timeline: 't2' }]]) {
    test(`${what}: the person is asked, and the gap is shown`, () => {
      const it = seated().feed({ type: 'say', text: 'hm' }, dropped, ...back).receive(resumed(more));
      assert.equal(it.state.outbox[0].delivery, 'unsure');
      assert.deepEqual(it.sent(), []);
      assert.equal(it.state.items.at(-1).code, 'gap');
      assert.equal(it.state.seat.lastSeq, more.seq);
    });
  }

  test('a seat that has ended is joined again', () => {
    const it = seated().feed({ type: 'say', text: 'hm' }, dropped, ...back).receive({ type: 'error', code: 'bad_token' });
    assert.equal(it.sent()[0].type, 'join');
    it.receive({ ...JOINED, token: 'other', timeline: 't2', seq: 40 });
    assert.equal(it.state.outbox[0].delivery, 'unsure');
    assert.equal(it.state.items.at(-1).code, 'rejoined');
    assert.deepEqual(it.state.seat, { token: 'other', timeline: 't2', lastSeq: 40 });
  });

  test('1012 comes back at once, but not in a tight circle', () => {
    const it = seated().feed({ ...dropped, code: 1012 });
    assert.equal(it.effects.find(({ type }) => type === 'wait').ms, 0);
    it.feed(...back, { ...dropped, code: 1012 });
    assert.ok(it.effects.find(({ type }) => type === 'wait').ms > 100);
  });

  test('who comes in is shown with what its join token says', () => {
    const it = seated().receive({ type: 'entered', name: 'bob', role: 'moderator', display: 'Bob B.', info: 1 }, { type: 'entered', name: 'eve' });
    assert.deepEqual(it.state.players.slice(1), [{ name: 'bob', away: false, role: 'moderator', display: 'Bob B.', info: 1 }, { name: 'eve', away: false }]);
    it.receive({ type: 'away', name: 'bob' });
    assert.equal(it.state.players[1].display, 'Bob B.');
  });

  test('who was sent out, or whose room has ended, does not come back by itself', () => {
    for (const [code, close] of [['kicked', 4003], ['closed', 4004]]) {
      const it = seated().receive({ type: 'error', code }, { type: 'bye', code }).feed({ ...dropped, code: close });
      assert.deepEqual([it.state.phase, it.state.stop.code], ['stopped', code]);
      assert.ok(!it.kinds().includes('wait'));
    }
  });

  test('a room that is hidden from who shows no join token is not taken for gone by who has one', () => {
    for (const [options, phase] of [[{}, 'stopped'], [{ auth: 'token' }, 'waiting'], [{ asksAuth: true }, 'waiting']]) {
      const it = session(options).feed({ type: 'begin' }, { type: 'closed', code: 1006, opened: false }, { type: 'probed', status: 404, code: 'room_not_found' });
      assert.equal(it.state.phase, phase, JSON.stringify(options));
    }
  });

  test('replaced does not come back by itself', () => {
    for (const end of [[{ type: 'received', message: { type: 'bye', code: 'replaced' } }, { ...dropped, code: 4001 }], [{ ...dropped, code: 4001 }]]) {
      const it = seated().feed(...end);
      assert.equal(it.state.stop.code, 'replaced');
      it.feed({ type: 'due' }, { type: 'woken' }, { type: 'network', online: true });
      assert.equal(it.state.phase, 'stopped');
      assert.deepEqual(it.kinds(), []);
    }
  });

  test('waits double and are spread, up to a limit', () => {
    assert.deepEqual([0, 1, 2].map((attempt) => delay(attempt, 1)), [400, 800, 1600]);
    assert.equal(delay(3, 0) * 2, delay(3, 1));
    assert.equal(delay(1000, 1), 5000);
  });

  test('a refused upgrade is explained by the probe', () => {
    const refusedBy = (answer) => session().feed({ type: 'begin' }, { type: 'closed', code: 1006, opened: false }, { type: 'probed', ...answer });
    assert.deepEqual(refusedBy({ status: 404, code: 'room_not_found' }).state.stop.code, 'room_not_found');
    assert.deepEqual(refusedBy({ status: 421, code: 'bad_host' }).state.stop.code, 'bad_host');
    assert.deepEqual(refusedBy({ status: 0 }).state.error.code, 'unreachable');
    assert.deepEqual(refusedBy({ status: 200 }).state.error.code, 'refused');
    const busy = refusedBy({ status: 503, code: 'too_many_connections', atLeastMs: 20_000 });
    assert.equal(busy.state.error.code, 'too_many_connections');
    assert.equal(busy.effects.find(({ type }) => type === 'wait').ms, 20_000);
    assert.equal(outcomeOfProbe({ status: 502 }, {}).act, 'reconnect');
  });

  test('moved keeps the count; a takeover starts the new one', () => {
    const it = seated().receive({ type: 'moved', room: 'abcd1234', timeline: 't1', seq: 15 });
    assert.deepEqual(it.state.seat, { token: 'secret', timeline: 't1', lastSeq: 10 });
    it.receive({ type: 'moved', room: 'abcd1234', timeline: 't9', seq: 3 });
    assert.deepEqual(it.state.seat, { token: 'secret', timeline: 't9', lastSeq: 3 });
  });

  test('a takeover makes what is under way unsure, and asks who is there', () => {
    const it = seated().feed({ type: 'say', text: 'hm' });
    it.receive({ type: 'moved', room: 'abcd1234', timeline: 't9', seq: 0 });
    assert.deepEqual(it.state.outbox.map(({ delivery }) => delivery), ['unsure']);
    assert.deepEqual(it.sent().at(-1), { type: 'who' });
    it.receive(message(1, 'hm', { from: 'ana', id: 100 }));
    assert.deepEqual(it.state.outbox, [], 'it came after all');
    it.receive({ type: 'missed', count: 2 });
    assert.deepEqual(it.sent(), [{ type: 'who' }], 'and where something was missed');
    it.feed(dropped, ...back);
    assert.equal(it.sent()[0].last_seq, 3, 'which is not asked for once more');
  });

  test('what a reload keeps is enough to go on, and is for that name only', () => {
    const kept = JSON.parse(JSON.stringify(toKeep(seated().receive(message(11, 'hi')).feed({ type: 'say', text: 'hm' }).state)));
    const it = session({ kept, name: null, firstId: 900 }).feed({ type: 'begin' }, { type: 'opened' });
    assert.equal(it.sent()[0].type, 'resume');
    it.receive(resumed({ seq: 11 }));
    assert.deepEqual(it.sent(), [{ type: 'say', text: 'hm', id: 100 }]);
    assert.equal(session({ kept, name: 'bob' }).feed({ type: 'begin' }, { type: 'opened' }).sent()[0].type, 'join');
  });

  test('offline is what nothing is heard in, whatever the browser says', () => {
    const it = seated().feed({ type: 'network', online: false });
    assert.deepEqual([connectionStatus(it.state), it.kinds()], ['connected', ['check']], 'the connection is asked');
    it.feed(dropped);
    assert.equal(connectionStatus(it.state), 'offline');
    assert.deepEqual(seated().feed(dropped, { type: 'network', online: false }).state.phase, 'waiting', 'no try without a network');
    it.feed({ type: 'due' }, { type: 'opened' }).receive({ ...JOINED, resumed: true });
    it.feed(dropped);
    assert.equal(connectionStatus(it.state), 'reconnecting', 'something was heard: the browser is wrong');
  });

  test('woken: a wait ends, a connection is asked for a sign of life', () => {
    assert.deepEqual(seated().feed({ type: 'woken' }).kinds(), ['check']);
    assert.deepEqual(seated().feed(dropped).feed({ type: 'network', online: true }).kinds(), ['connect']);
  });

  test('leaving is asked for and answered; without a connection it just goes', () => {
    const it = seated().feed({ type: 'leave' });
    assert.deepEqual(it.sent(), [{ type: 'leave' }]);
    assert.deepEqual(it.receive({ type: 'left', room: 'abcd1234' }).kinds(), ['disconnect', 'forget']);
    assert.deepEqual(seated().feed(dropped, { type: 'leave' }).kinds().slice(-2), ['disconnect', 'forget']);
  });
});

test('no order of events breaks a session', () => {
  const seed = Number(process.env.SEED ?? Date.now() % 2 ** 31);
  process.stdout.write(`# seed ${seed}\n`);
  let word = seed;
  const random = (below) => {
    word = (Math.imul(word, 1_103_515_245) + 12_345) & 0x7fff_ffff;
    return (word >>> 8) % below;
  };
  const codes = ['bad_token', 'name_taken', 'room_full', 'unavailable', 'rate_limited', 'not_in_room', 'replaced', 'moved', 'timeout'];
  const makers = [
    () => ({ type: 'opened' }), () => ({ type: 'due' }), () => ({ type: 'woken' }), () => ({ type: 'retry' }), () => ({ type: 'named', name: 'ana' }),
    () => ({ type: 'closed', code: [1000, 1001, 1006, 1008, 1012, 1013, 4001][random(7)], opened: random(2) === 0 }),
    () => ({ type: 'looked', status: [0, 200, 404, 503][random(4)], players: random(5), max_players: 4 }),
    () => ({ type: 'probed', status: [0, 200, 404, 503][random(4)] }),
    () => ({ type: 'say', text: `${random(1000)}` }), () => ({ type: 'resend', id: 100 + random(50) }), () => ({ type: 'discard', id: 100 + random(50) }),
    () => ({ type: 'network', online: random(2) === 0 }), () => ({ type: 'dismiss' }), () => ({ type: 'rested' }),
    ...[
      () => ({ ...JOINED, resumed: random(2) === 0, missed: [0, 2, null][random(3)], timeline: `t${random(2)}`, seq: random(40) }),
      () => message(random(60), 'x', { from: ['ana', 'bob'][random(2)], id: 100 + random(50), replay: random(2) === 0 }),
      () => ({ type: 'error', code: codes[random(codes.length)], id: random(2) === 0 ? 100 + random(50) : undefined }),
      () => ({ type: 'bye', code: codes[random(codes.length)] }), () => ({ type: 'left' }), () => ({ type: 'moved', timeline: `t${random(3)}`, seq: random(9) }),
      () => ({ type: 'entered', name: `p${random(5)}` }), () => ({ type: 'exited', name: `p${random(5)}`, reason: 'slow' }),
    ].map((make) => () => ({ type: 'received', message: make() })),
  ];
  for (let round = 0; round < 300; round += 1) {
    const it = session({ name: random(4) === 0 ? null : 'ana' }).feed({ type: 'begin' });
    for (let step = 0; step < 60; step += 1) {
      const before = it.state;
      const event = makers[random(makers.length)]();
      it.feed(event);
      const { phase, outbox, items, stop } = it.state;
      const where = `seed ${seed}, round ${round}, step ${step}: ${JSON.stringify(event)} in ${before.phase}`;
      assert.ok(outbox.length <= MAX_OUTBOX && items.length <= MAX_ITEMS, where);
      assert.equal(phase === 'stopped', stop !== null, `${where}: a stop has its reason`);
      assert.ok(it.kinds().filter((kind) => kind === 'connect').length <= 1, where);
      if (phase === 'waiting' && before.phase !== 'waiting') assert.ok(it.kinds().includes('wait'), `${where}: waits without an end`);
      if (it.sent().some(({ type }) => type === 'say')) assert.equal(phase, 'joined', `${where}: says something outside the room`);
      assert.ok(outbox.filter(({ delivery }) => delivery === 'sent').length <= 1, `${where}: one is on the wire`);
      const keys = [...items, ...outbox].map(({ key }) => key);
      assert.equal(new Set(keys).size, keys.length, `${where}: two rows share a key`);
    }
  }
});
