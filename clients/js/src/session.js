// One player's stay in one room: what happened in, the new state and what to do out. Pure: no I/O.
//
// phase: new | looking (who is there, before a name is asked for) | asking (for a name) | connecting | joining | joined | waiting (to
// reconnect) | probing (why the upgrade was refused) | leaving (until the server has answered) | left (for good) | stopped (only the person
// can go on).
// items: what the room has said, in its order. outbox: own messages whose id has not come back; each is queued (not on
// the wire), sent, unsure (may or may not have arrived) or failed (has not arrived). One is on the wire at a time, so that
// one which has to wait cannot be overtaken. resting: too fast, so nothing is sent for a moment.

import { entry, sameName } from './protocol.js';
import { delay, outcomeOfClose, outcomeOfProbe, outcomeOfJoinError } from './recovery.js';
import { discard, flush, heard, note, redeliver, rest, say, settle, unsent, unsure } from './talk.js';

/** @import { Answer, Bye, Effect, Env, Event, Exited, Joined, Kept, Moved, Outcome, Phase, ServerError, ServerMessage, State, Step } from '../internal.js' */

export { MAX_ITEMS, MAX_OUTBOX } from './talk.js';

const STABLE_MS = 10_000;
/** @type {Effect} */
const WHO = { type: 'send', message: { type: 'who' } };
/** @type {Effect} */
const LOOK = { type: 'look' };
/** Without a connection, or on the way to its end. @type {Phase[]} */
const APART = ['new', 'looking', 'asking', 'stopped', 'waiting', 'probing', 'left'];

/**
 * `firstId` is random, so that ids of two tabs in one seat do not meet. `kept` is what `toKeep` gave before a reload. `key` is what
 * this browser shows for its seats in the room; `mayHaveSeat`: it has shown it a short while ago.
 *
 * @param {{room: string, name: string | null, kept?: Kept | null, firstId: number, key?: string | undefined, mayHaveSeat?: boolean}} options
 * @returns {State}
 */
