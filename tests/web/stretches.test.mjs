import assert from 'node:assert/strict';
import { test } from 'node:test';
import { parseInline } from '../../webedt/web/inline.js';
import { stretchesOf } from '../../webedt/web/stretches.js';

const line = (number) => `line ${number} is *marked* and has \`code\` and [a link](https://a.b/${number}) in it`;
const LONG = Array.from({ length: 400 }, (_, number) => line(number)).join('\n');
const textOf = (node) => node.text ?? node.children.map(textOf).join('');
const linesOf = (stretches) => stretches.map((nodes) => nodes.map(textOf).join('')).join('\n');

test('a paragraph of usual length is one stretch, whatever stands in it', () => {
  for (const text of ['', 'a', 'a\nb', 'a **b\nc** d', '\n']) assert.deepEqual(stretchesOf(parseInline(text)), [parseInline(text)], text);
});

test('a long paragraph is cut between lines, and every line is there', () => {
  const stretches = stretchesOf(parseInline(LONG));
  assert.equal(linesOf(stretches), parseInline(LONG).map(textOf).join(''));
  const sizes = stretches.map((nodes) => nodes.map(textOf).join('').length);
  assert.ok(stretches.length > 5);
  assert.ok(sizes.slice(0, -1).every((size) => size >= 2000 && size < 2200), sizes.join());
});

test('a stretch never changes once another one has begun', () => {
  let before = [];
  for (let length = 0; length <= LONG.length; length += 97) {
    const now = stretchesOf(parseInline(LONG.slice(0, length), true));
    assert.deepEqual(now.slice(0, before.length), before);
    before = now.slice(0, -1);
  }
});

test('marks that go over many lines are not cut, and a text of one endless line is one stretch', () => {
  assert.equal(stretchesOf(parseInline(`**${LONG.replaceAll('*', '')}**`)).length, 1);
  assert.equal(stretchesOf(parseInline('word '.repeat(5000))).length, 1);
});
