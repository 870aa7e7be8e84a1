// A test double of chatd's web port, in memory: serves the pages and speaks section 3 of the protocol, and does on demand
// what a real server cannot be brought to do in a test. One process, no directory. I/O. Run alone it serves the pages to
// somebody who works on them: `npm run double`.

import { createHash, randomBytes } from 'node:crypto';
import { readFile } from 'node:fs/promises';
import http from 'node:http';
import path from 'node:path';
import { fileURLToPath } from 'node:url';
import { WebSocketServer } from 'ws';

const WEB = fileURLToPath(new URL('../../../web/', import.meta.url));
const TYPES = { '.html': 'text/html; charset=utf-8', '.js': 'text/javascript; charset=utf-8', '.css': 'text/css; charset=utf-8', '.svg': 'image/svg+xml' };
const CSP = "default-src 'none'; script-src 'self'; style-src 'self'; connect-src 'self'; img-src 'self'; form-action 'self'; base-uri 'none'; frame-ancestors 'none'";
const RING = 32;

const idOf = (bytes) => randomBytes(bytes).toString('hex');
const newRoomId = () => [...randomBytes(8)].map((byte) => 'abcdefghijklmnopqrstuvwxyz0123456789'[byte % 36]).join('');

export class Double {
  rooms = new Map();
  sessions = new Set();
  maxPlayers = 4;
  holdMs = 30_000;
  /** `{status, code, retryAfter?}`: what upgrades are refused with, and the API answers. */
  refusal = null;
  /** Answers nothing, not even pings. */
  silent = false;
  /** Called with `(session, message)` before a message is handled; true: it was handled. */
  intercept = () => false;
  upgrades = 0;

  async start(port = 0) {
    this.#server = http.createServer((request, response) => this.#serve(request, response));
    const sockets = new WebSocketServer({ noServer: true, handleProtocols: (offered) => (offered.has('chatd.v1') ? 'chatd.v1' : false) });
    this.#server.on('upgrade', (request, socket, head) => {
      this.upgrades += 1;
      if (this.refusal) {
        return socket.end(`HTTP/1.1 ${this.refusal.status} Refused\r\nConnection: close\r\nContent-Length: 0\r\n\r\n`);
      }
      sockets.handleUpgrade(request, socket, head, (connection) => this.sessions.add(new Session(this, connection)));
    });
    await new Promise((resolve) => this.#server.listen(port, '127.0.0.1', resolve));
    this.port = this.#server.address().port;
    this.url = `http://127.0.0.1:${this.port}`;
    return this;
  }

  async stop() {
    for (const session of this.sessions) session.socket.terminate();
    for (const room of this.rooms.values()) for (const seat of room.seats.values()) clearTimeout(seat.hold);
    this.#server.closeAllConnections();
    await new Promise((resolve) => this.#server.close(resolve));
  }

  /** With a kind it is listed. */
  createRoom(id = newRoomId(), kind = null) {
    this.rooms.set(id, { id, kind, seats: new Map(), timeline: idOf(8), seq: 0, ring: [] });
    return id;
  }

  /** The connected session of this player. */
  session(name) {
    return [...this.sessions].find((session) => session.seat?.name === name);
  }

  /** As when the owner died: another count, nothing to replay. */
  takeOver(roomId) {
    const room = this.rooms.get(roomId);
    Object.assign(room, { timeline: idOf(8), seq: 0, ring: [] });
    return room;
  }

  #server;

  async #serve(request, response) {
    const url = new URL(request.url, 'http://host');
    response.setHeader('X-Content-Type-Options', 'nosniff');
    if (url.pathname.startsWith('/api/rooms')) return this.#api(request, url, response);
    const name = { '/': 'index.html', '/room': 'room.html' }[url.pathname] ?? url.pathname;
    try {
      const body = await readFile(path.join(WEB, name));
      const etag = `"${createHash('sha256').update(body).digest('hex').slice(0, 16)}"`;
      response.writeHead(200, {
        'Content-Type': TYPES[path.extname(name)] ?? 'application/octet-stream',
        'Content-Security-Policy': CSP,
        'Referrer-Policy': 'same-origin',
        'Cache-Control': 'no-cache',
        ETag: etag,
      });
      response.end(body);
    } catch {
      answer(response, 404, { error: { code: 'not_found', message: 'Not here.' } });
    }
  }

  #listed() {
    const open = [...this.rooms.values()].filter(({ kind, locked, seats }) => kind && !locked && seats.size < this.maxPlayers);
    return open.map(({ id, kind, seats }) => ({ room: id, kind, players: seats.size, max_players: this.maxPlayers }));
  }

  #api(request, url, response) {
    if (this.refusal) {
      const { status, code, retryAfter } = this.refusal;
      if (retryAfter) response.setHeader('Retry-After', retryAfter);
      if (code) return answer(response, status, { error: { code, message: 'Refused by the double.' } });
    }
    if (request.method === 'POST') return answer(response, 201, { room: this.createRoom() });
    if (url.pathname === '/api/rooms') return answer(response, 200, { rooms: this.#listed(), incomplete: [] });
    const room = this.rooms.get(url.pathname.slice('/api/rooms/'.length));
    if (!room) return answer(response, 404, { error: { code: 'room_not_found', message: 'No such room.' } });
    answer(response, 200, { room: room.id, players: room.seats.size, max_players: this.maxPlayers, names: views(room).map(({ name }) => name) });
  }
}