export function create({ room, name, kept, firstId, key, mayHaveSeat = false }) {
  const known = kept && (!name || sameName(kept.name, name)) ? kept : null;
  return {
    phase: 'new',
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
    // The last message of a timeline that was heard, in whichever seat.
    heard: known?.seat ? { timeline: known.seat.timeline, seq: known.seat.lastSeq } : null,
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

/** What a reload needs to go on. @param {State} state */
export function toKeep({ name, seat, items, outbox, nextKey }) {
  return { name, seat, items: items.slice(-100), outbox, nextKey };
}

/** @param {State} state */
export function connectionStatus(state) {
  if (state.phase === 'looking' || state.phase === 'asking') return 'asking';
  if (state.phase === 'stopped' || state.phase === 'leaving' || state.phase === 'left') return 'stopped';
  // What the browser says of the network may be wrong; what is heard from the server is not.
  if (state.phase === 'joined') return 'connected';
  if (!state.online) return 'offline';
  if (state.wasIn) return 'reconnecting';
  return state.attempt === 0 ? 'connecting' : 'trying';
}

/**
 * `env`: `now` in Unix milliseconds, `random` in [0, 1). Gives `[state, effects]`.
 *
 * @param {State} state @param {Event} event @param {Env} env @returns {Step}
 */
export function reduce(state, event, env) {
  const [next, effects] = happened(state, event, env);
  const [flushed, more] = flush(next);
  return [flushed, more.length > 0 ? [...effects, ...more] : effects];
}

/** @param {State} state @param {Event} event @param {Env} env @returns {Step} */
function happened(state, event, env) {
  switch (event.type) {
    case 'begin': return state.phase === 'new' ? begin(state) : [state, []];
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
    case 'discard': return [discard(state, event.id), [{ type: 'save' }]];
    case 'rested': return [{ ...state, resting: false }, state.phase === 'joined' && state.asksWho ? [WHO] : []];
    case 'dismiss': return [{ ...state, error: null }, []];
    case 'leave': return leave(state);
    default: return [state, []];
  }
}

/** @param {State} state @returns {Step} */
function begin(state) {
  return state.name ? connect(state) : look(state);
}

/** @param {State} state @returns {Step} */
function connect(state) {
  return [{ ...state, phase: 'connecting', stop: null, settling: null }, [{ type: 'connect' }]];
}

/**
 * Without a name yet: whether there is a place is known before one is asked for.
 *
 * @param {State} state @returns {Step}
 */
function look(state) {
  return [{ ...state, phase: 'looking', stop: null }, [{ type: 'look' }]];
}

/** @param {State} state @param {Answer} answer @returns {Step} */
function looked(state, { status, code, sentence, players = 0, maxPlayers = 0, names }) {
  const present = status === 200 ? { names: names ?? null, count: players, maxPlayers } : null;
  const next = { ...state, present };
  if (state.phase !== 'looking') return [next, []];
  if (present && players >= maxPlayers && !state.mayHaveSeat) return stopped(next, 'room_full');
  const outcome = outcomeOfProbe({ status, code, sentence });
  // What else it may be is found out by joining.
  return outcome.act === 'stop' ? stopped(next, outcome.code ?? 'refused', outcome.sentence) : [{ ...next, phase: 'asking' }, []];
}

/** @param {State} state @param {string} code @param {string} [sentence] @returns {Step} */
function stopped(state, code, sentence) {
  return [{ ...state, phase: 'stopped', stop: { code, sentence }, error: null }, []];
}

/** @param {State} state @returns {Step} */
function retry(state) {
  if (state.phase !== 'stopped') return [state, []];
  return begin({ ...state, attempt: 0, error: null });
}

/** @param {State} state @returns {Step} */
function opened(state) {
  if (state.phase !== 'connecting') return [state, []];
  return [{ ...state, phase: 'joining' }, [{ type: 'send', message: entry(state.room, state.name, state.seat, state.key) }]];
}

/** @param {State} state @returns {Step} */
function woken(state, mayConnect = true) {
  if (state.phase === 'waiting' && mayConnect) return connect(state);
  return [state, state.phase === 'joined' ? [{ type: 'check' }] : []];
}

/** @param {State} state @param {{code: number, opened: boolean}} event @param {Env} env @returns {Step} */
function closed(state, event, env) {
  if (APART.includes(state.phase)) return [state, []];
  if (state.phase === 'leaving') return gone(state);
  if (!event.opened) return [{ ...state, phase: 'probing' }, [{ type: 'probe' }]];
  const stable = state.joinedAt !== null && env.now - state.joinedAt > STABLE_MS;
  return carryOut(stable ? { ...state, attempt: 0 } : state, outcomeOfClose(event.code), env);
}

/** Does what recovery.js judged. @param {State} state @param {Outcome} outcome @param {Env} env @returns {Step} */
function carryOut(state, outcome, env) {
  const { code, sentence } = outcome;
  /** @type {State['error']} */
  const error = code ? { code, sentence, about: outcome.about ?? 'connection' } : state.error;
  /** @type {State} */
  const next = { ...state, settling: null, resting: false, joinedAt: null };
  switch (outcome.act) {
    case 'stop':
      return [
        { ...next, phase: 'stopped', stop: { code: code ?? 'refused', sentence }, error: null },
        [{ type: 'disconnect' }, { type: 'save' }, ...(code === 'room_full' ? [LOOK] : [])],
      ];
    case 'ask':
      return [{ ...next, phase: 'asking', seat: null, error }, [{ type: 'disconnect' }, { type: 'look' }]];
    case 'rejoin':
      return opened({ ...next, phase: 'connecting', seat: null, outbox: unsure(state.outbox) });
    case 'reconnect': {
      const ms = outcome.atOnce && state.attempt === 0 ? 0 : delay(state.attempt, env.random);
      /** @type {State} */
      const waiting = { ...next, phase: 'waiting', attempt: state.attempt + 1, error };
      return [waiting, [{ type: 'disconnect' }, { type: 'wait', ms: Math.max(ms, outcome.atLeastMs ?? 0) }]];
    }
  }
}

/** @param {State} state @param {ServerMessage} message @param {Env} env @returns {Step} */
function received(state, message, env) {
  if (!['joining', 'joined', 'leaving'].includes(state.phase)) return [state, []];
  switch (message.type) {
    case 'joined': return state.phase === 'leaving' ? [state, []] : joined(state, message, env);
    case 'message':
    case 'event': return heard(state, message);
    case 'error': return refused(state, message, env);
    case 'bye': return bye(state, message, env);
    case 'left': return state.phase === 'leaving' ? gone(state) : lost(state, env);
    case 'players': return [{ ...state, players: message.players, maxPlayers: message.max_players, asksWho: false }, []];
    case 'entered': return [arrival(state, message.name, env.now), []];
    case 'exited': return [exit(state, message, env.now), []];
    case 'away': return [presence(state, message.name, true, env.now), []];
    case 'back': return [presence(state, message.name, false, env.now), []];
    case 'moved': return moved(state, message, env.now);
    case 'missed': return missed(state, message.count ?? null, env.now);
    // pong: that something came is all it says. redirect: `bye moved` follows, and the way back is the same address.
    default: return [state, []];
  }
}

/** @param {State} state @param {Joined} message @param {Env} env @returns {Step} */
function joined(state, message, env) {
  const goesOn = message.resumed && state.seat?.timeline === message.timeline;
  // Without a seat the key has found it: what is replayed then has not been heard here, from wherever it begins.
  const missed = goesOn || !state.seat ? message.missed : null;
  const seen = state.seat?.lastSeq ?? 0;
  const remaining = !goesOn || missed === null ? 0 : Math.max(0, message.seq - seen - missed);
  /** @type {State} */
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
    settling: { until: message.seq, remaining, sure: missed === 0 },
    heard: state.heard?.timeline === message.timeline ? state.heard : { timeline: message.timeline, seq: 0 },
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

/**
 * Messages that were not given to this connection, and will not be. The answer to what is on the wire may be one of them. Who came and
 * went meanwhile may be missing too.
 *
 * @param {State} state @param {number | null} count @param {number} now @returns {Step}
 */
function missed(state, count, now) {
  return [note({ ...state, asksWho: true, settling: null, outbox: unsure(state.outbox) }, { code: 'gap', count }, now), [WHO]];
}

/** @param {State} state @param {ServerError} message @param {Env} env @returns {Step} */
function refused(state, message, env) {
  const own = state.outbox.find(({ id }) => id === message.id && message.id !== undefined);
  if (message.code === 'rate_limited' && state.phase === 'joined') return rest(state, own, message, env);
  if (own) return unsent(state, own, message);
  if (state.phase === 'joining') return carryOut(state, outcomeOfJoinError(message, state.seat !== null), env);
  // The answer to LEAVE, where the JOIN before it was refused, or nobody knows.
  if (state.phase === 'leaving') return gone(state);
  const { code, message: sentence } = message;
  if (code === 'not_in_room') return carryOut(state, { act: 'reconnect', atOnce: true, code, sentence }, env);
  return [{ ...state, error: { code, sentence, about: 'message' } }, []];
}

/**
 * The last word before a close. Most codes only say why; the close itself starts what follows.
 *
 * @param {State} state @param {Bye} message @param {Env} env @returns {Step}
 */
function bye(state, { code, message }, env) {
  if (state.phase === 'leaving' || !code) return [state, []];
  if (code === 'replaced') return carryOut(state, { act: 'stop', code }, env);
  if (['moved', 'shutting_down', 'quit'].includes(code)) return [state, []];
  const goesOn = ['unavailable', 'too_many_connections', 'too_many_from_address'].includes(code);
  const about = goesOn ? 'connection' : 'past';
  return [{ ...state, error: { code, sentence: message, about } }, []];
}

/**
 * Out of the room without having asked: the error before it says why.
 *
 * @param {State} state @param {Env} env @returns {Step}
 */
function lost(state, env) {
  const { code, sentence } = state.error ?? { code: 'not_in_room', sentence: undefined };
  return carryOut({ ...state, seat: null, outbox: unsure(state.outbox) }, { act: 'stop', code, sentence }, env);
}

/** @param {State} state @returns {Step} */
function leave(state) {
  // Behind a JOIN that is not answered yet too: else the seat would be held for somebody who has gone.
  if (state.phase !== 'joined' && state.phase !== 'joining') return gone(state);
  return [{ ...state, phase: 'leaving' }, [{ type: 'send', message: { type: 'leave' } }, { type: 'hurry' }]];
}

/** @param {State} state @returns {Step} */
function gone(state) {
  if (state.phase === 'left') return [state, []];
  return [{ ...state, phase: 'left', stop: null }, [{ type: 'disconnect' }, { type: 'forget' }]];
}

/** @param {State} state @param {Moved} message @param {number} now @returns {Step} */
function moved(state, message, now) {
  const sameTimeline = state.seat?.timeline === message.timeline;
  if (!state.seat || sameTimeline) return [state, []];
  const seat = { ...state.seat, timeline: message.timeline, lastSeq: message.seq };
  // What is under way may have been delivered in the old timeline, which nobody can replay. Who is there may be another than before.
  const heard = { timeline: message.timeline, seq: message.seq };
  const next = note({ ...state, seat, heard, settling: null, asksWho: true, outbox: unsure(state.outbox) }, { code: 'took_over' }, now);
  return [next, [WHO, { type: 'save' }]];
}

/** @param {State} state @param {string} name @param {number} now */
function arrival(state, name, now) {
  const players = [...state.players.filter((player) => !sameName(player.name, name)), { name, away: false }];
  return note({ ...state, players }, { code: 'entered', name }, now);
}

/** @param {State} state @param {Exited} message @param {number} now */
function exit(state, { name, reason }, now) {
  const players = state.players.filter((player) => !sameName(player.name, name));
  return note({ ...state, players }, { code: 'exited', name, reason }, now);
}

/** @param {State} state @param {string} name @param {boolean} away @param {number} now */
function presence(state, name, away, now) {
  const players = state.players.map((player) => (sameName(player.name, name) ? { ...player, away } : player));
  return note({ ...state, players }, away ? { code: 'away', name, holdMs: state.holdMs } : { code: 'back', name }, now);
}
