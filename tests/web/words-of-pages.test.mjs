import assert from 'node:assert/strict';
import { test } from 'node:test';
import { agoWords, dayWords, plural } from '../../webedt/web/ago.js';
import { bytesWords } from '../../webedt/web/bytes.js';
import { deviceWords } from '../../webedt/web/device.js';
import { fileUrl, nameProblem, shownName } from '../../webedt/web/file-names.js';
import { keyWords } from '../../webedt/web/key-words.js';
import { chosenOf, noteOf } from '../../webedt/web/provider-words.js';
import { routeOf, sessionHash } from '../../webedt/web/route.js';
import { iconUrl, tabTitle } from '../../webedt/web/tab-title.js';

const NOW = Date.parse('2025-06-15T12:00:00Z');
const ago = (seconds) => agoWords(new Date(NOW - seconds * 1000).toISOString(), NOW);

test('times are told as how long ago, and none is rounded into the next unit', () => {
  assert.equal(ago(-120), 'just now');
  assert.equal(ago(44), 'just now');
  assert.equal(ago(46), '1 min ago');
  assert.equal(ago(180), '3 min ago');
  assert.equal(ago(3569), '59 min ago');
  assert.equal(ago(3571), '1 h ago');
  assert.equal(ago(23 * 3600 + 1799), '23 h ago');
  assert.equal(ago(23 * 3600 + 1801), '1 day ago');
  assert.equal(ago(6 * 86400), '6 days ago');
  assert.equal(ago(10 * 86400), '5 Jun');
  assert.equal(dayWords('2023-02-03T12:00:00Z', NOW), '3 Feb 2023');
  assert.equal(agoWords('nonsense', NOW), '');
});

test('sizes have two digits that count and a unit', () => {
  const words = [[0, '0 bytes'], [1, '1 byte'], [1023, '1023 bytes'], [1024, '1.0 KB'], [1536, '1.5 KB'], [10188, '9.9 KB'], [10240, '10 KB'],
    [1048575, '1.0 MB'], [5 * 2 ** 30, '5.0 GB'], [2 ** 50, '1024 TB']];
  for (const [bytes, said] of words) assert.equal(bytesWords(bytes), said);
  assert.equal(plural(1, 'file'), '1 file');
  assert.equal(plural(0, 'file'), '0 files');
});

test('a login is named by its program and its system, and by its own words if by neither', () => {
  assert.equal(deviceWords('Mozilla/5.0 (X11; Linux x86_64; rv:128.0) Gecko/20100101 Firefox/128.0'), 'Firefox on Linux');
  assert.equal(deviceWords('Mozilla/5.0 (Windows NT 10.0; Win64; x64) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/126.0 Safari/537.36 Edg/126.0'), 'Edge on Windows');
  assert.equal(deviceWords('Mozilla/5.0 (Linux; Android 14) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/126.0 Mobile Safari/537.36'), 'Chrome on Android');
  assert.equal(deviceWords('Mozilla/5.0 (iPhone; CPU iPhone OS 17_5 like Mac OS X) AppleWebKit/605.1 (KHTML, like Gecko) Version/17.5 Mobile/15E148 Safari/604.1'), 'Safari on iPhone');
  assert.equal(deviceWords('curl/8.5.0'), 'curl');
  assert.equal(deviceWords('x'.repeat(500)).length, 60);
  assert.equal(deviceWords(null), 'Unknown program');
});

test('a file name cannot pretend, and cannot lead out of its folder', () => {
  assert.equal(shownName('report\u202Efdp.exe'), 'report⟨202E⟩fdp.exe');
  assert.equal(shownName('a\u200Bb\nc\u0000\uD800'), 'a⟨200B⟩b⟨000A⟩c⟨0000⟩⟨D800⟩');
  assert.equal(shownName('Übung 日本 <img>.txt'), 'Übung 日本 <img>.txt');
  assert.equal(fileUrl('id', 'a b/ü?#%2e.txt'), '/api/sessions/id/files/a%20b/%C3%BC%3F%23%252e.txt');
  assert.equal(fileUrl('../x', 'lone\uD800'), '/api/sessions/..%2Fx/files/lone%EF%BF%BD');
  for (const path of ['..', 'a/../b', './a', 'a//b', '/a', 'a/', '', 'a\\b']) {
    assert.ok(nameProblem(path), path);
    assert.throws(() => fileUrl('id', path), TypeError);
  }
  assert.equal(nameProblem('..a/b..'), null);
});

const provider = (name, more) => ({ name, configured: true, reason: null, resumable: false, ownKey: false, defaultModel: null, ...more });
const KNOWN = { default: 'openai', providers: [provider('openai'), provider('claude', { resumable: true, ownKey: true }), provider('anthropic', { configured: false, reason: 'needs a key.' }), provider('simulated')] };

test('a provider is told by what matters when it is chosen', () => {
  const note = (name) => noteOf(KNOWN, chosenOf(KNOWN, name));
  assert.match(note(''), /begins the answer again/);
  assert.match(note('claude'), /^Your own API key is used\. .*continues the answer/);
  assert.equal(note('anthropic'), 'anthropic cannot be used: needs a key.');
  assert.match(note('simulated'), /makes words up/);
  assert.match(noteOf({ ...KNOWN, default: null }, null), /No provider is the default/);
  assert.equal(noteOf(null, null), '');
});

test('a key is told by its age alone, and why it is not used', () => {
  assert.equal(keyWords(true, '3 min ago', provider('x')), 'Your key, stored 3 min ago');
  assert.match(keyWords(true, '1 h ago', provider('x', { configured: false, reason: 'unreadable.' })), /is not used: unreadable\.$/);
  assert.match(keyWords(false, null, provider('x')), /deployment’s is used/);
  assert.equal(keyWords(false, null, provider('x', { configured: false, reason: 'needs a key.' })), 'needs a key.');
  assert.equal(keyWords(false, null, undefined), 'No key');
});

test('every address leads to one page, and what is none leads home', () => {
  assert.deepEqual(routeOf(sessionHash('a-b_1')), { page: 'session', id: 'a-b_1' });
  assert.equal(routeOf('#/settings').page, 'settings');
  assert.equal(routeOf('#/operations').page, 'operations');
  for (const hash of ['', '#/', '#/s/', '#/s/../x', '#/settings/x', '#/toString', 'constructor']) assert.deepEqual(routeOf(hash), { page: 'home', id: null }, hash);
});

test('the tab tells what runs, and what has ended to who saw it run', () => {
  assert.equal(tabTitle({ title: '', status: null }, false), 'WebEDT');
  assert.equal(tabTitle({ title: 'Fix it', status: 'running' }, false), '● Fix it · WebEDT');
  assert.equal(tabTitle({ title: 'Fix it', status: 'completed' }, true), '✓ Fix it · WebEDT');
  assert.equal(tabTitle({ title: 'Fix it', status: 'completed' }, false), 'Fix it · WebEDT');
  assert.ok(iconUrl('running', false).includes('circle'));
  assert.ok(!iconUrl('completed', false).includes('circle'));
  assert.notEqual(iconUrl('failed', true), iconUrl('completed', true));
});
