// The ways to hand the invite link on: copied, shared, or read off. I/O: the document, the clipboard, the system's share sheet.

const COPIED_MS = 2500;

const byId = (id) => document.getElementById(id);

/** `link`: null where there is no room. `failed` is called where nothing could be copied. */
export function offerInvite(link, failed) {
  byId('copy').disabled = !link;
  byId('invite-link').value = link ?? '';
  byId('invite-link').addEventListener('focus', () => byId('invite-link').select());
  for (const id of ['copy', 'invite-copy']) byId(id).addEventListener('click', () => copy(byId(id), link, failed));
  byId('invite-share').hidden = !link || typeof navigator.share !== 'function';
  // A user who closes the sheet did not want to share: no message.
  byId('invite-share').addEventListener('click', () => navigator.share({ url: link }).catch(() => {}));
}

async function copy(button, link, failed) {
  if (!await copyText(link)) return failed();
  const words = button.querySelector('.words');
  const before = button.dataset.words ??= words.textContent;
  button.classList.add('done');
  words.textContent = 'Copied';
  byId('copied').textContent = 'Invite link copied';
  setTimeout(() => {
    button.classList.remove('done');
    words.textContent = before;
    byId('copied').textContent = '';
  }, COPIED_MS);
}

// The clipboard is only there on https and loopback; the older way needs a selection of its own.
async function copyText(text) {
  try {
    await navigator.clipboard.writeText(text);
    return true;
  } catch {
    const field = document.createElement('textarea');
    const focused = document.activeElement;
    field.value = text;
    field.className = 'visually-hidden';
    document.body.append(field);
    field.select();
    const copied = document.execCommand('copy');
    field.remove();
    focused?.focus();
    return copied;
  }
}
