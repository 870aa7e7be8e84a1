// Programs that the declared types must allow, and some that they must not: for `tsc`, never run.

import { connect, type AppEvent, type ConnectOptions, type Delivery, type Message, type Player, type Room, type Sent, type SentVolatile, type Status } from '@chatd/client';
import { connect as moderated, type Moderated } from '@chatd/client/moderate';
import { connect as withState, type RoomWithState, type StateChange, type StateEntry, type StateSet } from '@chatd/client/state';

export async function allowed(): Promise<Message | undefined> {
  const room: Room = connect({ url: new URL('https://chat.example'), room: 'abc12def', name: 'ana', key: 'k'.repeat(32), sayTimeout: 1000 });
  const off: () => void = room.on('message', ({ from, text, at, seq, mine, replay }: Message) => console.log(from, text, at + seq, mine || replay));
  room.on('players', (players: readonly Player[]) => console.log(players.map(({ name, away, data }) => [name, away, data])));
  room.on('event', ({ from, kind, data, at, seq, to, mine, replay }: AppEvent) => console.log(from, kind, data, at, seq ?? to?.length, mine || replay));
  room.on('status', (status: Status, problem) => console.log(status, problem?.code));
  room.on('gap', ({ count }) => console.log(count === null ? 'some' : count + 1));
  room.on('exited', ({ name, reason }) => console.log(name, reason));
  room.on('ended', ({ code, message }) => console.log(code, message?.length));
  const delivery: Delivery = await room.say('hi');
  off();
  await room.leave();
  return delivery.delivery === 'delivered' ? delivery.message : (console.log(delivery.code), undefined);
}

export async function events(room: Room, volatile: boolean): Promise<string | undefined> {
  const sent: Sent = await room.send('move', { x: 3, y: [4] });
  if (sent.delivery === 'delivered') console.log(sent.event.kind, sent.reached?.join());
  const hinted: Sent = await room.send('hint', null, { to: ['bob'] as const });
  const moved: SentVolatile = await room.send('cursor', 7, { volatile: true });
  const either: Sent | SentVolatile = await room.send('cursor', 7, { volatile });
  room.set({ ready: true });
  return hinted.delivery === 'unsure' ? hinted.code : moved.delivery === 'failed' ? moved.code : either.delivery;
}

export async function state(options: ConnectOptions): Promise<number | undefined> {
  const room: RoomWithState = withState(options);
  const entries: ReadonlyMap<string, StateEntry> = room.state;
  room.on('state', (all, change: StateChange | null) => console.log(all === entries, change?.key, change?.from));
  room.on('stateLost', () => void room.setState('turn', 'ana'));
  room.on('message', ({ text }) => console.log(text));
  const set: StateSet = await room.setState('turn', { of: 'bob' }, { ifVersion: entries.get('turn')?.version ?? 0 });
  // @ts-expect-error: a version is a number
  void room.setState('turn', 1, { ifVersion: '1' });
  // @ts-expect-error: the state changes by `setState` alone
  room.state.set('turn', { value: 1, version: 1, from: 'ana' });
  // @ts-expect-error: there is no such event
  room.on('confetti', () => {});
  return set.delivery === 'unsure' ? undefined : set.version;
}

/** A token, or what gives one, with or without a look at the signal. */
export const withToken = connect({ url: '/', room: 'abc12def', name: 'ana', auth: 'a.b.c' });
export const withTokens = connect({ url: '/', room: 'abc12def', name: 'ana', getAuth: async ({ signal }) => (await fetch('/token', { signal })).text() });
export const withOldTokens = connect({ url: '/', room: 'abc12def', name: 'ana', getAuth: () => 'a.b.c' });

/** What a browser and Node have is a runtime. */
export const inBrowsers = connect({ url: '.', room: 'abc12def', name: 'ana', runtime: { WebSocket, fetch, random: Math.random, now: Date.now } });

export async function moderates(options: ConnectOptions): Promise<Moderated> {
  const room = moderated(options, withState);
  room.on('locked', (locked: boolean, by: string | null) => console.log(locked, by, room.locked, room.state.size));
  room.on('message', ({ text }: Message) => console.log(text));
  room.on('stateLost', () => void room.setState('a', 1));
  const plain: Room = moderated(options);
  void plain.leave();
  void room.unlock();
  return room.kick('bob', { banSeconds: 600 });
}

export function refused(room: Room) {
  // @ts-expect-error: a name is missing
  connect({ url: '/', room: 'abc12def' });
  // @ts-expect-error: there is no such event
  room.on('confetti', () => {});
  // @ts-expect-error: the handler takes something else
  room.on('message', (text: string) => text);
  // @ts-expect-error: a text is a string
  void room.say(7);
  // @ts-expect-error: a kind is a string
  void room.send(7, null);
  // @ts-expect-error: of a volatile event nobody is told that it was delivered
  void room.send('k', null, { volatile: true }).then(({ delivery }) => delivery === 'delivered');
  // @ts-expect-error: a function gives tokens
  connect({ url: '/', room: 'abc12def', name: 'ana', getAuth: 'a.b.c' });
  // @ts-expect-error: only the room changes its status
  room.status = 'connected';
  // @ts-expect-error: nor are the players the caller's
  room.players.push({ name: 'bob', away: false });
}
