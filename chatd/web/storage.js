// What the browser keeps: the name for good, a room's seat and talk for as long as its tab, and the key of its seats for as long as
// one of them can be held. I/O: web storage.

const NAME = 'chatd.name';
const KEY = 'chatd.key.v1.';
const QUICK = 'chatd.quick.v1';
// A held seat outlives its connection by the hold, and by what it takes until a dead connection or a dead pod is noticed.
const NOTICED_MS = 60_000;
const seatKey = (room) => `chatd.room.v1.${room}`;
const authKey = (room) => `chatd.auth.v1.${room}`;

// Storage may be forbidden or full. The page works without it; it only forgets.
function attempt(action) {
  try {
    return action();
  } catch {
    return null;
  }
}

export const rememberedName = () => attempt(() => localStorage.getItem(NAME)) ?? '';
export const rememberName = (name) => attempt(() => localStorage.setItem(NAME, name));

export const loadRoom = (room) => attempt(() => JSON.parse(sessionStorage.getItem(seatKey(room))));
export const saveRoom = (room, kept) => attempt(() => sessionStorage.setItem(seatKey(room), JSON.stringify(kept)));

/** The join token that an application of this origin has left for its person and `room`, or `null`. */
export const loadAuth = (room) => attempt(() => sessionStorage.getItem(authKey(room))) || undefined;

/** The rooms that a quick join tries, from the one that it tries now on. */
export const saveQuick = (rooms) => attempt(() => sessionStorage.setItem(QUICK, JSON.stringify(rooms)));
export const forgetQuick = () => attempt(() => sessionStorage.removeItem(QUICK));

/** The room after this one, which could not be entered, or none. */
export function nextQuick(room) {
  const [tried, ...rest] = attempt(() => JSON.parse(sessionStorage.getItem(QUICK))) ?? [];
  if (tried !== room) return undefined;
  saveQuick(rest);
  return rest[0];
}

export const forgetRoom = (room) => attempt(() => [seatKey, authKey].forEach((key) => sessionStorage.removeItem(key(room))));

/** The key that makes JOIN find this browser's own seat in `room` again: 128 random bits, new where no seat can be held with the old. */
export function loadKey(room, now) {
  attempt(() => Object.keys(localStorage).filter((name) => name.startsWith(KEY)).forEach((name) => dropIfOld(name, now)));
  const kept = attempt(() => JSON.parse(localStorage.getItem(KEY + room)));
  return kept?.key ?? [...crypto.getRandomValues(new Uint8Array(16))].map((byte) => byte.toString(16).padStart(2, '0')).join('');
}

/** Whether a seat of this browser may be held in `room`; asked after `loadKey` has dropped what is too old. */
export const hasKey = (room) => attempt(() => localStorage.getItem(KEY + room)) !== null;

function dropIfOld(name, now) {
  const kept = attempt(() => JSON.parse(localStorage.getItem(name)));
  if (!(kept?.until > now)) localStorage.removeItem(name);
}

export const saveKey = (room, key, holdMs, now) => attempt(() => (
  localStorage.setItem(KEY + room, JSON.stringify({ key, until: now + holdMs + NOTICED_MS }))
));
export const forgetKey = (room) => attempt(() => localStorage.removeItem(KEY + room));
