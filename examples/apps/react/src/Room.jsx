// A room: who is there, who is typing, what is said, and how the connection is. I/O: by the room.

import { useMessages, usePlayers, useRoom, useRoomEvent, useStatus } from '@chatd/react';
import { useEffect, useRef, useState } from 'react';

const SEND_TYPING_MS = 3000;
const SHOW_TYPING_MS = 5000;

export function Room({ url, room: id, name, seatKey }) {
  const room = useRoom({ url, room: id, name, key: seatKey });
  const { status, problem, end } = useStatus(room);
  const messages = useMessages(room);
  const players = usePlayers(room);
  const typing = useTyping(room);
  const [failed, setFailed] = useState(null);

  const say = async (text) => {
    const { delivery, code } = await room.say(text);
    setFailed(delivery === 'delivered' ? null : `${delivery} (${code}): ${text}`);
  };

  return (
    <main>
      <p id="status" role="status">{end ? `ended: ${end.code}` : [status, problem?.code].filter(Boolean).join(': ')}</p>
      <ul id="players">
        {players.map((player) => (
          <li key={player.name}>{player.name}{player.away && ' (away)'}{typing.has(player.name) && ' is typing…'}</li>
        ))}
      </ul>
      <ol id="messages" role="log">
        {messages.map((message) => <li key={`${message.at} ${message.seq}`}>{message.from}: {message.text}</li>)}
      </ol>
      {failed && <p role="alert">{failed}</p>}
      {room && !end && <Composer room={room} say={say} />}
    </main>
  );
}

function Composer({ room, say }) {
  const [text, setText] = useState('');
  const typedAt = useRef(0);

  const type = (event) => {
    setText(event.target.value);
    if (Date.now() - typedAt.current < SEND_TYPING_MS) return;
    typedAt.current = Date.now();
    room.send('typing', true, { volatile: true });
  };
  const submit = (event) => {
    event.preventDefault();
    say(text);
    setText('');
  };

  return (
    <form onSubmit={submit}>
      <input id="text" aria-label="Message" autoComplete="off" value={text} onChange={type} /> <button>Send</button>
    </form>
  );
}

/** The names of the others who are typing: until what they say comes, or no more is heard of it. */
function useTyping(room) {
  const [until, setUntil] = useState({});
  useRoomEvent(room, 'event', ({ kind, from, mine }) => kind === 'typing' && !mine && setUntil((all) => ({ ...all, [from]: Date.now() + SHOW_TYPING_MS })));
  useRoomEvent(room, 'message', ({ from }) => setUntil(({ [from]: _, ...others }) => others));
  useEffect(() => {
    const timer = setInterval(() => setUntil((all) => {
      const left = Object.entries(all).filter(([, end]) => end > Date.now());
      return left.length === Object.keys(all).length ? all : Object.fromEntries(left);
    }), 1000);
    return () => clearInterval(timer);
  }, []);
  return new Set(Object.keys(until));
}