function answer(response, status, body) {
  response.writeHead(status, { 'Content-Type': 'application/json' });
  response.end(JSON.stringify(body));
}

class Session {
  constructor(double, socket) {
    Object.assign(this, { double, socket, room: null, seat: null, received: [] });
    socket.on('message', (data) => this.#take(JSON.parse(data)));
    socket.on('close', (code) => this.#ended(code));
    socket.on('error', () => {});
  }

  send(message) {
    if (!this.double.silent) this.socket.send(JSON.stringify(message));
  }

  fail(code, id, more = {}) {
    this.send({ type: 'error', code, message: 'The double says no.', id, ...more });
  }

  bye(code, closeCode) {
    this.send({ type: 'bye', code });
    this.socket.close(closeCode, code);
  }

  #take(message) {
    this.received.push(message);
    if (this.double.silent || this.double.intercept(this, message)) return;
    const { id } = message;
    switch (message.type) {
      case 'ping': return this.send({ type: 'pong', id });
      case 'join': return this.#join(message);
      case 'resume': return this.#resume(message);
      case 'say': return this.room ? say(this.room, this.seat.name, message) : this.fail('not_in_room', id);
      case 'send': return broadcast(this.room, { type: 'event', from: this.seat.name, kind: message.kind, data: message.data, at: Date.now(), id });
      case 'who': return this.send({ type: 'players', players: views(this.room), max_players: this.double.maxPlayers, id });
      // Everybody may do what moderators may.
      case 'kick': return this.#kick(message);
      case 'lock':
      case 'unlock': return lock(this.room, this.seat.name, message.type === 'lock', id);
      case 'leave': return this.#leave(id);
      default: return this.fail('bad_command', id);
    }
  }

  #join({ room: roomId, name, auth, id }) {
    const room = this.double.rooms.get(roomId);
    if (!room) return this.fail('room_not_found', id);
    if (room.locked) return this.fail('room_locked', id);
    const key = name.toLowerCase();
    if (room.seats.has(key)) return this.fail('name_taken', id);
    if (room.seats.size >= this.double.maxPlayers) return this.fail('room_full', id);
    // What a join token says counts, and nobody has to have signed it.
    const role = auth && JSON.parse(Buffer.from(auth.split('.')[1], 'base64url')).role;
    const seat = { name, role, token: idOf(16), away: false, session: this };
    room.seats.set(key, seat);
    Object.assign(this, { room, seat });
    this.#joined(room, seat, id, { resumed: false, missed: 0 });
    broadcast(room, { type: 'entered', name, ...(role && { role }) }, seat);
  }

