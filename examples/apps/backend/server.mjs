#!/usr/bin/env node
// A backend with what Node has: it serves a page, gives it join tokens, and hears the webhook.
//
//     node server.mjs <folder of the page> join-keys/app-1 webhook.secret
//
// PORT: where it listens, 8000 if unset.

import { createHmac, timingSafeEqual } from 'node:crypto';
import { existsSync, readFileSync } from 'node:fs';
import { createServer } from 'node:http';
import { extname, join } from 'node:path';
import { joinToken } from './join_token.mjs';

const [folder, keyFile, secretFile] = process.argv.slice(2);
const { PORT: port = '8000' } = process.env;
const TYPES = { '.html': 'text/html; charset=utf-8', '.js': 'text/javascript; charset=utf-8' }; // nothing else is served: no keys
const FIVE_MINUTES = 300;
const heard = new Set(); // ids of events, which may come twice; one that runs for long forgets the old ones

/** A token for who asks. Your login says who that is, and whether they may come into this room; here everyone is who they say. */
function token({ searchParams }) {
  const [room, name] = ['room', 'name'].map((what) => searchParams.get(what) ?? '');
  return joinToken(keyFile, room, `user-${name}`, name);
}

/** Whether chatd has signed these bytes, just now. */
function isSigned({ 'webhook-id': id, 'webhook-timestamp': at, 'webhook-signature': signatures = '' }, body) {
  const secret = Buffer.from(readFileSync(secretFile, 'utf8').trim().replace('whsec_', ''), 'base64');
  const expected = Buffer.from(`v1,${createHmac('sha256', secret).update(`${id}.${at}.`).update(body).digest('base64')}`);
  const isRight = (given) => given.length === expected.length && timingSafeEqual(given, expected);
  return Math.abs(Date.now() / 1000 - at) < FIVE_MINUTES && signatures.split(' ').some((given) => isRight(Buffer.from(given)));
}

async function hear(request) {
  const body = Buffer.concat(await request.toArray()); // verified as it came, and parsed only then
  if (!isSigned(request.headers, body)) return [401];
  const id = request.headers['webhook-id'];
  if (!heard.has(id)) console.log(JSON.stringify(JSON.parse(body))); // your application stores it
  heard.add(id);
  return [204];
}

async function answer(request) {
  const url = new URL(request.url, 'http://localhost');
  const asked = `${request.method} ${url.pathname}`;
  if (asked === 'POST /chat-token') return [200, token(url)];
  if (asked === 'POST /chat-events') return hear(request);
  const file = join(folder, url.pathname.endsWith('/') ? `${url.pathname}index.html` : url.pathname);
  const type = TYPES[extname(file)];
  return request.method === 'GET' && type && existsSync(file) ? [200, readFileSync(file), type] : [404];
}

createServer(async (request, response) => {
  const [status, body, type = 'text/plain'] = await answer(request).catch((error) => (console.error(error.message), [400]));
  response.writeHead(status, { 'Content-Type': type, 'Cache-Control': 'no-store' }).end(body);
}).listen(Number(port), 'localhost', () => console.log(`http://localhost:${port}/`));
