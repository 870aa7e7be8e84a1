// A component that the declared types must allow, and uses that they must not: for `tsc`, never run.

import type { ConnectOptions, Message, Player, Room } from '@chatd/client';
import type { RoomWithState } from '@chatd/client/state';
import { useMessages, usePlayers, useRoom, useRoomEvent, useRoomState, useStatus } from '@chatd/react';

export function Chat({ options }: { options: ConnectOptions | null }) {
  const room: RoomWithState | null = useRoom(options);
  const plain: Room | null = room;
  const turn: unknown = useRoomState(room).get('turn')?.value;
  const messages: readonly Message[] = useMessages(plain);
  const players: readonly Player[] = usePlayers(room);
  const { status, problem, end } = useStatus(room);
  useRoomEvent(room, 'event', ({ kind, data }) => console.log(kind, data));
  useRoomEvent(room, 'gap', ({ count }) => console.log(count));
  // @ts-expect-error: there is no such event
  useRoomEvent(room, 'confetti', () => {});
  // @ts-expect-error: a name is missing
  useRoom({ url: '/', room: 'abc12def' });
  // @ts-expect-error: messages are the room's
  messages.push(messages[0]);
  return <p title={problem?.code ?? end?.code ?? (turn ? 'turn' : status)}>{messages.map(({ text }) => text)}{players.map(({ name }) => name)}</p>;
}
