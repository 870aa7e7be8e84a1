// A person's visit to a room: a session of the client package, and what a page has besides: who is there before a name is asked for, the
// rows that it shows, and what a reload needs. Pure: no I/O.
//
// phase: as the session's, and looking (who is there, before a name is asked for) and asking (for a name).
// items: what the room has said, in its order. outbox: the session's; each row of both has a key of its own.

import { sameName } from './client/protocol.js';
import { outcomeOfProbe } from './client/recovery.js';
import * as session from './client/session.js';
import { flush, redeliver } from './client/talk.js';
import * as moderation from './moderation.js';

export const MAX_ITEMS = 300;
const TYPING_MS = 3000;
const LOOK = { type: 'look' };

/**
 * `kept` is what `toKeep` gave before a reload. `mayHaveSeat`: this browser has shown its key for a seat in the room a short while ago.
 */
export function create({ kept, mayHaveSeat = false, ...options }) {
  const known = kept && (!options.name || sameName(kept.name, options.name)) ? kept : null;
  return {
    ...session.create(options),
    ...moderation.create(),
    ...(known && { name: known.name, seat: known.seat, outbox: known.outbox, wasIn: true }),
    heard: known?.seat ? { timeline: known.seat.timeline, seq: known.seat.lastSeq } : null,
    items: known?.items ?? [],
    nextKey: known?.nextKey ?? 1,
    // Who is there, as the room's address says from outside: {count, maxPlayers, names}; an older server gives no names.
    present: null,
    mayHaveSeat,
    // When the others were last told that one is typing.
    typedAt: -Infinity,
  };
}

/** What a reload needs to go on. */
export function toKeep({ name, seat, items, outbox, nextKey }) {
  return { name, seat, items: items.slice(-100), outbox, nextKey };
}

export function connectionStatus(state) {
  if (isOutside(state)) return 'asking';
  const status = session.statusOf(state);
  if (status === 'ended') return 'stopped';
  return status === 'connecting' && state.attempt > 0 ? 'trying' : status;
}

const isOutside = ({ phase }) => phase === 'looking' || phase === 'asking';

/** As the session's. Its effects for the page: announce, typing, accepted, giveBack, remember, save, forget. */
export function reduce(state, event, env) {
  const [reduced, made] = own(state, event, env) ?? session.reduce(state, event, env);
  const [next, more] = event.type === 'received' ? moderation.heard(reduced, event.message) : [reduced, []];
  const effects = [...made, ...more];
  const asks = asksForName(state, next);
  const shown = asks ? asking(next) : next;
  const isFull = next.stop?.code === 'room_full' && !state.stop;
  const told = effects.filter(({ type }) => type === 'tell');
  return [
    told.reduce((before, effect) => withItem(before, effect, env.now), shown),
    [
      ...refusedTexts(state, shown),
      ...effects.filter(({ type }) => type !== 'tell'),
      ...(asks || (isFull && event.type !== 'looked') ? [LOOK] : []),
      ...told.flatMap(announced),
      ...kept(state, shown, event),
    ],
  ];
}

/** What only a page has, or `null`. */
function own(state, event, env) {
  const { phase } = state;
  switch (event.type) {
    case 'begin': return phase === 'new' && !state.name ? look(state) : null;
    case 'looked': return looked(state, event);
    case 'named': return phase === 'asking' ? begin({ ...state, name: event.name }) : [state, []];
    case 'retry': return phase === 'stopped' ? begin({ ...state, attempt: 0 }) : [state, []];
    case 'resend': return flush(redeliver(state, event.id, 'queued'));
    case 'refused': return refuse(state, event.code);
    case 'say': return isOutside(state) ? refuse(state, 'not_here') : say(state, event, env);
    case 'typing': return typing(state, env);
    case 'kick': return moderation.remove(state, event);
    case 'lock': return moderation.setLock(state, event);
    case 'dismiss': return [{ ...state, error: null }, []];
    default: return null;
  }
}

