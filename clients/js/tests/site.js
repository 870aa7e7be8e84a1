// A folder with the packed package installed, served to browsers: as somebody has it who builds an application. I/O: npm, files, HTTP.

import { execFileSync } from 'node:child_process';
import { cp, mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
import http from 'node:http';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { fileURLToPath } from 'node:url';

const REPOSITORY = fileURLToPath(new URL('../../..', import.meta.url));
const TYPES = { '.html': 'text/html; charset=utf-8', '.js': 'text/javascript; charset=utf-8', '.css': 'text/css; charset=utf-8' };

/**
 * A copy of `folder` of the repository, or an empty one, in which what `npm pack` gives of `packages` is installed; beside what `folder` needs
 * from elsewhere, which may come from npm's registry.
 */
export async function install(folder, packages = ['clients/js']) {
  const place = await mkdtemp(path.join(tmpdir(), 'chatd-client-'));
  const npm = (...args) => execFileSync('npm', [...args, '--silent', '--no-audit', '--no-fund'], { cwd: place, encoding: 'utf8' });
  if (folder) await cp(path.join(REPOSITORY, folder), place, { recursive: true, filter: (from) => !/\/(node_modules|dist)$/.test(from) });
  const packed = packages.map((name) => `./${npm('pack', path.join(REPOSITORY, name)).trim()}`);
  npm('install', packages.length === 1 ? '--offline' : '--prefer-offline', ...packed);
  return { place, npm, remove: () => rm(place, { recursive: true, force: true }) };
}

export async function serve(place) {
  const server = http.createServer(async (request, response) => {
    const { pathname } = new URL(request.url, 'http://host');
    const file = path.join(place, pathname.endsWith('/') ? `${pathname}index.html` : pathname);
    const body = await readFile(file).catch(() => null);
    response.writeHead(body ? 200 : 404, { 'Content-Type': TYPES[path.extname(file)] ?? 'application/octet-stream' }).end(body ?? '');
  });
  await new Promise((resolve) => server.listen(0, '127.0.0.1', resolve));
  const stop = async () => {
    server.closeAllConnections();
    await new Promise((resolve) => server.close(resolve));
  };
  return { origin: `http://127.0.0.1:${server.address().port}`, stop };
}

/** The first page of the package's README, for a service at `url`. */
export async function readmePage(place, url) {
  const readme = await readFile(path.join(REPOSITORY, 'clients/js/README.md'), 'utf8');
  const [, page] = /```html\n([^]*?)```/.exec(readme);
  await writeFile(path.join(place, 'readme.html'), page.replace('https://chat.example', url));
}
