// What the system says of the network, of sleep, and of whether anybody looks: where there is such a system. I/O: listens to events of
// a page or a worker; in Node there are none.

/** @import { Event } from '../internal.js' */

/**
 * Calls `dispatch` until the function that it returns is called.
 *
 * @param {(event: Event) => void} dispatch @returns {() => void}
 */
export function watch(dispatch) {
  const { document } = globalThis;
  const controller = new AbortController();
  const { signal } = controller;
  /** @param {EventTarget | undefined} target @param {string} type @param {(event: any) => void} handler */
  const listen = (target, type, handler) => target?.addEventListener?.(type, handler, { signal });
  const woken = () => dispatch({ type: 'woken' });
  listen(globalThis, 'online', () => dispatch({ type: 'network', online: true }));
  listen(globalThis, 'offline', () => dispatch({ type: 'network', online: false }));
  // Back from the cache of pages that were left.
  listen(globalThis, 'pageshow', ({ persisted }) => persisted && woken());
  listen(document, 'visibilitychange', () => document?.visibilityState === 'visible' && woken());
  // A tab that was frozen.
  listen(document, 'resume', woken);
  if (globalThis.navigator?.onLine === false) dispatch({ type: 'network', online: false });
  return () => controller.abort();
}
