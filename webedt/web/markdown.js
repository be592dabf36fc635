// Markdown into blocks: text -> [{type, source, …}]. Pure, linear in the text, and never deeper than MAX_DEPTH.
// As CommonMark and GitHub have it, with these differences: HTML is text; there are no reference links; a line of `---`
// below a paragraph is a rule and no heading, and a line break is kept, because models mean it so; spacing is not told.
// What stands inside a line is left to inline.js, so that only lines that changed are looked at again.
import { isTableStart, readTable } from './markdown-table.js';

const MAX_DEPTH = 12;
const FENCE = /^ {0,3}(`{3,}|~{3,})(.*)$/;
const HEADING = /^ {0,3}(#{1,6})(?=[ \t]|$)/;
const RULE = /^ {0,3}([-*_])(?:[ \t]*\1){2,}[ \t]*$/;
const QUOTE = /^ {0,3}>[ \t]?/;
const MARKER = /^( {0,3})([-+*]|(\d{1,9})[.)])(?=[ \t]|$)/;
const UNDERLINE = /^ {0,3}={2,}[ \t]*$/;
const TASK = /^\[([ xX])\][ \t]/;

export const parseMarkdown = (text) => parseBlocks(text.replace(/\r\n?/g, '\n').split('\n'), { isOpen: false });

// `line` of a block is the number of its first line. `isOpen`: more text may come, so a table may begin before its second line.
export function parseBlocks(lines, { depth = 0, isOpen = false } = {}) {
  const blocks = [];
  for (let at = 0; at < lines.length; ) {
    if (isBlank(lines[at])) { at += 1; continue; }
    const block = readBlock(lines, at, { depth, isOpen });
    const { end, ...rest } = block;
    blocks.push({ ...rest, line: at, source: lines.slice(at, end).join('\n') });
    at = end;
  }
  return blocks;
}

function readBlock(lines, at, context) {
  const line = lines[at];
  if (isFence(line)) return readFence(lines, at);
  if (HEADING.test(line)) return readHeading(line, at);
  if (RULE.test(line)) return { type: 'rule', end: at + 1 };
  if (context.depth < MAX_DEPTH && QUOTE.test(line)) return readQuote(lines, at, context);
  if (context.depth < MAX_DEPTH && MARKER.test(line)) return readList(lines, at, context);
  if (indentOf(line) >= 4) return readIndented(lines, at);
  if (isTableStart(lines, at, context.isOpen)) return readTable(lines, at, (next) => isBlank(next) || interrupts(next));
  return readParagraph(lines, at, context);
}

const isBlank = (line) => /^[ \t]*$/.test(line);

function isFence(line) {
  const fence = FENCE.exec(line);
  return fence !== null && !(fence[1][0] === '`' && fence[2].includes('`'));
}

// What ends a paragraph without a blank line. A number does only as the beginning of a list: years end sentences.
function interrupts(line) {
  if (isFence(line) || HEADING.test(line) || RULE.test(line) || QUOTE.test(line)) return true;
  const marker = MARKER.exec(line);
  return marker !== null && !isBlank(line.slice(marker[0].length)) && (marker[3] === undefined || Number(marker[3]) === 1);
}

// In columns; a tab goes to the next multiple of four, seen from where the text stands.
function indentOf(text, column = 0) {
  let at = column;
  for (const character of text) {
    if (character === ' ') at += 1;
    else if (character === '\t') at += 4 - (at % 4);
    else break;
  }
  return at - column;
}

// Takes `width` columns of white space off the left; a tab may be cut in two.
function dedent(line, width) {
  const indent = indentOf(line);
  return ' '.repeat(Math.max(0, indent - width)) + line.replace(/^[ \t]+/, '');
}

function readFence(lines, at) {
  const [, fence, info] = FENCE.exec(lines[at]);
  const indent = indentOf(lines[at]);
  const closing = new RegExp(`^ {0,3}${fence[0]}{${fence.length},}[ \\t]*$`);
  let end = at + 1;
  while (end < lines.length && !closing.test(lines[end])) end += 1;
  const inside = lines.slice(at + 1, end).map((line) => (indent ? dedent(line, Math.min(indent, indentOf(line))) : line));
  return { type: 'code', language: info.trim().split(/\s/, 1)[0], text: inside.join('\n'), end: Math.min(end + 1, lines.length) };
}

function readHeading(line, at) {
  const [mark, signs] = HEADING.exec(line);
  let text = line.slice(mark.length).trim();
  let close = text.length;
  while (text[close - 1] === '#') close -= 1;
  if (close === 0 || (close < text.length && /[ \t]/.test(text[close - 1]))) text = text.slice(0, close).trimEnd();
  return { type: 'heading', level: signs.length, text, end: at + 1 };
}

function readQuote(lines, at, { depth, isOpen }) {
  const inside = [];
  let end = at;
  for (; end < lines.length && QUOTE.test(lines[end]); end += 1) inside.push(lines[end].replace(QUOTE, ''));
  return { type: 'quote', children: parseBlocks(inside, { depth: depth + 1, isOpen: isOpen && end === lines.length }), end };
}

function readList(lines, at, { depth, isOpen }) {
  const [, , first, number] = MARKER.exec(lines[at]);
  const kind = first.at(-1);
  const items = [];
  let end = at;
  for (let marker; (marker = MARKER.exec(lines[end] ?? '')) && marker[2].at(-1) === kind && !RULE.test(lines[end]); ) {
    const item = itemLines(lines, end, marker);
    const task = TASK.exec(item.lines[0]);
    if (task) item.lines[0] = item.lines[0].slice(task[0].length);
    const children = parseBlocks(item.lines, { depth: depth + 1, isOpen: isOpen && item.end === lines.length });
    items.push({ type: 'item', checked: task ? task[1] !== ' ' : null, children, source: lines.slice(end, item.end).join('\n') });
    end = item.end;
    let next = end;
    while (next < lines.length && isBlank(lines[next])) next += 1;
    if (MARKER.test(lines[next] ?? '')) end = next;
  }
  return { type: 'list', start: number === undefined ? null : Number(number), items, end };
}

// An item goes on while lines are indented as its text is; models also nest by two columns below a number.
function itemLines(lines, at, marker) {
  const outside = indentOf(marker[1]);
  const behind = lines[at].slice(marker[0].length);
  const gap = isBlank(behind) ? 1 : indentOf(behind, marker[0].length);
  let width = marker[0].length + (gap > 4 ? 1 : gap);
  const found = [`${gap > 4 ? ' '.repeat(gap - 1) : ''}${behind.replace(/^[ \t]+/, '')}`];
  let end = at + 1;
  let fence = isFence(found[0]) ? FENCE.exec(found[0])[1] : null;
  let blanks = 0;
  for (; end < lines.length; end += 1) {
    const line = lines[end];
    if (isBlank(line)) { blanks += 1; continue; }
    const indent = indentOf(line);
    const nested = indent >= outside + 2 && MARKER.test(dedent(line, indent));
    const lazy = blanks === 0 && !fence && !interrupts(line) && !MARKER.test(line) && !isBlank(found.at(-1));
    if (indent < width && !nested && !lazy) break;
    if (nested) width = Math.min(width, indent);
    for (; blanks > 0; blanks -= 1) found.push('');
    const inside = dedent(line, Math.min(indent, width));
    if (fence && inside.trim() === fence) fence = null;
    else if (!fence && isFence(inside)) [, fence] = FENCE.exec(inside);
    found.push(inside);
  }
  return { lines: found, end: end - blanks };
}

function readIndented(lines, at) {
  let end = at;
  for (let next = at; next < lines.length && (isBlank(lines[next]) || indentOf(lines[next]) >= 4); next += 1) if (!isBlank(lines[next])) end = next + 1;
  return { type: 'code', language: '', text: lines.slice(at, end).map((line) => dedent(line, 4)).join('\n'), end };
}

function readParagraph(lines, at, { isOpen }) {
  let end = at + 1;
  while (end < lines.length && !isBlank(lines[end]) && !interrupts(lines[end]) && !UNDERLINE.test(lines[end]) && !isTableStart(lines, end, isOpen)) end += 1;
  const text = lines.slice(at, end).map((line) => line.trim()).join('\n');
  return UNDERLINE.test(lines[end] ?? '') ? { type: 'heading', level: 1, text, end: end + 1 } : { type: 'paragraph', text, end };
}