function begin(state) {
  const next = { ...state, phase: 'new', error: null };
  return state.name ? session.reduce(next, { type: 'begin' }) : look(next);
}

/** Without a name yet: whether there is a place is known before one is asked for. */
function look(state) {
  return [{ ...state, phase: 'looking', stop: null }, [LOOK]];
}

function looked(state, { status, code, message, players = 0, max_players: maxPlayers = 0, names }) {
  const present = status === 200 ? { names: names ?? null, count: players, maxPlayers } : null;
  const next = { ...state, present };
  if (state.phase !== 'looking') return [next, []];
  const stopped = (stop) => [{ ...next, phase: 'stopped', stop, error: null }, []];
  if (present && players >= maxPlayers && !state.mayHaveSeat) return stopped({ code: 'room_full' });
  const outcome = outcomeOfProbe({ status, code, message }, state);
  // What else it may be is found out by joining.
  if (outcome.act !== 'stop') return [{ ...next, phase: 'asking' }, []];
  return stopped({ code: outcome.code ?? 'refused', message: outcome.message });
}

function refuse(state, code) {
  return [{ ...state, error: { code, about: 'message' } }, []];
}

/** An own message is a row of the page until it is one of the room's. */
function say(state, event, env) {
  const row = { key: state.nextKey, from: state.name, mine: true, at: env.now };
  return session.reduce({ ...state, nextKey: state.nextKey + 1 }, { ...event, ...row }, env);
}

/** Tells the others, if there are any, that one is typing: now and then, and without a promise that they hear it. */
function typing(state, env) {
  if (state.phase !== 'joined' || state.players.length < 2 || env.now - state.typedAt < TYPING_MS) return [state, []];
  return session.reduce({ ...state, typedAt: env.now }, { type: 'say', kind: 'typing', data: true, volatile: true }, env);
}

const asksForName = (state, { phase, stop }) => state.phase === 'joining' && phase === 'stopped' && ['bad_name', 'name_taken'].includes(stop.code);

/** The panel comes once it is known who is there: nothing in it moves afterwards. */
function asking(state) {
  const phase = state.present ? 'asking' : 'looking';
  return { ...state, phase, seat: null, stop: null, error: { ...state.stop, about: 'connection' } };
}

function withItem(state, { told: [type, about], own: answered, why }, at) {
  if (type === 'event') return state;
  const item = type === 'message'
    ? { key: answered?.key ?? state.nextKey, kind: 'message', ...about, ...(answered && { id: answered.id }) }
    : { key: state.nextKey, kind: 'note', at, code: why ?? type, ...about, ...(type === 'away' && { holdMs: state.holdMs }) };
  return { ...state, items: [...state.items.slice(-(MAX_ITEMS - 1)), item], nextKey: state.nextKey + 1 };
}

/** Only what others say live is read out. */
function announced({ told: [type, { from, text, kind, mine, replay }] }) {
  if (kind === 'typing' && !mine) return [{ type: 'typing', from }];
  return type === 'message' && !mine && !replay ? [{ type: 'announce', from, text }] : [];
}

/** The text of a refused message goes back to where it was written, where that is empty: the view decides. */
function refusedTexts(before, after) {
  const failed = ({ outbox }) => outbox.filter(({ delivery }) => delivery === 'failed');
  if (after.outbox === before.outbox) return [];
  const known = failed(before).map(({ id }) => id);
  return failed(after).filter(({ id }) => !known.includes(id)).map(({ id, text }) => ({ type: 'giveBack', id, text }));
}

/** What the page has to do with its draft and its storage. */
function kept(before, after, event) {
  const became = (phase) => after.phase === phase && before.phase !== phase;
  if (became('left')) return [{ type: 'forget' }];
  if (became('joined')) return [{ type: 'remember' }, { type: 'save' }];
  if (event.type === 'say' && after.nextId !== before.nextId) return [{ type: 'accepted' }];
  const moved = after.seat?.timeline !== before.seat?.timeline;
  return moved || became('stopped') || event.type === 'discard' ? [{ type: 'save' }] : [];
}
