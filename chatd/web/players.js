// The seats of a room as list items: who sits there, who is away, what is free. I/O: makes elements; it keeps
// each name's colour.

import { sameName } from './client/protocol.js';

const HUES = 6;
const MOST_NAMES = 256;

const hues = new Map();

/**
 * A player's colour, as a class. It starts from the name, so that pages mostly agree, keeps away from the colours of those
 * who sit here when it is first asked for, and then stays.
 */
export function hueOf(name, players) {
  const key = name.toLowerCase();
  if (!hues.has(key)) {
    const taken = new Set(players.map((player) => hues.get(player.name.toLowerCase())));
    let hue = hash(key) % HUES;
    for (let tries = 0; taken.has(hue) && tries < HUES; tries += 1) hue = (hue + 1) % HUES;
    if (hues.size >= MOST_NAMES) hues.delete(hues.keys().next().value);
    hues.set(key, hue);
  }
  return `hue-${hues.get(key)}`;
}

function hash(name) {
  return [...name].reduce((sum, letter) => (sum * 31 + letter.codePointAt(0)) % 65_521, 7);
}

export function avatar(name, hue) {
  const element = document.createElement('span');
  element.className = `avatar ${hue}`;
  element.setAttribute('aria-hidden', 'true');
  element.textContent = name.slice(0, 1).toUpperCase();
  return element;
}

/** How many have a player's seat: who only hears takes none. */
export const seated = (players) => players.filter(({ role }) => role !== 'viewer').length;

/** `typing` has the names of those who are typing. `remove` sends somebody out, where one may just now. */
export function playerRows(players, maxPlayers, ownName, typing = new Set(), remove = null) {
  const rows = players.map((player) => {
    const own = sameName(player.name, ownName);
    const row = taken(player, hueOf(player.name, players), own, typing.has(player.name));
    if (remove && !own) row.append(removal(player.name, remove));
    return row;
  });
  // Where many more seats are set up, a long column of free ones would say nothing.
  const free = Math.min(Math.max(0, maxPlayers - seated(players)), 8 - Math.min(8, players.length));
  for (let seat = 0; seat < free; seat += 1) rows.push(freeSeat());
  return rows;
}

function taken({ name, away, display, role }, hue, own, typing) {
  const row = document.createElement('li');
  row.className = `player ${away ? 'away' : typing ? 'typing' : ''}`.trim();
  const label = document.createElement('bdi');
  label.className = 'player-name';
  label.textContent = name;
  row.append(avatar(name, hue), label);
  if (display) row.append(shown(display));
  if (role) row.append(tag(role));
  if (own) row.append(tag('you'));
  if (away) row.append(tag('away'));
  else if (typing) row.append(tag('typing…'));
  return row;
}

/** What the application calls the player. It may hold any text, in any direction. */
function shown(display) {
  const element = document.createElement('bdi');
  element.className = 'player-display';
  element.textContent = display;
  return element;
}

function tag(text) {
  const element = document.createElement('span');
  element.className = 'tag';
  element.textContent = text;
  return element;
}

function removal(name, remove) {
  const button = document.createElement('button');
  button.type = 'button';
  button.className = 'icon-button remove';
  button.dataset.name = name;
  button.title = `Remove ${name}`;
  button.setAttribute('aria-label', button.title);
  button.addEventListener('click', () => remove(name));
  return button;
}

function freeSeat() {
  const row = document.createElement('li');
  row.className = 'player free';
  const circle = document.createElement('span');
  circle.className = 'avatar';
  circle.setAttribute('aria-hidden', 'true');
  const label = document.createElement('span');
  label.className = 'player-name';
  label.textContent = 'Free seat';
  row.append(circle, label);
  return row;
}
