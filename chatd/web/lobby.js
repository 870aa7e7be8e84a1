// The lobby: a name, and a room made, joined, or chosen from those that are open. I/O: the document, one POST, and the way to the room's page.

import { addressOf } from './address.js';
import { nameFrom, roomFrom } from './names.js';
import { OpenRooms } from './open-rooms.js';
import { quickOrder } from './quick.js';
import { rememberName, rememberedName, saveQuick } from './storage.js';
import { errorWords } from './words.js';

const form = document.getElementById('lobby');
const nameInput = document.getElementById('name');
const roomInput = document.getElementById('room');
const joinButton = document.getElementById('join');
const createButton = document.getElementById('create');
const quickButton = document.getElementById('quick');
const notice = document.getElementById('notice');
const alertText = document.getElementById('alert');

const errorOf = (input) => document.getElementById(`${input.id}-error`);

function complain(code, sentence, input) {
  const words = errorWords(code, sentence);
  if (!input) {
    alertText.textContent = words;
    notice.classList.add('shown');
    return;
  }
  errorOf(input).textContent = words;
  input.setAttribute('aria-invalid', 'true');
  input.focus();
}

function clear() {
  alertText.textContent = '';
  notice.classList.remove('shown');
  for (const input of [nameInput, roomInput]) {
    input.removeAttribute('aria-invalid');
    errorOf(input).textContent = '';
  }
}

/** Without a name the room's page asks for one. */
const linkTo = (room, name) => `${addressOf('room')}?${new URLSearchParams({ room, ...(name && { name }) })}`;

function enter(room, name, order = []) {
  saveQuick(order);
  location.assign(linkTo(room, name));
}

/** The room's page goes on with the next one where nobody can come into the first any more. */
function quickJoin(name) {
  const order = quickOrder(openRooms.rooms);
  if (order.length === 0) return;
  enter(order[0], name, order);
}

async function create(name) {
  createButton.disabled = true;
  try {
    const response = await fetch(addressOf('api/rooms'), { method: 'POST', signal: AbortSignal.timeout(10_000) });
    const answer = await response.json().catch(() => ({}));
    if (response.ok && answer.room) enter(answer.room, name);
    else complain(answer.error?.code ?? 'unavailable', answer.error?.message);
  } catch {
    complain('unreachable');
  } finally {
    createButton.disabled = false;
    if (document.activeElement === document.body) createButton.focus();
  }
}

// Enter in a field means the room that was typed, and a new one where none was.
function wantsJoin(submitter) {
  if (submitter === joinButton) return true;
  return document.activeElement instanceof HTMLInputElement && roomInput.value.trim() !== '';
}

form.addEventListener('submit', (event) => {
  event.preventDefault();
  clear();
  const name = nameFrom(nameInput.value);
  if (!name) return complain('bad_name', undefined, nameInput);
  rememberName(name);
  if (event.submitter === quickButton) return quickJoin(name);
  if (!wantsJoin(event.submitter)) return create(name);
  const room = roomFrom(roomInput.value);
  if (!room) return complain('bad_room', undefined, roomInput);
  enter(room, name);
});

// A pasted link becomes its room at once, so that one sees what will be joined.
roomInput.addEventListener('input', () => {
  const room = roomFrom(roomInput.value);
  if (room && room !== roomInput.value) roomInput.value = room;
});

form.addEventListener('input', clear);
// A link that lost its path.
roomInput.value = roomInput.value || roomFrom(location.search) || '';
nameInput.value = nameInput.value || rememberedName();
nameInput.focus();
nameInput.select();

const openRooms = new OpenRooms((room) => linkTo(room, nameFrom(nameInput.value)), () => nameInput.focus());
nameInput.addEventListener('input', () => openRooms.link());
document.getElementById('open-rooms').addEventListener('click', ({ target }) => {
  const name = nameFrom(nameInput.value);
  if (name && target.closest('a')) rememberName(name);
});
