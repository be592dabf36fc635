// Tables of Markdown: a row of heads, a row of dashes, rows. Pure.
const MAX_COLUMNS = 40;

export function isTableStart(lines, at, isOpen) {
  const head = lines[at];
  if (!head.includes('|') || /^ {4}/.test(head)) return false;
  const next = lines[at + 1];
  // While the text still comes, a row between bars is taken for a head before the dashes are there to prove it.
  if (isOpen && at + 2 >= lines.length && /^ {0,3}\|[^|]/.test(head) && /^[ \t|:-]*$/.test(next ?? '')) return cells(head).length <= MAX_COLUMNS;
  const aligned = alignments(next ?? '');
  return aligned !== null && aligned.length <= MAX_COLUMNS && aligned.length === cells(head).length;
}

// `isGuess`: its second line may not be whole yet.
export function readTable(lines, at, isEnd) {
  const head = cells(lines[at]);
  let end = at + 2;
  const rows = [];
  for (; end < lines.length && !isEnd(lines[end]); end += 1) rows.push(cells(lines[end]).slice(0, head.length));
  const align = alignments(lines[at + 1] ?? '');
  return { type: 'table', align: align ?? [], isGuess: at + 2 >= lines.length, head, rows, end: Math.min(end, lines.length) };
}

function alignments(line) {
  if (!line.includes('|') || !/^[ \t|:-]+$/.test(line)) return null;
  const marks = cells(line);
  if (!marks.every((mark) => /^:?-+:?$/.test(mark))) return null;
  return marks.map((mark) => (mark.endsWith(':') ? (mark.startsWith(':') ? 'center' : 'right') : mark.startsWith(':') ? 'left' : null));
}

// Only a bar that is escaped does not part cells, also in code: so GitHub has it.
function cells(line) {
  const found = [];
  let cell = '';
  for (const [piece] of line.trim().matchAll(/\\\||\||\\|[^\\|]+/g)) {
    if (piece !== '|') cell += piece === '\\|' ? '|' : piece;
    else {
      found.push(cell.trim());
      cell = '';
    }
  }
  if (cell.trim()) found.push(cell.trim());
  if (line.trim().startsWith('|')) found.shift();
  return found;
}
