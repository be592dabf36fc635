import assert from 'node:assert/strict';
import { readdirSync, readFileSync } from 'node:fs';
import { test } from 'node:test';
import { gzipSync } from 'node:zlib';

const folder = new URL('../../webedt/web/', import.meta.url);
const read = (name) => readFileSync(new URL(name, folder));
const KB = 1024;
const FIRST_LOAD = 100 * KB;
const ALL = 200 * KB;

const all = readdirSync(folder).filter((name) => /\.(html|js|css|svg)$/.test(name));
const weigh = (names) => [...names].reduce((sum, name) => sum + gzipSync(read(name), { level: 9 }).length, 0);

const imports = (name) => [...read(name).toString().matchAll(/^(?:import|export)\b[^'"]*?from\s*['"]\.\/([\w.-]+)['"]|^import\s*['"]\.\/([\w.-]+)['"]/gms)].map(([, named, bare]) => named ?? bare);
const lazy = (name) => [...read(name).toString().matchAll(/\bimport\(['"]\.\/([\w.-]+)['"]\)/g)].map(([, found]) => found);

function closure(names, found = new Set()) {
  for (const name of names) {
    if (found.has(name)) continue;
    found.add(name);
    if (name.endsWith('.js')) closure(imports(name), found);
  }
  return found;
}

const page = read('index.html').toString();
const linked = [...page.matchAll(/(?:href|src)="\/assets\/([\w.-]+)"/g)].map(([, name]) => name);
// Who is logged in needs the workspace at once; everything else that is imported on demand can wait.
const first = closure(['index.html', ...linked, 'workspace.js']);

test('the first load of who is logged in stays small', (t) => {
  const size = weigh(first);
  t.diagnostic(`first load: ${first.size} files, ${(size / KB).toFixed(1)} KB; all: ${all.length} files, ${(weigh(all) / KB).toFixed(1)} KB (gzip)`);
  assert.ok(size <= FIRST_LOAD, `${size} bytes`);
  assert.ok(weigh(all) <= ALL);
});

test('what few look at is not part of it, and is there when somebody does', () => {
  assert.ok(first.has('session-page.js') && first.has('theme.css'));
  const later = closure([...first].filter((name) => name.endsWith('.js')).flatMap(lazy));
  for (const name of ['settings-page.js', 'operations-page.js', 'share-dialog.js', 'files-dialog.js', 'shortcuts-dialog.js']) {
    assert.ok(!first.has(name), name);
    assert.ok(later.has(name), name);
  }
});

test('everything that is named is there', () => {
  const named = new Set([...linked, ...all.filter((name) => name.endsWith('.js')).flatMap((name) => [...imports(name), ...lazy(name), ...stylesOf(name)])]);
  assert.deepEqual([...named].filter((name) => !all.includes(name)), []);
});

const stylesOf = (name) => [...read(name).toString().matchAll(/loadStyle\('([\w.-]+)'\)/g)].map(([, found]) => found);
