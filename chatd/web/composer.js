// Where one writes: the draft, its limit, and which keys send it. I/O: the document.

import { MAX_TEXT_BYTES, byteLength } from './client/protocol.js';

const NEAR_LIMIT_BYTES = 500;
const LINE_ENDS = /\r\n?|[\n\u0085\u2028\u2029]/g;
// As many as the server takes in one message.
const MAX_LINE_ENDS = 30;
// What a browser reports for every key that an input method has taken.
const TAKEN_BY_INPUT_METHOD = 229;

/** Enter without Shift, and not the one that ends a composition: Safari ends it before the key comes, and then only the code tells. */
export function isSendingKey({ key, shiftKey = false, isComposing, keyCode }) {
  return key === 'Enter' && !shiftKey && !isComposing && keyCode !== TAKEN_BY_INPUT_METHOD;
}

/** Phone keyboards report no Enter, but a line break, by its kind or as the end of what was typed. A paste is none. */
export function isLineBreak({ inputType, data }) {
  if (inputType === 'insertLineBreak' || inputType === 'insertParagraph') return true;
  return ['insertText', 'insertCompositionText'].includes(inputType) && /^[^\r\n]*\r?\n$/.test(data ?? '');
}

export class Composer {
  #form;
  #draft;
  #bytes;
  // A line break was announced that could not be prevented: it comes with the next input.
  #breaks = false;
  // Shift and Enter are down: the line break that follows is part of the text.
  #keepsBreak = false;

  /** `send` is called with the text; the draft stays until it is cleared. */
  constructor(form, draft, bytes, send) {
    this.#form = form;
    this.#draft = draft;
    this.#bytes = bytes;
    form.addEventListener('submit', (event) => {
      event.preventDefault();
      send(this.text);
      draft.focus();
    });
    draft.addEventListener('keydown', (event) => {
      this.#keepsBreak = event.shiftKey && isSendingKey({ key: event.key, isComposing: event.isComposing, keyCode: event.keyCode });
      if (!isSendingKey(event)) return;
      event.preventDefault();
      form.requestSubmit();
    });
    draft.addEventListener('beforeinput', (event) => {
      if (this.#keepsBreak) return;
      this.#breaks = isLineBreak(event) && (event.isComposing || !event.cancelable);
      if (!isLineBreak(event) || this.#breaks) return;
      event.preventDefault();
      if (event.data) draft.setRangeText(event.data.replace(LINE_ENDS, ''), draft.selectionStart, draft.selectionEnd, 'end');
      this.#measure();
      form.requestSubmit();
    });
    draft.addEventListener('input', (event) => this.#typed(event));
    draft.addEventListener('compositionend', () => this.set(this.text));
  }

  get text() {
    return this.#draft.value;
  }

  /** A text keeps as many lines as a message may have; further line ends become spaces. */
  set(text) {
    let ends = 0;
    const lines = text.replace(LINE_ENDS, () => (ends++ < MAX_LINE_ENDS ? '\n' : ' '));
    if (this.#draft.value !== lines) this.#draft.value = lines;
    this.#measure();
  }

  focus() {
    this.#draft.focus();
  }

  #typed(event) {
    if (this.#keepsBreak) {
      this.#keepsBreak = false;
      this.set(this.text);
    } else if (this.#breaks || isLineBreak(event)) {
      this.#breaks = false;
      this.set(this.#withoutBreak());
      this.#form.requestSubmit();
    } else if (event.isComposing) {
      // Written to, the field would end the composition.
      this.#measure();
    } else {
      this.set(this.text);
    }
  }

  // The one that was typed stands before the caret.
  #withoutBreak() {
    const end = this.#draft.selectionEnd;
    const start = this.text[end - 1] === '\n' ? end - 1 : end;
    return this.text.slice(0, start) + this.text.slice(end);
  }

  #measure() {
    const left = MAX_TEXT_BYTES - byteLength(this.text);
    this.#bytes.classList.toggle('over', left < 0);
    const words = left > NEAR_LIMIT_BYTES ? '' : `${bytes(Math.abs(left))} ${left < 0 ? 'too long' : 'left'}`;
    if (this.#bytes.textContent !== words) this.#bytes.textContent = words;
    if (left < 0) this.#draft.setAttribute('aria-invalid', 'true');
    else this.#draft.removeAttribute('aria-invalid');
  }
}

const bytes = (count) => (count === 1 ? '1 byte' : `${count} bytes`);
