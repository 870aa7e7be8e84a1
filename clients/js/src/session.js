// One player's stay in one room: what happened in, the new state and what to do out. Pure: no I/O.
//
// phase: new | connecting | authorising (until the application has given a join token) | joining | joined | waiting (to reconnect) |
// probing (why the upgrade was refused) | leaving (until the server has answered) | left (for good) | stopped (only the person can go on).
// outbox: what one has said and whose id has not come back; each is queued (not on the wire), sent, unsure (may or may not have arrived)
// or failed (has not arrived). One is on the wire at a time, so that one which has to wait cannot be overtaken. resting: too fast, so
// nothing is sent for a moment.
// data: what one has set of oneself; undefined until then. What happens in the room goes out as `tell`.

import { entry, sameName } from './protocol.js';
import { PASSING, delay, isAboutAuth, outcomeOfClose, outcomeOfJoinError, outcomeOfProbe } from './recovery.js';
import { discard, flush, gap, heard, rest, say, settle, tell, unsent, unsure } from './talk.js';

/** @import { Bye, Changed, Effect, Env, Event, Joined, Moved, Outcome, Phase, Player, ServerError, ServerMessage, State, Step, Token } from '../internal.js' */
/** @import { Status } from './index.js' */

const STABLE_MS = 10_000;
/** @type {Effect} */
const WHO = { type: 'send', message: { type: 'who' } };
/** @type {Effect} */
const AUTHORISE = { type: 'authorise' };
/** @type {Effect} */
const DISCONNECT = { type: 'disconnect' };
/** With a connection, or on the way to one. @type {Phase[]} */
const ATTACHED = ['connecting', 'authorising', 'joining', 'joined', 'leaving'];

/**
 * `firstId` is random, so that ids of two tabs in one seat do not meet. `key` is what this client shows for its seats in the room. `auth`: a
 * join token; `asksAuth`: the application gives one when it is asked.
 *
 * @param {{room: string, name: string | null, firstId: number, key?: string | undefined, auth?: string | undefined, asksAuth?: boolean}} options
 * @returns {State}
 */
export function create({ room, name, firstId, key, auth, asksAuth = false }) {
  return {
    phase: 'new',
    room,
    name,
    key,
    auth,
    asksAuth,
    // A token was refused, and no join has worked since.
    authRefused: false,
    seat: null,
    data: undefined,
    holdMs: 0,
    players: [],
    maxPlayers: 0,
    outbox: [],
    nextId: firstId,
    // The last message of a timeline that was heard, in whichever seat.
    heard: null,
    settling: null,
    resting: false,
    refusals: 0,
    asksWho: false,
    error: null,
    stop: null,
    attempt: 0,
    joinedAt: null,
    wasIn: false,
    online: true,
  };
}

/** @param {State} state @returns {Status} */
export function statusOf({ phase, online, wasIn }) {
  if (['stopped', 'leaving', 'left'].includes(phase)) return 'ended';
  // What the browser says of the network may be wrong; what is heard from the server is not.
  if (phase === 'joined') return 'connected';
  if (!online) return 'offline';
  return wasIn ? 'reconnecting' : 'connecting';
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
  const { phase } = state;
  switch (event.type) {
    case 'begin': return phase === 'new' ? connect(state) : [state, []];
    case 'opened': return phase === 'connecting' ? enter(state) : [state, []];
    case 'authorised': return authorised(state, event, env);
    case 'received': return received(state.online ? state : { ...state, online: true }, event.message, env);
    case 'closed': return closed(state, event, env);
    case 'probed': return phase === 'probing' ? carryOut(state, outcomeOfProbe(event, state), env) : [state, []];
    case 'due': return phase === 'waiting' ? connect(state) : [state, phase === 'joined' ? [AUTHORISE] : []];
    case 'woken': return woken(state);
    case 'network': return woken({ ...state, online: event.online }, event.online);
    case 'say': return say(state, event);
    case 'set': return [{ ...state, data: event.data }, phase === 'joined' ? [setting(event.data)] : []];
    case 'discard': return [discard(state, event.id), []];
    case 'rested': return [{ ...state, resting: false }, phase === 'joined' && state.asksWho ? [WHO] : []];
    case 'leave': return leave(state);
    default: return [state, []];
  }
}

/** @param {State} state @returns {Step} */
function connect(state) {
  return [{ ...state, phase: 'connecting', stop: null, settling: null }, [{ type: 'connect' }]];
}

/** Each JOIN shows a token that is new; the way back into a held seat needs none. @param {State} state @returns {Step} */
function enter(state) {
  return state.asksAuth && !state.seat ? [{ ...state, phase: 'authorising' }, [AUTHORISE]] : join(state);
}

/** @param {State} state @returns {Step} */
function join(state) {
  return [{ ...state, phase: 'joining' }, [{ type: 'send', message: entry(state) }]];
}

/**
 * The application has given a token, for a JOIN or in time for the end of the last one; or none, and is asked again later.
 *
 * @param {State} state @param {Token} answer @param {Env} env @returns {Step}
 */