  #resume({ room: roomId, token, timeline, last_seq: lastSeq, id }) {
    const room = this.double.rooms.get(roomId);
    const seat = room && [...room.seats.values()].find((held) => held.token === token);
    if (!seat) return this.fail('bad_token', id);
    const before = seat.session;
    if (before) {
      Object.assign(before, { room: null, seat: null });
      before.bye('replaced', 4001);
    }
    clearTimeout(seat.hold);
    const wasAway = seat.away;
    Object.assign(seat, { away: false, session: this });
    Object.assign(this, { room, seat });
    const known = timeline === room.timeline;
    const replay = known ? room.ring.filter(({ seq }) => seq > lastSeq) : [];
    const missed = known ? room.seq - lastSeq - replay.length : null;
    this.#joined(room, seat, id, { resumed: true, missed });
    for (const message of replay) this.send({ type: 'message', ...message, replay: true });
    if (wasAway) broadcast(room, { type: 'back', name: seat.name }, seat);
  }

  #joined(room, seat, id, { resumed, missed }) {
    const { maxPlayers, holdMs } = this.double;
    this.send({
      type: 'joined', room: room.id, name: seat.name, players: views(room), max_players: maxPlayers,
      timeline: room.timeline, seq: room.seq, resumed, missed, token: seat.token, hold_ms: holdMs, id,
      ...(room.locked && { locked: true }),
    });
  }

  #kick({ name, id }) {
    const seat = this.room.seats.get(name.toLowerCase());
    if (!seat || seat === this.seat) return this.fail(seat ? 'forbidden' : 'player_not_found', id);
    const { session } = seat;
    end(this.room, seat, 'kicked');
    if (session) Object.assign(session, { room: null, seat: null });
    session?.fail('kicked');
    session?.bye('kicked', 4003);
    this.send({ type: 'kicked', name, id });
  }

  #leave(id) {
    const { room, seat } = this;
    if (!room) return this.fail('not_in_room', id);
    Object.assign(this, { room: null, seat: null });
    end(room, seat, 'left');
    this.send({ type: 'left', room: room.id, id });
  }

  #ended(code) {
    const { double, room, seat } = this;
    double.sessions.delete(this);
    if (!room || seat.session !== this) return;
    Object.assign(seat, { away: true, session: null });
    broadcast(room, { type: 'away', name: seat.name });
    seat.hold = setTimeout(() => end(room, seat, 'timeout'), code === 1001 ? Math.min(10_000, double.holdMs) : double.holdMs);
  }
}

const views = (room) => [...room.seats.values()].map(({ name, away, role }) => ({ name, away, ...(role && { role }) }));

function broadcast(room, message, except) {
  for (const seat of room.seats.values()) if (seat !== except) seat.session?.send(message);
}

function end(room, seat, reason) {
  room.seats.delete(seat.name.toLowerCase());
  broadcast(room, { type: 'exited', name: seat.name, reason });
}

function lock(room, by, locked, id) {
  room.locked = locked;
  broadcast(room, { type: locked ? 'locked' : 'unlocked', by, id });
}

/** Also for tests: somebody says something without a page. Events are all volatile here. */
export function say(room, from, { text, id }) {
  room.seq += 1;
  const message = { from, text, seq: room.seq, at: Date.now(), id };
  room.ring = [...room.ring, message].slice(-RING);
  for (const seat of room.seats.values()) seat.session?.send({ type: 'message', ...message });
}

if (process.argv[1] === fileURLToPath(import.meta.url)) {
  const double = await new Double().start(Number(process.env.PORT ?? 8081));
  process.stdout.write(`The double serves the pages at ${double.url}\n`);
}
