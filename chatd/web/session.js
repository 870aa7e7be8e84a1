// One player's stay in one room: what happened in, the new state and what to do out. Pure: no I/O.
//
// phase: looking (who is there, before a name is asked for) | asking (for a name) | connecting | joining | joined | waiting (to reconnect) | probing (why the upgrade was
// refused) | leaving | stopped (only the person can go on).
// items: what the room has said, in its order. outbox: own messages whose id has not come back; each is queued (not on
// the wire), sent, unsure (may or may not have arrived) or failed (has not arrived). One is on the wire at a time, so that
// one which has to wait cannot be overtaken. resting: too fast, so nothing is sent for a moment.

import { entry, sameName, textProblem } from './protocol.js';
import { delay, outcomeOfClose, outcomeOfProbe, outcomeOfJoinError } from './recovery.js';

export const MAX_ITEMS = 300;
export const MAX_OUTBOX = 20;
const STABLE_MS = 10_000;
const WHO = { type: 'send', message: { type: 'who' } };

/**
 * `firstId` is random, so that ids of two tabs in one seat do not meet. `kept` is what `toKeep` gave before a reload. `key` is what
 * this browser shows for its seats in the room; `mayHaveSeat`: it has shown it a short while ago.
 */
export function create({ room, name, kept, firstId, key, mayHaveSeat = false }) {
  const known = kept && (!name || sameName(kept.name, name)) ? kept : null;
  return {
    phase: 'asking',
    room,
    name: known?.name ?? name,
    seat: known?.seat ?? null,
    key,
    mayHaveSeat,
    holdMs: 0,
    players: [],
    maxPlayers: 0,
    // Who is there, as the room's address says from outside: {count, maxPlayers, names}; an older server gives no names.
    present: null,
    items: known?.items ?? [],
    outbox: known?.outbox ?? [],
    nextId: firstId,
    nextKey: known?.nextKey ?? 1,
    settling: null,
    resting: false,
    refusals: 0,
    asksWho: false,
    error: null,
    stop: null,
    attempt: 0,
    joinedAt: null,
    wasIn: known !== null,
    online: true,
  };
}

/** What a reload needs to go on. */
export function toKeep({ name, seat, items, outbox, nextKey }) {
  return { name, seat, items: items.slice(-100), outbox, nextKey };
}

export function connectionStatus(state) {
  if (state.phase === 'looking' || state.phase === 'asking') return 'asking';
  if (state.phase === 'stopped' || state.phase === 'leaving') return 'stopped';
  // What the browser says of the network may be wrong; what is heard from the server is not.
  if (state.phase === 'joined') return 'connected';
  if (!state.online) return 'offline';
  if (state.wasIn) return 'reconnecting';
  return state.attempt === 0 ? 'connecting' : 'trying';
}

/** `env`: `now` in Unix milliseconds, `random` in [0, 1). Gives `[state, effects]`. */
export function reduce(state, event, env) {
  const [next, effects] = happened(state, event, env);
  const [flushed, more] = flush(next);
  return [flushed, more.length > 0 ? [...effects, ...more] : effects];
}

function happened(state, event, env) {
  switch (event.type) {
    case 'begin': return state.name ? connect(state) : look(state);
    case 'looked': return looked(state, event);
    case 'named': return state.phase !== 'asking' ? [state, []] : connect({ ...state, name: event.name, error: null });
    case 'opened': return opened(state);
    case 'received': return received(state.online ? state : { ...state, online: true }, event.message, env);
    case 'closed': return closed(state, event, env);
    case 'probed': return state.phase === 'probing' ? carryOut(state, outcomeOfProbe(event), env) : [state, []];
    case 'due': return state.phase === 'waiting' ? connect(state) : [state, []];
    case 'woken': return woken(state);
    case 'network': return woken({ ...state, online: event.online }, event.online);
    case 'retry': return retry(state);
    case 'refused': return [{ ...state, error: { code: event.code, about: 'message' } }, []];
    case 'say': return say(state, event.text, env);
    case 'resend': return [redeliver(state, event.id, 'queued'), []];
    case 'discard': return [{ ...state, outbox: state.outbox.filter((own) => own.id !== event.id) }, [{ type: 'save' }]];
    case 'rested': return [{ ...state, resting: false }, state.phase === 'joined' && state.asksWho ? [WHO] : []];
    case 'dismiss': return [{ ...state, error: null }, []];
    case 'leave': return leave(state);
    default: return [state, []];
  }
}

