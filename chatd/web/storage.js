// What the browser keeps: the name for good, and a room's seat and talk for as long as its tab. I/O: web storage.

const NAME = 'chatd.name';
const seatKey = (room) => `chatd.room.v1.${room}`;

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
export const forgetRoom = (room) => attempt(() => sessionStorage.removeItem(seatKey(room)));
