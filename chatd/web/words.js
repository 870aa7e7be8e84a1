// The page's words for every code that it may have to explain. Pure: no I/O.

const ERRORS = {
  bad_command: 'The server did not understand this page. Reload it: it may be older than the server.',
  bad_room: 'That is not a room code. A code has letters, digits, - . and _, like k3v9x2ab, and no spaces.',
  bad_name: 'A name has 1 to 24 letters, digits, _ - . or \', without spaces.',
  bad_text: 'That message has nothing to show, or holds characters that cannot be sent.',
  line_too_long: 'That message is longer than the server takes. Send it in parts.',
  text_too_long: 'That message is too long. Shorten it, or send it in parts.',
  room_not_found: 'There is no such room. Its code may be mistyped, or it closed after everybody had left.',
  room_full: 'Every seat in this room is taken. Try again when somebody has left.',
  room_exists: 'There is such a room already, of another kind.',
  room_locked: 'This room is locked: nobody new comes in for now.',
  name_taken: 'Somebody in this room has that name already, or one that looks like it. Choose another.',
  bad_token: 'Your seat was not held any longer.',
  auth_required: 'There is no room with this code that everyone may enter. If an application gave you the link, open the room from there.',
  auth_invalid: 'The application has let you in with something that the server does not accept. Open the room from there again.',
  auth_expired: 'The time for which the application let you in is over. Open the room from there again.',
  banned: 'A moderator keeps you out of this room for a while.',
  player_not_found: 'Nobody in this room has that name.',
  kicked: 'A moderator has ended your seat in this room.',
  forbidden: 'You may not do that in this room.',
  version_conflict: 'Somebody has changed that meanwhile.',
  state_full: 'This room cannot keep any more.',
  already_in_room: 'This connection is in a room already. Connecting again.',
  not_in_room: 'The server does not know you in this room any longer. Connecting again.',
  rate_limited: 'That was too fast. Wait a moment, then send it again.',
  too_many_connections: 'The server has no place for another connection right now.',
  too_many_from_address: 'Your network has as many connections to this server as it may have. Close other tabs of this chat, or try again later.',
  too_many_rooms: 'The server has no place for another room right now. Try again in a minute.',
  unavailable: 'The room does not answer right now. This may take a few seconds.',
  timeout: 'The server closed the connection: it heard nothing from this page for too long.',
  slow_consumer: 'Messages came faster than this connection could take them, so the server closed it.',
  overloaded: 'The server had to free memory and closed this connection, which held the most of it.',
  shutting_down: 'The server is being restarted. Try again in a moment.',
  moved: 'The room has moved to another server. Connecting again.',
  replaced: 'You went on in another tab or window. Only one of them can sit in your seat.',
  closed: 'It has ended for everyone. What was said is here until you go.',
  bad_request: 'The server could not read the request. Reload the page.',
  bad_origin: 'This server does not accept connections from this address.',
  bad_host: 'This server does not answer under this address.',
  not_found: 'The server does not know this address.',
  method_not_allowed: 'The server does not allow this here. Reload the page.',
  too_large: 'The request was larger than the server takes.',
  unreachable: 'The server cannot be reached. Check your network.',
  refused: 'The room is there, but the server refused the connection.',
  outbox_full: 'Too many messages wait to be sent. Wait for the connection to come back.',
  not_here: 'You are not in the room here, so this was not sent.',
  copy_failed: 'The link could not be copied. It is this page’s address without the name.',
};

/** What is wrong and what to do. For a code that this page is too old to know: the server's own sentence. */
export function errorWords(code, sentence) {
  return Object.hasOwn(ERRORS, code) ? ERRORS[code] : sentence || 'Something went wrong. Try again.';
}

const STATUS = {
  asking: 'Not in the room yet',
  connecting: 'Connecting…',
  connected: 'Connected',
  trying: 'Not connected yet. Trying again…',
  reconnecting: 'Connection lost. Reconnecting…',
  offline: 'You are offline. Reconnecting when the network is back.',
  stopped: 'Not connected',
};

