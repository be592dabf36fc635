import assert from 'node:assert/strict';
import { test } from 'node:test';
import { parseInline } from '../../webedt/web/inline.js';
import { markdownStream } from '../../webedt/web/markdown-stream.js';
import { parseMarkdown } from '../../webedt/web/markdown.js';

const PIECES = ['a', 'b c', '\n', '\n\n', '# ', '#', '- ', '* ', '1. ', '2. ', '  ', '    ', '> ', '```', '```js\n', '~~~', '| a | b |\n', '|---|---|\n', '|---|', '---', '===', '`x`', '**', '\t', '\r\n', '\r', '[x] ', 'text', '|', '<b>'];

function randomly(seed) {
  let state = seed;
  return (below) => { state = (state * 1103515245 + 12345) & 0x7fffffff; return (state >> 8) % below; };
}
const plain = (blocks) => blocks.map(({ line, ...block }) => block);

test('however a text is cut into pieces, its blocks are those of the whole, and closed ones never change', () => {
  const random = randomly(7);
  for (let round = 0; round < 4000; round += 1) {
    const text = Array.from({ length: 2 + random(14) }, () => PIECES[random(PIECES.length)]).join('');
    const read = markdownStream();
    const closed = [];
    for (let at = 0; at < text.length;) {
      at = Math.min(text.length, at + 1 + random(4));
      const seen = read(text.slice(0, at), true);
      assert.equal(seen.at, closed.length);
      closed.push(...seen.blocks.slice(0, seen.closed));
    }
    const { blocks } = read(text, false);
    assert.deepEqual(plain([...closed, ...blocks]), plain(parseMarkdown(text)), JSON.stringify(text));
  }
});

test('a long answer is parsed block by block, not from its start each time', () => {
  const paragraph = `${'words and words '.repeat(20)}\n\n`;
  const read = markdownStream();
  let text = '';
  let most = 0;
  for (let i = 0; i < 300; i += 1) {
    text += paragraph;
    most = Math.max(most, read(text, true).blocks.length);
  }
  assert.ok(most <= 2, `${most} blocks were parsed at once`);
});

test('a text that is replaced by another one is read anew', () => {
  const read = markdownStream();
  read('a\n\nb\n\nc', true);
  assert.deepEqual(plain(read('x\n\ny', false).blocks), plain(parseMarkdown('x\n\ny')));
});

function readAll(blocks) {
  for (const block of blocks) {
    if (block.text !== undefined && block.type !== 'code') parseInline(block.text);
    [block.head, ...(block.rows ?? [])].forEach((row) => row?.forEach((cell) => parseInline(cell)));
    readAll(block.children ?? []);
    readAll(block.items ?? []);
  }
}

// 200 KB of what makes naive parsers quadratic: each would then take minutes. The bound is far above what it takes.
const HOSTILE = ['[', ']', '*', '**', '_', '~~', '`', '``` ', '*a ', 'a* ', '*a_b*_', '](', '[a](', '[a](<', '[a](b "', '[a](b (', '![', '<', '<http://', 'https://', 'www.a', 'a@b.', '&', '&#', '\\', '> ', '>', '- ', '- a\n', '1. ', '|', '| a ', '|-', '||\n', '# ', '    ', '\t', ' ', '= ', '`a``b', 'x\n===\n', '> a\n>> b\n', '- a\n\n\n'];
for (const piece of HOSTILE) {
  test(`200 KB of ${JSON.stringify(piece)} are read in linear time`, () => {
    const begun = performance.now();
    for (const text of [piece.repeat(200000 / piece.length), `a|b\n-|-\n${piece.repeat(20000 / piece.length)}`]) readAll(parseMarkdown(text));
    assert.ok(performance.now() - begun < 4000);
  });
}