function authorised(state, { auth, code = 'auth_failed', message }, env) {
  if (state.phase === 'authorising') return auth ? join({ ...state, auth }) : carryOut(state, { act: 'reconnect', code, message }, env);
  if (state.phase !== 'joined') return [state, []];
  if (auth) return [state, [{ type: 'send', message: { type: 'refresh', auth } }]];
  const next = { ...state, attempt: state.attempt + 1, error: { code, message, about: /** @type {const} */ ('auth') } };
  return [next, [{ type: 'wait', ms: delay(state.attempt, env.random) }]];
}

/** @param {State} state @returns {Step} */
function woken(state, mayConnect = true) {
  if (state.phase === 'waiting' && mayConnect) return connect(state);
  return [state, state.phase === 'joined' ? [{ type: 'check' }] : []];
}

/** @param {State} state @param {{code: number, opened: boolean}} event @param {Env} env @returns {Step} */
function closed(state, event, env) {
  if (!ATTACHED.includes(state.phase)) return [state, []];
  if (state.phase === 'leaving') return gone(state);
  if (!event.opened) return [{ ...state, phase: 'probing' }, [{ type: 'probe' }]];
  const stable = state.joinedAt !== null && env.now - state.joinedAt > STABLE_MS;
  return carryOut(stable ? { ...state, attempt: 0 } : state, outcomeOfClose(event.code), env);
}

/** Does what recovery.js judged. @param {State} state @param {Outcome} outcome @param {Env} env @returns {Step} */
function carryOut(state, { act, code, message, atOnce, atLeastMs = 0 }, env) {
  /** @type {State} */
  const next = { ...state, settling: null, resting: false, joinedAt: null };
  if (act === 'stop') return [{ ...next, phase: 'stopped', stop: { code: code ?? 'refused', message }, error: null }, [DISCONNECT]];
  if (act === 'rejoin') return enter({ ...next, seat: null, outbox: unsure(state.outbox) });
  const ms = atOnce && state.attempt === 0 ? 0 : delay(state.attempt, env.random);
  /** @type {State['error']} */
  const error = code ? { code, message, about: 'connection' } : state.error;
  return [{ ...next, phase: 'waiting', attempt: state.attempt + 1, error }, [DISCONNECT, { type: 'wait', ms: Math.max(ms, atLeastMs) }]];
}

/** @param {State} state @param {ServerMessage} message @param {Env} env @returns {Step} */
function received(state, message, env) {
  const leaving = state.phase === 'leaving';
  if (!['joining', 'joined', 'leaving'].includes(state.phase)) return [state, []];
  switch (message.type) {
    case 'joined': return leaving ? [state, []] : joined(state, message, env);
    case 'message':
    case 'event': return heard(state, message);
    case 'error': return refused(state, message, env);
    case 'bye': return bye(state, message, env);
    case 'left': return leaving ? gone(state) : lost(state, env);
    case 'players': return present({ ...state, asksWho: false }, message);
    case 'entered':
    case 'exited':
    case 'away':
    case 'back':
    case 'player': return changed(state, message);
    case 'moved': return moved(state, message);
    case 'missed': return missed(state, message.count ?? null);
    case 'expiring': return [state, state.asksAuth && !leaving ? [AUTHORISE] : []];
    case 'refreshed': return [{ ...state, attempt: 0, error: state.error?.about === 'auth' ? null : state.error }, []];
    // pong: that something came is all it says. redirect: `bye moved` follows, and the way back is the same address.
    default: return [state, []];
  }
}

/** @param {State} state @param {Joined} message @param {Env} env @returns {Step} */
function joined(state, message, env) {
  const { timeline, seq, resumed } = message;
  const goesOn = resumed && state.seat?.timeline === timeline;
  // Without a seat the key has found it: what is replayed then has not been heard here, from wherever it begins.
  const missed = goesOn || !state.seat ? message.missed : null;
  const seen = state.seat?.lastSeq ?? 0;
  const remaining = !goesOn || missed === null ? 0 : Math.max(0, seq - seen - missed);
  const [next, effects] = present({
    ...state,
    phase: 'joined',
    name: message.name,
    holdMs: message.hold_ms ?? 0,
    joinedAt: env.now,
    asksWho: false,
    authRefused: false,
    error: ['connection', 'auth'].includes(/** @type {string} */ (state.error?.about)) ? null : state.error,
    settling: { until: seq, remaining, sure: missed === 0 },
    heard: state.heard?.timeline === timeline ? state.heard : { timeline, seq: 0 },
    wasIn: true,
    seat: { token: message.token ?? state.seat?.token, timeline, lastSeq: seq - remaining },
  }, message);
  // The token of the seat still ends soon.
  if (state.error?.about === 'auth') effects.push(AUTHORISE);
  if (!resumed && state.wasIn) effects.push(gap(null, 'rejoined'));
  if (resumed && missed !== 0 && (state.wasIn || missed !== null)) effects.push(gap(missed));
  return [remaining === 0 ? settle(next) : next, effects];
}

/**
 * Who is there, as the server has it. What one has set is said again where it is not there: it went with the seat, or the pod.
 *
 * @param {State} state @param {{players: Player[], max_players: number}} message @returns {Step}
 */
