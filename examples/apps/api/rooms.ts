// A match from its beginning to its end, by the server API. The client's types are made from the OpenAPI document:
//
//     curl -o openapi.json $CHATD_API/v1/openapi.json && npm install && npm run generate && npm run check
//     CHATD_API=http://localhost:8082 CHATD_API_KEY=... npm start
//
// Node 22.18 or later runs TypeScript as it is.

import process from 'node:process';
import createClient from 'openapi-fetch';
import type { paths } from './api.d.ts';

const { CHATD_API: baseUrl = 'http://localhost:8082', CHATD_API_KEY: key = '' } = process.env;
const api = createClient<paths>({ baseUrl, headers: { authorization: `Bearer ${key}` } });

/** What was answered, or the error as an exception. */
function answer<T>({ data, error, response }: { data?: T; error?: { error: { code: string; message: string } }; response: Response }): T {
  if (data === undefined) throw new Error(`${response.status} ${error?.error.code}: ${error?.error.message}`);
  return data;
}

const room = 'match-42';
const path = { room };

const made = answer(await api.POST('/v1/rooms', { body: { room, descriptor: { kind: 'duel', max_players: 2, listed: true } } }));
console.log(`${made.room} is at ${made.pod}, for ${made.max_players}`);

const { rooms, incomplete } = answer(await api.GET('/v1/rooms', { params: { query: { kind: 'duel', limit: 10 } } }));
console.log(`duels: ${rooms.map((listed) => `${listed.room} (${listed.players} of ${listed.max_players})`).join()}; without ${incomplete.length} pods`);

// A key for what is to be said once: sent again after a 503, or by another process, it says nothing more.
const once = { path, header: { 'Idempotency-Key': `${room}-begins` } };
for (const attempt of [1, 2]) {
  const { seq } = answer(await api.POST('/v1/rooms/{room}/messages', { params: once, body: { from: 'referee', text: 'The match begins.' } }));
  console.log(`said as number ${seq}, attempt ${attempt}`);
}
const sent = answer(await api.POST('/v1/rooms/{room}/events', { params: { path }, body: { kind: 'score', data: { red: 1 }, to: ['ana'] } }));
console.log(`reached: ${sent.reached?.join() ?? 'everyone'}`);

const { descriptor } = answer(await api.PATCH('/v1/rooms/{room}', { params: { path }, body: { locked: true } }));
console.log(`locked: ${descriptor.locked}`);
for (const { name } of answer(await api.GET('/v1/rooms/{room}', { params: { path } })).players) {
  answer(await api.DELETE('/v1/rooms/{room}/players/{name}', { params: { path: { room, name }, query: { ban_s: 60 } } }));
  console.log(`out: ${name}`);
}
console.log(`closed: ${answer(await api.DELETE('/v1/rooms/{room}', { params: { path } })).closed}`);
const { error } = await api.GET('/v1/rooms/{room}', { params: { path } });
console.log(`afterwards: ${error?.error.code}`);
console.log(`pods: ${answer(await api.GET('/v1/pods')).pods.map(({ pod }) => pod).join()}`);