function connect(state) {
  return [{ ...state, phase: 'connecting', stop: null, settling: null }, [{ type: 'connect' }]];
}

/** Without a name yet: whether there is a place is known before one is asked for. */
function look(state) {
  return [{ ...state, phase: 'looking', stop: null }, [{ type: 'look' }]];
}

function looked(state, { status, code, sentence, players, maxPlayers, names }) {
  const present = status === 200 ? { names: names ?? null, count: players, maxPlayers } : null;
  const next = { ...state, present };
  if (state.phase !== 'looking') return [next, []];
  if (present && players >= maxPlayers && !state.mayHaveSeat) return stopped(next, 'room_full');
  const outcome = outcomeOfProbe({ status, code, sentence });
  // What else it may be is found out by joining.
  return outcome.act === 'stop' ? stopped(next, outcome.code, outcome.sentence) : [{ ...next, phase: 'asking' }, []];
}

function stopped(state, code, sentence) {
  return [{ ...state, phase: 'stopped', stop: { code, sentence }, error: null }, []];
}

function retry(state) {
  if (state.phase !== 'stopped') return [state, []];
  const next = { ...state, attempt: 0, error: null };
  return state.name ? connect(next) : look(next);
}

function opened(state) {
  if (state.phase !== 'connecting') return [state, []];
  return [{ ...state, phase: 'joining' }, [{ type: 'send', message: entry(state.room, state.name, state.seat, state.key) }]];
}

function woken(state, mayConnect = true) {
  if (state.phase === 'waiting' && mayConnect) return connect(state);
  return [state, state.phase === 'joined' ? [{ type: 'check' }] : []];
}

function closed(state, event, env) {
  if (['looking', 'asking', 'stopped', 'waiting', 'probing'].includes(state.phase)) return [state, []];
  if (state.phase === 'leaving') return gone(state);
  if (!event.opened) return [{ ...state, phase: 'probing' }, [{ type: 'probe' }]];
  const stable = state.joinedAt !== null && env.now - state.joinedAt > STABLE_MS;
  return carryOut(stable ? { ...state, attempt: 0 } : state, outcomeOfClose(event.code), env);
}

/** Does what recovery.js judged: `{act, code?, sentence?, about?, atLeastMs?}`. */
function carryOut(state, outcome, env) {
  const { code, sentence } = outcome;
  const error = code ? { code, sentence, about: outcome.about ?? 'connection' } : state.error;
  const next = { ...state, settling: null, resting: false, joinedAt: null };
  switch (outcome.act) {
    case 'stop':
      return [
        { ...next, phase: 'stopped', stop: { code, sentence }, error: null },
        [{ type: 'disconnect' }, { type: 'save' }, ...(code === 'room_full' ? [{ type: 'look' }] : [])],
      ];
    case 'ask':
      return [{ ...next, phase: 'asking', seat: null, error }, [{ type: 'disconnect' }, { type: 'look' }]];
    case 'rejoin':
      return opened({ ...next, phase: 'connecting', seat: null, outbox: unsure(state.outbox) });
    case 'reconnect': {
      const ms = outcome.atOnce && state.attempt === 0 ? 0 : delay(state.attempt, env.random);
      const waiting = { ...next, phase: 'waiting', attempt: state.attempt + 1, error };
      return [waiting, [{ type: 'disconnect' }, { type: 'wait', ms: Math.max(ms, outcome.atLeastMs ?? 0) }]];
    }
    default: return [{ ...state, error }, []];
  }
}

function received(state, message, env) {
  if (!['joining', 'joined', 'leaving'].includes(state.phase)) return [state, []];
  switch (message.type) {
    case 'joined': return state.phase === 'leaving' ? [state, []] : joined(state, message, env);
    case 'message': return spoken(state, message);
    case 'error': return refused(state, message, env);
    case 'bye': return bye(state, message, env);
    case 'left': return state.phase === 'leaving' ? gone(state) : lost(state, env);
    case 'players': return [{ ...state, players: message.players, maxPlayers: message.max_players, asksWho: false }, []];
    case 'entered': return [arrival(state, message.name, env.now), []];
    case 'exited': return [exit(state, message, env.now), []];
    case 'away': return [presence(state, message.name, true, env.now), []];
    case 'back': return [presence(state, message.name, false, env.now), []];
    case 'moved': return moved(state, message, env.now);
    // Who came and went meanwhile may be missing too.
    case 'missed': return [note({ ...state, asksWho: true }, { code: 'gap', count: message.count ?? null }, env.now), [WHO]];
    // pong: that something came is all it says. redirect: `bye moved` follows, and the way back is the same address.
    default: return [state, []];
  }
}

