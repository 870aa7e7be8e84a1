// A bot that greets and answers: node bot.js https://chat.example abc12def. It stays, whatever happens to pods and networks. I/O.

import { connect } from '@chatd/client';

const [url, id] = process.argv.slice(2);
const room = connect({ url, room: id, name: 'bot', key: process.env.BOT_KEY });

// What may have arrived is not said again: better a missing answer than two.
const say = async (text) => {
  const { delivery, code } = await room.say(text);
  if (delivery !== 'delivered') console.error(`${delivery} (${code}): ${text}`);
};

room.on('entered', ({ name }) => say(`Welcome, ${name}!`));
room.on('message', ({ from, text, mine }) => {
  if (!mine && text === '!time') say(`${from}: ${new Date().toISOString()}`);
});
room.on('status', (status, problem) => console.error(status, problem?.code ?? ''));
room.on('ended', ({ code }) => {
  process.exitCode = code === 'left' ? 0 : 1;
});
process.once('SIGTERM', () => room.leave()).once('SIGINT', () => room.leave());
