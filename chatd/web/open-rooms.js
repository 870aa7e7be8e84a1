// The open rooms in the lobby, which are asked for again while somebody looks. I/O: the document, a GET now and then.

import { addressOf } from './address.js';

const EVERY_MS = 10_000;
const PATIENCE_MS = 8000;

const section = document.getElementById('open');
const list = document.getElementById('open-rooms');
const status = document.getElementById('open-status');

export class OpenRooms {
  /** As the server had them last: `{room, kind?, players, max_players}`. */
  rooms = [];
  /** The rows, each with the id of its room. */
  #places = [];
  #linkTo;
  #left;
  #timer;

  /** `linkTo` gives the address of a room. `left` is called where the list, in which the focus was, goes away. */
  constructor(linkTo, left) {
    this.#linkTo = linkTo;
    this.#left = left;
    document.addEventListener('visibilitychange', () => this.#look());
    this.#look();
  }

  /** The links have changed. */
  link() {
    for (const { row, room } of this.#places) row.querySelector('a').href = this.#linkTo(room);
  }

  async #look() {
    clearTimeout(this.#timer);
    if (document.visibilityState !== 'visible') return;
    this.#timer = setTimeout(() => this.#look(), EVERY_MS);
    try {
      const response = await fetch(addressOf('api/rooms'), { signal: AbortSignal.timeout(PATIENCE_MS) });
      const { rooms } = await response.json();
      if (response.ok) this.#show(rooms);
    } catch {
      // What was there last stays.
    }
  }

  // A room keeps its place, so that nothing moves under a pointer; a new one takes that of a room that is not open any more.
  #show(rooms) {
    this.rooms = rooms;
    const open = new Map(rooms.map((about) => [about.room, about]));
    const isFree = ({ row, room }) => !open.has(room) && !row.contains(document.activeElement);
    const known = new Set(this.#places.map(({ room }) => room));
    const free = this.#places.filter(isFree);
    for (const { room } of rooms.filter((about) => !known.has(about.room))) (free.shift() ?? this.#append()).room = room;
    while (this.#places.length > 0 && isFree(this.#places.at(-1))) this.#places.pop().row.remove();
    for (const { row, room } of this.#places) fill(row, room, open.get(room));
    this.link();
    if (rooms.length === 0 && section.contains(document.activeElement)) this.#left();
    section.hidden = rooms.length === 0;
    const words = rooms.length === 0 ? '' : `${rooms.length} open room${rooms.length === 1 ? '' : 's'}`;
    if (status.textContent !== words) status.textContent = words;
  }

  #append() {
    const row = document.getElementById('open-row').content.firstElementChild.cloneNode(true);
    list.append(row);
    this.#places.push({ row });
    return this.#places.at(-1);
  }
}

function fill(row, room, about) {
  const [id, kind, seats, link] = row.querySelectorAll('code, .tag, .hint, a');
  row.classList.toggle('gone', !about);
  id.textContent = room;
  link.setAttribute('aria-label', `Join ${room}`);
  link.hidden = !about && link !== document.activeElement;
  seats.textContent = about ? `${about.players} of ${about.max_players} seats taken` : 'Not open any more';
  if (!about) return;
  kind.textContent = about.kind ?? '';
  kind.hidden = !about.kind;
}