function joined(state, message, env) {
  const goesOn = message.resumed && state.seat?.timeline === message.timeline;
  // Without a seat the key has found it: what is replayed then has not been heard here, from wherever it begins.
  const missed = goesOn || !state.seat ? message.missed : null;
  const seen = state.seat?.lastSeq ?? 0;
  const remaining = !goesOn || missed === null ? 0 : Math.max(0, message.seq - seen - missed);
  let next = {
    ...state,
    phase: 'joined',
    name: message.name,
    players: message.players,
    maxPlayers: message.max_players,
    holdMs: message.hold_ms ?? 0,
    joinedAt: env.now,
    asksWho: false,
    error: state.error?.about === 'connection' ? null : state.error,
    settling: { remaining, sure: missed === 0 },
    wasIn: true,
    seat: {
      token: message.token ?? state.seat?.token,
      timeline: message.timeline,
      lastSeq: remaining === 0 ? message.seq : seen,
    },
  };
  if (!message.resumed && state.wasIn) next = note(next, { code: 'rejoined' }, env.now);
  if (message.resumed && missed !== 0 && (state.wasIn || missed !== null)) next = note(next, { code: 'gap', count: missed }, env.now);
  return [remaining === 0 ? settle(next) : next, [{ type: 'remember' }, { type: 'save' }]];
}

/** The replay has ended: an own message that was not in it did not arrive, if the replay was whole. */
function settle(state) {
  const outbox = state.settling.sure
    ? state.outbox.map((own) => (own.delivery === 'sent' ? { ...own, delivery: 'queued' } : own))
    : unsure(state.outbox);
  return { ...state, outbox, settling: null };
}

function unsure(outbox) {
  return outbox.map((own) => (own.delivery === 'sent' ? { ...own, delivery: 'unsure' } : own));
}

/** Sends the next one that waits, unless one is on the wire or a replay may still bring it back. */
function flush(state) {
  if (state.phase !== 'joined' || state.settling || state.resting || state.outbox.some(({ delivery }) => delivery === 'sent')) return [state, []];
  const next = state.outbox.find(({ delivery }) => delivery === 'queued');
  if (!next) return [state, []];
  return [redeliver(state, next.id, 'sent'), [{ type: 'send', message: { type: 'say', text: next.text, id: next.id } }]];
}

function spoken(state, message) {
  const mine = sameName(message.from, state.name);
  const own = mine && state.outbox.find(({ id }) => id === message.id);
  const key = own ? own.key : state.nextKey;
  const item = { key, kind: 'message', from: message.from, mine, text: message.text, at: message.at };
  const next = {
    ...state,
    items: append(state.items, item),
    nextKey: own ? state.nextKey : state.nextKey + 1,
    outbox: own ? state.outbox.filter((other) => other !== own) : state.outbox,
    error: own && state.error?.about !== 'connection' ? null : state.error,
    refusals: own ? 0 : state.refusals,
    seat: state.seat && { ...state.seat, lastSeq: Math.max(state.seat.lastSeq, message.seq) },
  };
  const effects = mine || message.replay ? [] : [{ type: 'announce', from: message.from, text: message.text }];
  if (!next.settling) return [next, effects];
  const settling = { ...next.settling, remaining: next.settling.remaining - 1 };
  return [settling.remaining > 0 ? { ...next, settling } : settle({ ...next, settling }), effects];
}

function refused(state, message, env) {
  const own = state.outbox.find(({ id }) => id === message.id && message.id !== undefined);
  if (message.code === 'rate_limited' && state.phase === 'joined') return rest(state, own, message, env);
  if (own) return unsent(state, own, message);
  if (state.phase === 'joining') return carryOut(state, outcomeOfJoinError(message, state.seat !== null), env);
  if (state.phase !== 'joined') return [state, []];
  const { code, message: sentence } = message;
  if (code === 'not_in_room') return carryOut(state, { act: 'reconnect', atOnce: true, code, sentence }, env);
  return [{ ...state, error: { code, sentence, about: 'message' } }, []];
}

