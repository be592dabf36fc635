import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import { test } from 'node:test';
import { gzipSync } from 'node:zlib';

const MOST_BYTES = 5 * 1024;
const at = (name) => new URL(`../../webedt/web/${name}`, import.meta.url);
const types = (name) => readFileSync(at(`${name}.d.ts`), 'utf8');
const declared = (name) => [...types(name).matchAll(/^export declare (?:class|function|const) (\w+)/gm)].map(([, found]) => found);
const members = (name, of) => {
  const body = types(name).split(new RegExp(`^export (?:interface|declare class) ${of}\\b[^{]*{$`, 'm'))[1].split(/^}/m)[0];
  return [...body.matchAll(/^ {2}(?:readonly |get )?(\w+)\??[(<:]/gm)].map(([, found]) => found);
};

for (const name of ['client', 'client-shared']) {
  test(`every export of ${name}.js is declared, and nothing else`, async () => {
    assert.deepEqual(declared(name).sort(), Object.keys(await import(at(`${name}.js`))).sort());
  });
}

test('what a client, a stream and an error have is declared, and nothing else', async () => {
  const { createClient, EventStream, WebEDTError } = await import(at('client.js'));
  const { shareStreams } = await import(at('client-shared.js'));
  const stream = new EventStream(async function* none() {});
  const named = Object.getOwnPropertyNames(EventStream.prototype).filter((name) => name !== 'constructor');
  const error = new WebEDTError('x', {});
  assert.deepEqual(members('client', 'Client').sort(), Object.keys(createClient()).sort());
  assert.deepEqual(members('client', 'EventStream').filter((name) => name !== 'constructor').sort(), [...Object.keys(stream), ...named].sort());
  assert.deepEqual(members('client-shared', 'SharedStreams').sort(), Object.keys(shareStreams(createClient())).sort());
  for (const name of [...Object.keys(error), 'isPassing']) if (name !== 'name') assert.ok(members('client', 'WebEDTError').includes(name), name);
});

test('every event of the log has a type', async () => {
  const { LOG_TYPES } = await import(at('reducer.js'));
  assert.deepEqual(members('client', 'LogData').sort(), [...LOG_TYPES].sort());
});

test('the module stays small', () => {
  const bytes = gzipSync(readFileSync(at('client.js')), { level: 9 }).length;
  assert.ok(bytes <= MOST_BYTES, `${bytes} bytes compressed`);
});
