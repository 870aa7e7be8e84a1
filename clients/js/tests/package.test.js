// What is published: its size, its files, its licences. I/O: npm and the file system.

import assert from 'node:assert/strict';
import { execFileSync } from 'node:child_process';
import { readFileSync } from 'node:fs';
import { test } from 'node:test';
import { fileURLToPath } from 'node:url';
import { gzipSync } from 'node:zlib';
import { build } from 'esbuild';

const MAX_BYTES = 7000;
const PACKAGE = fileURLToPath(new URL('..', import.meta.url));
const read = (path) => readFileSync(new URL(path, import.meta.url), 'utf8');

test('minified and compressed it is as small as it says', async (t) => {
  const { outputFiles: [{ contents }] } = await build({
    entryPoints: [`${PACKAGE}/src/index.js`], bundle: true, minify: true, format: 'esm', target: 'es2022', write: false,
  });
  const bytes = gzipSync(contents, { level: 9 }).length;
  t.diagnostic(`${bytes} bytes`);
  assert.ok(bytes <= MAX_BYTES, `${bytes} bytes`);
});

test('the package has what is needed and no more, and needs nothing', () => {
  const [{ files }] = JSON.parse(execFileSync('npm', ['pack', '--dry-run', '--json'], { cwd: PACKAGE, encoding: 'utf8' }));
  const sources = ['changes', 'connection', 'driver', 'index', 'layer', 'moderate', 'moderation', 'protocol', 'recovery', 'room', 'session', 'state', 'surroundings', 'talk'];
  const expected = ['LICENSE-APACHE', 'LICENSE-MIT', 'README.md', 'package.json', 'src/index.d.ts', 'src/moderate.d.ts', 'src/state.d.ts', ...sources.map((name) => `src/${name}.js`)];
  assert.deepEqual(files.map(({ path }) => path).sort(), expected.sort());
  const { dependencies, scripts } = JSON.parse(read('../package.json'));
  assert.deepEqual([dependencies, scripts], [undefined, undefined]);
  for (const licence of ['LICENSE-MIT', 'LICENSE-APACHE']) assert.equal(read(`../${licence}`), read(`../../../${licence}`), licence);
});

test('it has the version of the workspace', () => {
  const [, workspace] = /^version = "(.+)"$/m.exec(read('../../../Cargo.toml'));
  assert.equal(JSON.parse(read('../package.json')).version, workspace);
});