/** Too fast: what was refused goes out by itself after the server's time, and later each time that this was too early. */
function rest(state, own, { retry_after_ms: atLeastMs }, env) {
  const ms = Math.max(atLeastMs ?? 0, delay(state.refusals, env.random));
  const next = { ...state, resting: true, refusals: state.refusals + 1 };
  return [own ? redeliver(next, own.id, 'queued') : next, state.resting ? [] : [{ type: 'rest', ms }]];
}

/** An own message was refused. Its text goes back to where it was written, where that is empty: the view decides. */
function unsent(state, own, { code, message: sentence }) {
  const error = { code, sentence, about: 'message' };
  if (code === 'unavailable') return [{ ...redeliver(state, own.id, 'unsure'), error }, []];
  return [{ ...redeliver(state, own.id, 'failed'), error }, [{ type: 'giveBack', id: own.id, text: own.text }]];
}

function redeliver(state, id, delivery) {
  return { ...state, outbox: state.outbox.map((own) => (own.id === id ? { ...own, delivery } : own)) };
}

/** The last word before a close. Most codes only say why; the close itself starts what follows. */
function bye(state, { code, message }, env) {
  if (state.phase === 'leaving' || !code) return [state, []];
  if (code === 'replaced') return carryOut(state, { act: 'stop', code }, env);
  if (['moved', 'shutting_down', 'quit'].includes(code)) return [state, []];
  const goesOn = ['unavailable', 'too_many_connections', 'too_many_from_address'].includes(code);
  const about = goesOn ? 'connection' : 'past';
  return [{ ...state, error: { code, sentence: message, about } }, []];
}

/** Out of the room without having asked: the error before it says why. */
function lost(state, env) {
  const { code, sentence } = state.error ?? { code: 'not_in_room' };
  return carryOut({ ...state, seat: null, outbox: unsure(state.outbox) }, { act: 'stop', code, sentence }, env);
}

function say(state, text, env) {
  const refuse = (code) => [{ ...state, error: { code, about: 'message' } }, []];
  const problem = textProblem(text);
  if (problem) return refuse(problem);
  if (['looking', 'asking', 'stopped', 'leaving'].includes(state.phase)) return refuse('not_here');
  if (state.outbox.length >= MAX_OUTBOX) return refuse('outbox_full');
  const own = { key: state.nextKey, id: state.nextId, from: state.name, mine: true, text, at: env.now, delivery: 'queued' };
  const next = {
    ...state,
    outbox: [...state.outbox, own],
    nextId: state.nextId + 1,
    nextKey: state.nextKey + 1,
    error: state.error?.about === 'message' ? null : state.error,
  };
  return [next, [{ type: 'accepted' }]];
}

function leave(state) {
  if (state.phase !== 'joined') return gone(state);
  return [{ ...state, phase: 'leaving' }, [{ type: 'send', message: { type: 'leave' } }, { type: 'hurry' }]];
}

function gone(state) {
  return [{ ...state, phase: 'leaving' }, [{ type: 'disconnect' }, { type: 'forget' }]];
}

function moved(state, message, now) {
  const sameTimeline = state.seat?.timeline === message.timeline;
  if (!state.seat || sameTimeline) return [state, []];
  const seat = { ...state.seat, timeline: message.timeline, lastSeq: message.seq };
  // What is under way may have been delivered in the old timeline, which nobody can replay. Who is there may be another than before.
  const next = note({ ...state, seat, settling: null, asksWho: true, outbox: unsure(state.outbox) }, { code: 'took_over' }, now);
  return [next, [WHO, { type: 'save' }]];
}

function arrival(state, name, now) {
  const players = [...state.players.filter((player) => !sameName(player.name, name)), { name, away: false }];
  return note({ ...state, players }, { code: 'entered', name }, now);
}

function exit(state, { name, reason }, now) {
  const players = state.players.filter((player) => !sameName(player.name, name));
  return note({ ...state, players }, { code: 'exited', name, reason }, now);
}

function presence(state, name, away, now) {
  const players = state.players.map((player) => (sameName(player.name, name) ? { ...player, away } : player));
  return note({ ...state, players }, away ? { code: 'away', name, holdMs: state.holdMs } : { code: 'back', name }, now);
}

function note(state, what, at) {
  const item = { key: state.nextKey, kind: 'note', at, ...what };
  return { ...state, items: append(state.items, item), nextKey: state.nextKey + 1 };
}

function append(items, item) {
  return [...items.slice(-(MAX_ITEMS - 1)), item];
}
