// What the owner of a room is told of a state, and what becomes of what is not waited for any longer. Pure: no I/O.

/** @import { Own, State } from '../internal.js' */
/** @import { Lost, Problem } from './index.js' */

/** @param {State} state @returns {Problem | null} */
export function problemOf({ phase, error }) {
  const shown = phase === 'joined' ? error?.about === 'auth' : error?.about !== 'message';
  return shown ? problem(error) : null;
}

/** Why nothing more can come of it, or `null`. @param {State} state @returns {Problem | null} */
export function endOf({ phase, stop }) {
  return phase === 'left' ? { code: 'left' } : problem(stop);
}

/** @param {State['stop']} what @returns {Problem | null} */
const problem = (what) => what && { code: what.code, ...(what.message !== undefined && { message: what.message }) };

/** @param {Own} own @param {string} code @returns {Lost} */
export const givenUp = ({ delivery }, code) => ({ delivery: delivery === 'sent' ? 'unsure' : 'failed', code });
