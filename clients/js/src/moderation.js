// What moderators may do, and what the server says of a room's lock. Pure: no I/O.

/** @typedef {{type: string, locked?: boolean}} Told */

/** `banSeconds`: for how long the player may not come in again. @param {string} name @param {number} [banSeconds] */
export const kick = (name, banSeconds) => ({ type: 'kick', name, ...(banSeconds !== undefined && { ban_s: banSeconds }) });

/** @param {boolean} locked */
export const lock = (locked) => ({ type: locked ? 'lock' : 'unlock' });

/** Whether it is the answer to one of these, where it has its id. @param {Told} told */
export const isDone = ({ type }) => ['kicked', 'locked', 'unlocked'].includes(type);

/**
 * Whether the room is locked after this message. Who may have missed a change is told how it is now, or nothing, where it is not locked.
 *
 * @param {boolean} before @param {Told} told
 */
export function lockedAfter(before, { type, locked }) {
  if (['joined', 'moved', 'missed'].includes(type)) return locked === true;
  return type === 'locked' || (before && type !== 'unlocked');
}
