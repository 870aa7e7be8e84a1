// The room's document: shows a session's state and turns what a person does into events. I/O: the document.

import { Composer } from './composer.js';
import { offerInvite } from './invite.js';
import { nameFrom } from './names.js';
import { errorWords, presentWords, statusWords, stopWords } from './words.js';
import { Messages } from './messages.js';
import { Moderator } from './moderator.js';
import { playerRows, seated } from './players.js';
import { connectionStatus } from './visit.js';

const LOG_LINES = 10;
// Longer than the pause between two such events, so that it does not flicker.
const TYPING_MS = 5000;

const byId = (id) => document.getElementById(id);

export class View {
  #dispatch;
  #messages;
  #composer;
  #moderator;
  #phase = null;
  #unread = 0;
  #room;
  #state;
  /** Who is typing, with the timer that ends it. */
  #typing = new Map();

  constructor({ room, invite, dispatch, suggestedName }) {
    this.#dispatch = dispatch;
    this.#room = room;
    // The button hides itself: the focus goes back to where one writes, and a pointer does not take it from there.
    byId('newer').addEventListener('mousedown', (event) => event.preventDefault());
    byId('newer').addEventListener('click', () => document.activeElement === byId('newer') && byId('draft').focus());
    this.#messages = new Messages(byId('messages'), byId('scroller'), byId('newer'), (event) => {
      dispatch(event);
      byId('draft').focus();
    });
    this.#composer = new Composer(byId('composer'), byId('draft'), byId('bytes'), (text) => dispatch({ type: 'say', text }));
    byId('draft').addEventListener('input', () => this.draft !== '' && dispatch({ type: 'typing' }));
    this.#moderator = new Moderator(dispatch);
    byId('room-code').textContent = room ?? '–';
    offerInvite(invite, () => dispatch({ type: 'refused', code: 'copy_failed' }));
    byId('name').value = suggestedName;
    this.#listen();
  }

  get draft() {
    return this.#composer.text;
  }

  clearDraft() {
    this.#composer.set('');
  }

  restoreDraft(text) {
    if (text) this.#composer.set(text);
  }

  /** A refused text goes back to the input, if nothing else is being written there. */
  giveBack(text) {
    if (this.draft !== '') return false;
    this.#composer.set(text);
    return true;
  }

  /** Only this is read out by itself: what others say while the page is there, not what is shown again. */
  announce({ from, text }) {
    this.#endTyping(from);
    const line = document.createElement('p');
    line.append(bidi(from), ': ', bidi(text));
    const log = byId('log');
    log.append(line);
    while (log.childElementCount > LOG_LINES) log.firstElementChild.remove();
    if (document.visibilityState === 'hidden') this.#unread += 1;
    this.#title();
  }

  showTyping(name) {
    clearTimeout(this.#typing.get(name));
    this.#typing.set(name, setTimeout(() => this.#endTyping(name), TYPING_MS));
    this.#renderSeats(this.#state);
  }

  #endTyping(name) {
    clearTimeout(this.#typing.get(name));
    if (this.#typing.delete(name)) this.#renderSeats(this.#state);
  }

  render(state) {
    this.#state = state;
    const status = connectionStatus(state);
    setText(byId('status'), statusWords(status, state.holdMs, state.locked));
    byId('status').dataset.status = status;
    byId('status').toggleAttribute('data-locked', state.locked && status === 'connected');
    this.#renderSeats(state);
    this.#messages.render(state);
    this.#renderNotice(state);
    this.#renderPresent(state);
    this.#renderEmpty(state);
    this.#renderPanels(state);
    this.#moderator.render(state);
  }

  #renderSeats({ players, maxPlayers, name, phase, moderates }) {
    const remove = moderates && phase === 'joined' ? (who) => this.#moderator.ask(who) : null;
    const focused = document.activeElement?.dataset.name;
    byId('players').replaceChildren(...playerRows(players, maxPlayers, name, this.#typing, remove));
    if (focused) [...byId('players').querySelectorAll('.remove')].find((button) => button.dataset.name === focused)?.focus();
    byId('players').classList.toggle('stale', phase !== 'joined');
    setText(byId('seats-count'), maxPlayers ? `${seated(players)} of ${maxPlayers}` : '');
  }

  #renderPresent({ phase, present, stop }) {
    const shown = { asking: 'ask-present', stopped: stop?.code === 'room_full' ? 'stopped-present' : null }[phase];
    for (const id of ['ask-present', 'stopped-present']) {
      const rows = id === shown && present ? presentRows(present) : [];
      byId(id).replaceChildren(...rows);
    }
  }

  #renderNotice({ error, phase }) {
    const words = error ? errorWords(error.code, error.message) : '';
    const nameIsWrong = ['looking', 'asking'].includes(phase) && ['bad_name', 'name_taken'].includes(error?.code);
    setText(byId('alert'), nameIsWrong ? '' : words);
    byId('notice').classList.toggle('shown', words !== '' && !nameIsWrong);
    setText(byId('name-error'), nameIsWrong ? words : '');
    setInvalid(byId('name'), nameIsWrong);
  }

  #renderEmpty({ phase, items, outbox, players }) {
    const quiet = outbox.length === 0 && !items.some(({ kind }) => kind === 'message');
    byId('empty').hidden = phase !== 'joined' || !quiet;
    const alone = players.length <= 1;
    setText(byId('empty-title'), alone ? 'Nobody else is here yet.' : 'Nobody has said anything yet.');
    byId('invite').hidden = !alone;
  }

  #renderPanels({ phase, stop, wasIn }) {
    byId('composer').hidden = !wasIn;
    byId('ask').hidden = phase !== 'asking';
    byId('stopped').hidden = phase !== 'stopped';
    byId('leave').hidden = ['looking', 'asking', 'stopped'].includes(phase);
    document.body.classList.toggle('outside', !wasIn && ['looking', 'asking', 'stopped'].includes(phase));
    if (stop) {
      const words = stopWords(stop.code, stop.message);
      setText(byId('stopped-title'), words.title);
      setText(byId('stopped-text'), words.text);
      setText(byId('again'), words.again ?? '');
      byId('again').hidden = !words.again;
      byId('again').classList.toggle('primary', !words.lobbyFirst);
      byId('lobby-link').classList.toggle('primary', words.lobbyFirst);
    }
    if (phase !== this.#phase) this.#arrive(phase, wasIn);
    this.#phase = phase;
  }

  // Focus moves only where the element that it should be in has just appeared; else it stays where the person put it.
  #arrive(phase, wasIn) {
    if (phase === 'asking') {
      byId('name').focus();
      byId('name').select();
    } else if (phase === 'stopped' && !wasIn) {
      byId('stopped').querySelector('.primary').focus();
    } else if (phase === 'joined' && (document.activeElement === document.body || byId('ask').contains(document.activeElement))) {
      byId('draft').focus();
    }
  }

  #listen() {
    byId('ask').addEventListener('submit', (event) => {
      event.preventDefault();
      const name = nameFrom(byId('name').value);
      this.#dispatch(name ? { type: 'named', name } : { type: 'refused', code: 'bad_name' });
    });
    byId('again').addEventListener('click', () => {
      this.#dispatch({ type: 'retry' });
      if (!byId('composer').hidden) byId('draft').focus();
    });
    byId('dismiss').addEventListener('click', () => {
      this.#dispatch({ type: 'dismiss' });
      (byId('composer').hidden ? byId('name') : byId('draft')).focus();
    });
    byId('leave').addEventListener('click', () => this.#dispatch({ type: 'leave' }));
    document.addEventListener('visibilitychange', () => {
      if (document.visibilityState === 'visible') this.#unread = 0;
      this.#title();
    });
    this.#title();
  }

  #title() {
    const unread = this.#unread > 0 ? `(${this.#unread}) ` : '';
    document.title = `${unread}${this.#room ? `Room ${this.#room}` : 'No such room'} · chatd`;
  }
}

function presentRows(present) {
  const words = document.createElement('p');
  words.textContent = presentWords(present);
  if (!present.names?.length) return [words];
  const list = document.createElement('ul');
  list.className = 'players';
  list.append(...playerRows(present.names.map((name) => ({ name, away: false })), present.names.length, null));
  return [words, list];
}

function bidi(text) {
  const element = document.createElement('bdi');
  element.textContent = text;
  return element;
}

// A live region speaks when it is written to, so the same words are not written twice.
function setText(element, text) {
  if (element.textContent !== text) element.textContent = text;
}

function setInvalid(input, invalid) {
  if (invalid) input.setAttribute('aria-invalid', 'true');
  else input.removeAttribute('aria-invalid');
}
