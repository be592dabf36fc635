import assert from 'node:assert/strict';
import { test } from 'node:test';
import { parseMarkdown } from '../../webedt/web/markdown.js';

// Blocks as one line each: easier to read than their trees.
const show = (blocks) => blocks.map(line).join(' ');
const line = (block) => ({
  paragraph: () => `p(${block.text})`,
  heading: () => `h${block.level}(${block.text})`,
  rule: () => 'hr',
  code: () => `code:${block.language}(${block.text})`,
  quote: () => `quote[${show(block.children)}]`,
  list: () => `${block.start === null ? 'ul' : `ol${block.start}`}[${block.items.map((item) => `${item.checked === null ? '' : item.checked ? '✓' : '□'}${show(item.children)}`).join(', ')}]`,
  table: () => `table(${block.head.join('|')};${block.align.map((align) => align ?? '-').join('|')};${block.rows.map((row) => row.join('|')).join(';')})`,
})[block.type]();

const cases = [
  ['paragraphs are parted by blank lines, and lines in one stay lines', 'a\nb\n\n\nc', 'p(a\nb) p(c)'],
  ['headings of six levels, closed or not', '# a\n###### b ##\n#no\n####### seven', 'h1(a) h6(b) p(#no\n####### seven)'],
  ['a line of = makes a heading, a line of - a rule', 'a\n===\n\nb\n---\nc', 'h1(a) p(b) hr p(c)'],
  ['rules', '***\n- - -\n_ _ _', 'hr hr hr'],
  ['fenced code keeps everything, to its own fence', '```js\na\n\n  # b\n~~~\n```\nc', 'code:js(a\n\n  # b\n~~~) p(c)'],
  ['a longer fence holds a shorter one', '````\n```\nx\n```\n````', 'code:(```\nx\n```)'],
  ['a fence that does not close goes to the end', '```\na\n\nb', 'code:(a\n\nb)'],
  ['backticks in a line are no fence', '```x``` y', 'p(```x``` y)'],
  ['indented code, but not inside a paragraph', '    a\n\n      b\nc\n    d', 'code:(a\n\n  b) p(c\nd)'],
  ['lists by their marks', '- a\n- b\n* c\n+ d', 'ul[p(a), p(b)] ul[p(c)] ul[p(d)]'],
  ['a list may follow a paragraph at once', 'these:\n- a\n- b', 'p(these:) ul[p(a), p(b)]'],
  ['only a 1 begins a list inside a paragraph', 'it was in\n1984. A year\n1. one', 'p(it was in\n1984. A year) ol1[p(one)]'],
  ['numbers begin where they say', '3. a\n4. b\n5) c', 'ol3[p(a), p(b)] ol5[p(c)]'],
  ['nested lists, also by two columns below a number', '1. a\n  - b\n    - c\n2. d', 'ol1[p(a) ul[p(b) ul[p(c)]], p(d)]'],
  ['an item has paragraphs and code of its own', '- a\n\n  b\n\n  ```py\n  x = 1\n    y\n  ```\n- c', 'ul[p(a) p(b) code:py(x = 1\n  y), p(c)]'],
  ['a fence in an item holds what looks like items', '- ```\n  - x\n  ```\n- b', 'ul[code:(- x), p(b)]'],
  ['a line without a mark goes on with the item', '- a\nb\n\nc', 'ul[p(a\nb)] p(c)'],
  ['tasks', '- [ ] a\n- [x] b\n- [X] c\n- [y] d', 'ul[□p(a), ✓p(b), ✓p(c), p([y] d)]'],
  ['quotes, nested, with blocks in them', '> a\n> > b\n>\n> - c\nd', 'quote[p(a) quote[p(b)] ul[p(c)]] p(d)'],
  ['tables with their alignment', '| a | b |c\n|:--|:-:|--:\n| 1 | 2 | 3 | 4 |\n| x \\| y | `p\\|q`\n\nend', 'table(a|b|c;left|center|right;1|2|3;x | y|`p|q`) p(end)'],
  ['a row of dashes that does not fit makes no table', '| a | b |\n|---|\n', 'p(| a | b |\n|---|)'],
  ['a table ends at another block', 'a|b\n-|-\n1|2\n# h', 'table(a|b;-|-;1|2) h1(h)'],
  ['windows and old mac line ends', '# a\r\n\r\n- b\r- c\r\n', 'h1(a) ul[p(b), p(c)]'],
  ['tabs indent', '-\ta\n\t- b\n\n\tc', 'ul[p(a) ul[p(b)] p(c)]'],
  ['HTML is text', '<div onclick="x()">\n<script>alert(1)</script>', 'p(<div onclick="x()">\n<script>alert(1)</script>)'],
  ['nothing is nothing', ' \n\t\n', ''],
];
for (const [name, text, expected] of cases) test(name, () => assert.equal(show(parseMarkdown(text)), expected));

function depth(blocks) {
  return Math.max(0, ...blocks.map((block) => 1 + Math.max(depth(block.children ?? []), ...(block.items ?? []).map((item) => depth(item.children)))));
}

test('nesting is bounded, however deep the text goes', () => {
  for (const text of ['> '.repeat(5000), '- '.repeat(5000) + 'x', '1. '.repeat(5000) + 'x', '>- '.repeat(5000)]) assert.ok(depth(parseMarkdown(text)) <= 14);
});
