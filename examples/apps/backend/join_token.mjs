#!/usr/bin/env node
// A join token for one person and one room, with what Node has: what a backend does once somebody has logged in.
//
//     node join_token.mjs join-keys/app-1 match-42 user-17 ana
//     node join_token.mjs join-keys/app-1 match-42 user-17 ana '{"role": "moderator"}'
//
// The first argument is the secret in base64, whose file's name is the key's id; chatd gets its directory as --join-keys-file. The last one
// has further claims.

import { createHmac } from 'node:crypto';
import { readFileSync } from 'node:fs';
import { basename } from 'node:path';

const part = (json) => Buffer.from(JSON.stringify(json)).toString('base64url');

/** `more`: other claims, such as a role. */
export function joinToken(keyFile, room, user, name, { minutes = 10, ...more } = {}) {
  // Whoever may choose the room must not get a token for all of them, which `*` would be.
  if (!/^[a-z0-9]([a-z0-9._-]{0,62}[a-z0-9])?$/.test(room)) throw new Error(`no id of a room: ${room}`);
  const header = { alg: 'HS256', typ: 'JWT', kid: basename(keyFile) };
  // `create`: the room comes into being with the first of its people.
  const claims = { sub: user, room, name, create: true, exp: Math.floor(Date.now() / 1000 + 60 * minutes), ...more };
  const signed = `${part(header)}.${part(claims)}`;
  const secret = Buffer.from(readFileSync(keyFile, 'utf8'), 'base64');
  return `${signed}.${createHmac('sha256', secret).update(signed).digest('base64url')}`;
}

if (basename(process.argv[1] ?? '') === 'join_token.mjs') {
  const [keyFile, room, user, name, more = '{}'] = process.argv.slice(2);
  if (!name) throw new Error('Which key file, room, user and name?');
  console.log(joinToken(keyFile, room, user, name, JSON.parse(more)));
}
