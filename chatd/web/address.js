// Where the server's addresses are: all under the one that the page names, which is not always the root of its host. I/O: the document.

const base = new URL(document.querySelector('meta[name="base"]').content, location.href);

/** `path` without a slash before it. */
export const addressOf = (path) => new URL(path, base).href;