function present(state, { players, max_players: maxPlayers }) {
  const { data } = state;
  const own = players.find(({ name }) => sameName(name, state.name));
  const isThere = data === undefined || JSON.stringify(data) === JSON.stringify(own?.data ?? null);
  return [{ ...state, players, maxPlayers }, isThere ? [] : [setting(data)]];
}

/** @param {unknown} data @returns {Effect} */
const setting = (data) => ({ type: 'send', message: { type: 'set', data } });

/**
 * Messages that were not given to this connection, and will not be. The answer to what is on the wire may be one of them. Who came and
 * went meanwhile may be missing too. They follow what was heard last: a later RESUME asks for what comes after them.
 *
 * @param {State} state @param {number | null} count @param {'took_over'} [why] @returns {Step}
 */
function missed(state, count, why) {
  const seat = state.seat && { ...state.seat, lastSeq: state.seat.lastSeq + (count ?? 0) };
  return [{ ...state, seat, asksWho: true, settling: null, outbox: unsure(state.outbox) }, [gap(count, why), WHO]];
}

/** @param {State} state @param {ServerError} error @param {Env} env @returns {Step} */
function refused(state, error, env) {
  const { code, message } = error;
  const own = state.outbox.find(({ id }) => id === error.id);
  if (own && (code !== 'rate_limited' || state.phase !== 'joined')) return unsent(state, own, error);
  // What nobody waits for: it was volatile, or it is unsure and given up.
  if (error.id != null && !own) return [state, []];
  const isAuth = isAboutAuth(code);
  if (state.phase === 'joining') return carryOut({ ...state, authRefused: isAuth || state.authRefused }, outcomeOfJoinError(error, state), env);
  // The answer to LEAVE, where the JOIN before it was refused, or nobody knows.
  if (state.phase === 'leaving') return gone(state);
  if (code === 'rate_limited') return rest(state, own, error, env);
  if (code === 'not_in_room') return carryOut(state, { act: 'reconnect', atOnce: true, code, message }, env);
  if (isAuth && state.asksAuth) return authorised(state, { code, message }, env);
  // What was set and can never be would be refused again at each JOIN, until that ends the connection.
  return [{ ...state, data: PASSING.includes(code) ? state.data : undefined, error: { code, message, about: 'message' } }, []];
}

/**
 * The last word before a close. Most codes only say why; the close itself starts what follows.
 *
 * @param {State} state @param {Bye} message @param {Env} env @returns {Step}
 */
function bye(state, { code, message }, env) {
  if (state.phase === 'leaving' || !code) return [state, []];
  if (['kicked', 'replaced', 'closed'].includes(code)) return carryOut(state, { act: 'stop', code }, env);
  if (['moved', 'shutting_down', 'quit'].includes(code)) return [state, []];
  const goesOn = ['unavailable', 'too_many_connections', 'too_many_from_address', 'auth_expired'].includes(code);
  return [{ ...state, error: { code, message, about: goesOn ? 'connection' : 'past' } }, []];
}

/**
 * Out of the room without having asked: the error before it says why.
 *
 * @param {State} state @param {Env} env @returns {Step}
 */
function lost(state, env) {
  const { code, message } = state.error ?? { code: 'not_in_room' };
  return carryOut({ ...state, seat: null, outbox: unsure(state.outbox) }, { act: 'stop', code, message }, env);
}

/** @param {State} state @returns {Step} */
function leave(state) {
  // Behind a JOIN that is not answered yet too: else the seat would be held for somebody who has gone.
  if (state.phase !== 'joined' && state.phase !== 'joining') return gone(state);
  return [{ ...state, phase: 'leaving' }, [{ type: 'send', message: { type: 'leave' } }, { type: 'hurry' }]];
}

/** @param {State} state @returns {Step} */
function gone(state) {
  return [{ ...state, phase: 'left', stop: null }, [DISCONNECT]];
}

/** @param {State} state @param {Moved} message @returns {Step} */
function moved(state, { timeline, seq }) {
  if (!state.seat || state.seat.timeline === timeline) return [state, []];
  // What is under way may have been delivered in the old timeline, which nobody can replay. Who is there may be another than before.
  return missed({ ...state, seat: { ...state.seat, timeline, lastSeq: seq }, heard: { timeline, seq } }, null, 'took_over');
}

/** Of one of the players. @param {State} state @param {Changed} message @returns {Step} */
function changed(state, message) {
  const { type, ...about } = message;
  /** @param {Player} player */
  const isIt = (player) => sameName(player.name, about.name);
  const others = state.players.filter((player) => !isIt(player));
  /** @param {Partial<Player>} what */
  const all = (what) => state.players.map((player) => (isIt(player) ? { ...player, ...what } : player));
  switch (type) {
    case 'entered': return [{ ...state, players: [...others, { ...about, away: false }] }, [tell(type, { name: about.name })]];
    case 'exited': return [{ ...state, players: others }, [tell(type, about)]];
    case 'player': return [{ ...state, players: all({ data: message.data }) }, []];
    default: return [{ ...state, players: all({ away: type === 'away' }) }, [tell(type, about)]];
  }
}
