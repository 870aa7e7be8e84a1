// The controls of a moderator: the lock, and the question before somebody is sent out. I/O: the document.

import { BANS } from './moderation.js';
import { banWords } from './words.js';

const byId = (id) => document.getElementById(id);

export class Moderator {
  #dispatch;
  #name = null;
  #locked = false;

  constructor(dispatch) {
    this.#dispatch = dispatch;
    byId('lock').addEventListener('click', () => dispatch({ type: 'lock', locked: !this.#locked }));
    byId('kick-ban').append(...[0, ...BANS].map((seconds) => new Option(banWords(seconds), seconds)));
    byId('kick-cancel').addEventListener('click', () => byId('kick').close());
    byId('kick-form').addEventListener('submit', (event) => {
      event.preventDefault();
      byId('kick').close();
      dispatch({ type: 'kick', name: this.#name, banSeconds: Number(byId('kick-ban').value) });
    });
    // The button of a player who has gone meanwhile is no place to go back to.
    byId('kick').addEventListener('close', () => document.activeElement === document.body && byId('draft').focus());
  }

  render({ moderates, locked, phase, players }) {
    this.#locked = locked;
    const isIn = phase === 'joined';
    byId('lock').hidden = !moderates || !isIn;
    byId('lock').classList.toggle('done', locked);
    const words = locked ? 'Unlock the room' : 'Lock the room';
    if (byId('lock-text').textContent !== words) byId('lock-text').textContent = words;
    if (byId('kick').open && (!isIn || !players.some(({ name }) => name === this.#name))) byId('kick').close();
  }

  /** Asks whether the player is to be sent out. */
  ask(name) {
    this.#name = name;
    byId('kick-name').textContent = name;
    byId('kick-ban').value = '0';
    byId('kick').showModal();
  }
}