/** `holdMs`: how long the own seat is held without a connection; 0: not known. */
export function statusWords(status, holdMs = 0, locked = false) {
  if (locked && status === 'connected') return `${STATUS.connected}. The room is locked: nobody new comes in.`;
  const held = holdMs > 0 && (status === 'reconnecting' || status === 'offline');
  return held ? `${STATUS[status]} Your seat is held for ${durationWords(holdMs)}.` : STATUS[status];
}

function durationWords(ms) {
  return ms < 120_000 ? `${Math.round(ms / 1000)} seconds` : `${Math.round(ms / 60_000)} minutes`;
}

/** Who is in the room, to somebody who is not: the line above their names, or alone where the names are not known. */
export function presentWords({ count, maxPlayers, names }) {
  if (count === 0) return 'Nobody is here yet. You would be the first.';
  const seats = `${count} of ${maxPlayers} seats ${count === 1 ? 'is' : 'are'} taken`;
  return names ? `${seats}:` : `${seats}.`;
}

const EXITS = {
  left: 'left',
  disconnected: 'lost the connection and did not come back',
  timeout: 'did not come back',
  slow: 'was dropped: the connection was too slow',
  moved: 'went to another server',
  kicked: 'was sent out by a moderator',
};

/** What happened to the player whose name stands before it, or the whole note where there is none. */
export function noteWords(note) {
  switch (note.code) {
    case 'entered': return 'joined';
    case 'exited': return EXITS[note.reason] ?? 'left';
    case 'away': return `lost the connection; the seat is held for ${note.holdMs > 0 ? `up to ${durationWords(note.holdMs)}` : 'a while'}`;
    case 'back': return 'is back';
    case 'locked': return 'locked the room: nobody new comes in';
    case 'unlocked': return 'unlocked the room';
    case 'rejoined': return 'You were gone too long for your seat to be held, so this is a new one. What was said in between is not here.';
    case 'took_over': return 'Another server took the room over. What was said just before may be missing.';
    case 'gap': return gapWords(note.count);
    default: return '';
  }
}

/** How long a player who is sent out is kept out; 0: not at all. */
export function banWords(seconds) {
  if (seconds === 0) return 'May come back at once';
  const [count, unit] = seconds >= 86_400 ? [seconds / 86_400, 'day'] : seconds >= 3600 ? [seconds / 3600, 'hour'] : [seconds / 60, 'minute'];
  return `Kept out for ${count} ${unit}${count === 1 ? '' : 's'}`;
}

function gapWords(count) {
  if (count === null) return 'Some messages may be missing here.';
  return count === 1 ? 'One message is missing here.' : `${count} messages are missing here.`;
}

const DELIVERY = {
  queued: 'Waiting to be sent',
  sent: 'Sending…',
  unsure: 'This may or may not have arrived.',
  failed: 'Not sent.',
};

export function deliveryWords(delivery) {
  return DELIVERY[delivery];
}

/**
 * The panel that is shown when the page cannot continue by itself. `again`: the label of the retry button, if any;
 * `lobbyFirst`: the way to the lobby is what most people will want.
 */
export function stopWords(code, sentence) {
  const text = errorWords(code, sentence);
  switch (code) {
    case 'bad_room': return { title: 'No such room', text, again: null, lobbyFirst: true };
    case 'room_not_found': return { title: 'No such room', text, again: 'Try again', lobbyFirst: true };
    case 'closed': return { title: 'The room has ended', text, again: null, lobbyFirst: true };
    case 'room_locked': return { title: 'The room is locked', text, again: 'Try again', lobbyFirst: false };
    case 'room_full': return { title: 'The room is full', text, again: 'Try again', lobbyFirst: false };
    case 'kicked':
    case 'banned': return { title: 'You were sent out', text, again: code === 'banned' ? 'Try again' : null, lobbyFirst: true };
    case 'replaced': return { title: 'Open somewhere else', text, again: 'Use it here', lobbyFirst: false };
    default: return { title: 'You are not in the room', text, again: 'Try again', lobbyFirst: false };
  }
}
