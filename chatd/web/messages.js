// The list of messages: one row for each message or note, made once and kept in the room's order. I/O: the document.

import { withDays } from './days.js';
import { partsOf } from './links.js';
import { avatar, hueOf } from './players.js';
import { deliveryWords, noteWords } from './words.js';

const SAME_TURN_MS = 3 * 60_000;
const NEAR_END_PX = 80;
const clock = new Intl.DateTimeFormat(undefined, { hour: '2-digit', minute: '2-digit' });
const calendar = new Intl.DateTimeFormat(undefined, { weekday: 'long', day: 'numeric', month: 'long' });
const moment = new Intl.DateTimeFormat(undefined, { dateStyle: 'full', timeStyle: 'medium' });

export class Messages {
  #list;
  #scroller;
  #newer;
  #dispatch;
  #rows = new Map();
  #following = true;
  /** Where the end was, when it was last scrolled to. */
  #end = 0;
  #unseen = 0;

  /** `dispatch` takes what the buttons on an undelivered message ask for. */
  constructor(list, scroller, newer, dispatch) {
    this.#list = list;
    this.#scroller = scroller;
    this.#newer = newer;
    this.#dispatch = dispatch;
    newer.addEventListener('click', () => {
      this.#following = true;
      this.#toEnd();
    });
    scroller.addEventListener('scroll', () => {
      this.#following = this.#isNearEnd();
      if (this.#following) this.#seen();
    }, { passive: true });
    // The end stays in sight when the window, or a phone's keyboard, changes the height.
    new ResizeObserver(() => this.#following && this.#toEnd()).observe(scroller);
  }

  render({ items, outbox, players }) {
    const shown = withDays([...items, ...outbox], Date.now());
    const keys = new Set(shown.map(({ key }) => key));
    let added = 0;
    let wrote = false;
    // The event of a scroll comes with the next frame, and a message may be earlier.
    if (this.#scroller.scrollTop < this.#end && !this.#isNearEnd()) this.#following = false;
    for (const [key, { element }] of this.#rows) {
      if (keys.has(key)) continue;
      element.remove();
      this.#rows.delete(key);
    }
    shown.forEach((item, index) => {
      let row = this.#rows.get(item.key);
      if (row?.item !== item && !(row && item.kind === 'day')) {
        const element = this.#row(item, players);
        element.classList.toggle('fresh', !row);
        row?.element.replaceWith(element);
        if (!row && item.kind === 'message' && !item.mine) added += 1;
        wrote ||= !row && item.mine && item.delivery !== undefined;
        row = { item, element };
        this.#rows.set(item.key, row);
      }
      row.element.classList.toggle('continued', continues(shown[index - 1], item));
      if (this.#list.children[index] !== row.element) this.#list.insertBefore(row.element, this.#list.children[index] ?? null);
    });
    if (wrote) this.#following = true;
    if (this.#following) this.#toEnd();
    else if (added > 0) {
      this.#unseen += added;
      this.#newer.textContent = this.#unseen === 1 ? '1 new message' : `${this.#unseen} new messages`;
      this.#newer.hidden = false;
    }
  }

  #toEnd() {
    this.#scroller.scrollTop = this.#scroller.scrollHeight;
    this.#end = this.#scroller.scrollTop;
    this.#seen();
  }

  #isNearEnd() {
    const { scrollHeight, scrollTop, clientHeight } = this.#scroller;
    return scrollHeight - scrollTop - clientHeight < NEAR_END_PX;
  }

  #seen() {
    this.#unseen = 0;
    this.#newer.hidden = true;
  }

  #row(item, players) {
    switch (item.kind) {
      case 'day': return dayRow(item);
      case 'note': return noteRow(item);
      default: return this.#messageRow(item, players);
    }
  }

  #messageRow(item, players) {
    const row = document.createElement('li');
    const hue = hueOf(item.from, players);
    row.title = moment.format(item.at);
    row.className = `message ${item.mine ? 'mine' : 'theirs'} ${item.delivery ?? 'delivered'}`;
    const head = document.createElement('p');
    head.className = 'message-head';
    const name = bidi(item.from);
    name.className = item.mine ? 'visually-hidden' : `message-from ${hue}`;
    head.append(name, ' ', timeOf(item.at));
    const text = document.createElement('bdi');
    text.append(...partsOf(item.text).map(partOf));
    text.className = 'message-text';
    row.append(avatar(item.from, hue), head, text);
    if (item.delivery) row.append(this.#delivery(item));
    return row;
  }

  #delivery({ id, delivery }) {
    const line = document.createElement('p');
    line.className = 'delivery';
    const words = document.createElement('span');
    words.textContent = deliveryWords(delivery);
    line.append(words);
    if (delivery === 'unsure' || delivery === 'failed') {
      line.append(this.#button('Send again', { type: 'resend', id }), this.#button('Remove', { type: 'discard', id }));
    }
    return line;
  }

  #button(words, event) {
    const button = document.createElement('button');
    button.type = 'button';
    button.className = 'text-button';
    button.textContent = words;
    button.addEventListener('click', () => this.#dispatch(event));
    return button;
  }
}

function continues(before, item) {
  return before?.kind === 'message' && item.from === before.from && item.at - before.at < SAME_TURN_MS;
}

function dayRow({ at }) {
  const row = document.createElement('li');
  row.className = 'note day';
  const words = document.createElement('time');
  words.dateTime = new Date(at).toISOString().slice(0, 10);
  words.textContent = calendar.format(at);
  row.append(words);
  return row;
}

function noteRow(item) {
  const row = document.createElement('li');
  row.title = moment.format(item.at);
  row.className = item.name ? 'note' : 'note wide-note';
  const words = document.createElement('span');
  if (item.name) words.append(bidi(item.name), ' ');
  words.append(noteWords(item));
  row.append(words);
  return row;
}

function bidi(text) {
  const element = document.createElement('bdi');
  element.textContent = text;
  return element;
}

function partOf({ text, href }) {
  if (!href) return text;
  const link = document.createElement('a');
  Object.assign(link, { href, target: '_blank', rel: 'noopener noreferrer nofollow', title: href, textContent: text });
  return link;
}

function timeOf(at) {
  const element = document.createElement('time');
  element.dateTime = new Date(at).toISOString();
  element.textContent = clock.format(at);
  return element;
}
