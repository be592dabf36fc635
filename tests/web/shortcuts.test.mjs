import assert from 'node:assert/strict';
import { test } from 'node:test';
import { commandOf, SHORTCUTS } from '../../webedt/web/shortcuts.js';

const press = (key, where = {}, more = {}) => commandOf({ key, ...more }, { inField: false, inList: false, lettersOn: true, ...where });

test('single letters work anywhere but where something is typed, and not when they are switched off', () => {
  assert.equal(press('n'), 'new');
  assert.equal(press('/'), 'search');
  assert.equal(press('s'), 'search');
  assert.equal(press('?'), 'help');
  assert.equal(press('j'), 'next');
  for (const key of ['n', '/', '?', 'j']) {
    assert.equal(press(key, { inField: true }), null, key);
    assert.equal(press(key, { lettersOn: false, inList: true }), null, key);
  }
});

test('keys with a name belong to the page, except inside the list', () => {
  assert.equal(press('ArrowDown'), null);
  assert.equal(press('ArrowDown', { inList: true, lettersOn: false }), 'next');
  assert.equal(press('ArrowUp', { inList: true }), 'previous');
  assert.equal(press('Enter', { inList: true }), null);
});

test('what changes a session needs one to be chosen', () => {
  for (const [key, command] of [['f', 'favorite'], ['r', 'rename'], ['F2', 'rename'], ['Delete', 'remove'], ['#', 'remove']]) {
    assert.equal(press(key), null, key);
    assert.equal(press(key, { inList: true }), command, key);
  }
});

test("the browser's own shortcuts stay the browser's", () => {
  for (const modifier of ['ctrlKey', 'metaKey', 'altKey', 'isComposing']) assert.equal(press('n', {}, { [modifier]: true }), null, modifier);
});

test('no key means two things', () => {
  const keys = SHORTCUTS.flatMap((shortcut) => shortcut.keys);
  assert.equal(new Set(keys).size, keys.length);
});
