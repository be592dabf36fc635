// Markdown that grows: blocks that are closed are told once and never again; only what is still open is parsed anew.
// Pure but for what it remembers. However the text is cut into pieces, the blocks are those of the whole text.
import { parseBlocks } from './markdown.js';

export function markdownStream() {
  let seen = '';  // all that was given
  let rest = '';  // what is not closed yet, with \n for every end of a line
  let blocks = 0; // how many are closed

  // Returns {at: the place of the first of `blocks` among all blocks, blocks, closed: how many of these are closed for good}.
  return function read(text, isOpen) {
    if (!text.startsWith(seen)) [seen, rest, blocks] = ['', '', 0];
    const added = text.slice(seen.length);
    rest += (seen.endsWith('\r') && added.startsWith('\n') ? added.slice(1) : added).replace(/\r\n?/g, '\n');
    seen = text;

    const lines = rest.split('\n');
    const found = parseBlocks(lines, { isOpen });
    const at = blocks;
    const closed = isOpen ? countClosed(found, lines) : 0;
    if (closed > 0) {
      const { line } = found[closed];
      rest = lines.slice(line).join('\n');
      blocks += closed;
    }
    return { at, blocks: found, closed };
  };
}

// A block is closed when the one after it has begun for sure: by a line that is whole, as `#` may yet become `#tag`.
function countClosed(found, lines) {
  const last = found.at(-1);
  const isSure = last && last.line < lines.length - 1 && !last.isGuess;
  return Math.max(0, found.length - (isSure ? 1 : 2));
}
