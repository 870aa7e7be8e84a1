// The lobby: a name, and a room made or joined. I/O: the document, one POST, and the way to the room's page.

import { addressOf } from './address.js';
import { nameFrom, roomFrom } from './names.js';
import { rememberName, rememberedName } from './storage.js';
import { errorWords } from './words.js';

const form = document.getElementById('lobby');
const nameInput = document.getElementById('name');
const roomInput = document.getElementById('room');
const joinButton = document.getElementById('join');
const createButton = document.getElementById('create');
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

function enter(room, name) {
  location.assign(`${addressOf('room')}?${new URLSearchParams({ room, name })}`);
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
