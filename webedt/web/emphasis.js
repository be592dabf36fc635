// Runs of * _ ~ into emphasis, as CommonMark pairs them. Pure; one look at each node, a bounded look back.

export const MAX_NESTING = 12;
const LOOK_BACK = 24;
const SPACE = /^\s?$/u;
const PUNCTUATION = /[\p{P}\p{S}]/u;
const RUN = /\*+|_+|~+/y;

// A run of marks as a node that may open or close emphasis, by what stands on its two sides.
export function markRun(text, place) {
  RUN.lastIndex = place;
  const [marks] = RUN.exec(text);
  const before = characterBefore(text, place);
  const after = String.fromCodePoint(text.codePointAt(place + marks.length) ?? 32);
  const isOpening = !SPACE.test(after) && (!PUNCTUATION.test(after) || SPACE.test(before) || PUNCTUATION.test(before));
  const isClosing = !SPACE.test(before) && (!PUNCTUATION.test(before) || SPACE.test(after) || PUNCTUATION.test(after));
  const isWord = marks[0] === '_' && isOpening && isClosing; // snake_case is a name
  const canOpen = isOpening && (!isWord || PUNCTUATION.test(before));
  const canClose = isClosing && (!isWord || PUNCTUATION.test(after));
  const isMark = marks[0] !== '~' || marks.length <= 2;
  return isMark && (canOpen || canClose) ? { type: 'run', text: marks, canOpen, canClose } : { type: 'text', text: marks };
}

function characterBefore(text, place) {
  if (place === 0) return ' ';
  const unit = text.charCodeAt(place - 1);
  return unit >= 0xdc00 && unit <= 0xdfff ? text.slice(Math.max(0, place - 2), place) : text[place - 1];
}

// `isOpen`: bold and struck text that has not ended yet is shown as such.
export function resolveRuns(nodes, isOpen) {
  const out = [];
  const openers = []; // {node, place in out, mark, size, canClose, depth of what follows}
  const root = { depth: 0 };
  const put = (node) => {
    const around = openers.at(-1) ?? root;
    around.depth = Math.max(around.depth, node.depth ?? 0);
    out.push(node);
  };

  function unstack(count) {
    let depth = 0;
    for (const { depth: inside } of openers.splice(count)) depth = Math.max(depth, inside);
    const around = openers.at(-1) ?? root;
    around.depth = Math.max(around.depth, depth);
  }

  // What stands behind the opener becomes its child; `used` of its marks are gone.
  function wrap(place, used) {
    let depth = 0;
    for (let i = place; i < openers.length; i += 1) depth = Math.max(depth, openers[i].depth);
    const opener = openers[place];
    openers.length = place + 1;
    const children = out.splice(opener.place + 1);
    opener.node.text = opener.node.text.slice(used);
    opener.depth = 0;
    if (!opener.node.text) {
      out.pop();
      openers.pop();
    }
    put({ type: opener.mark === '~' ? 'del' : used === 2 ? 'strong' : 'em', children, depth: depth + 1 });
  }

  for (const node of nodes) {
    if (node.type !== 'run') { put(node); continue; }
    const mark = node.text[0];
    let left = node.text.length;
    while (node.canClose && left > 0) {
      const place = openerOf(openers, node, mark, left);
      if (place < 0) break;
      const depth = openers.slice(place).reduce((deepest, { depth: inside }) => Math.max(deepest, inside), 0);
      if (depth >= MAX_NESTING) { unstack(place); break; }
      const used = mark === '~' ? left : Math.min(2, left, openers[place].node.text.length);
      wrap(place, used);
      left -= used;
    }
    if (left === 0) continue;
    const rest = { type: 'text', text: mark.repeat(left) };
    put(rest);
    if (node.canOpen) openers.push({ node: rest, place: out.length - 1, mark, size: node.text.length, canClose: node.canClose, depth: 0 });
  }
  if (isOpen) {
    const place = openers.findLastIndex(({ node, mark, depth }) => node.text.length === 2 && mark !== '_' && depth < MAX_NESTING);
    if (place >= 0) wrap(place, 2);
  }
  return out;
}

function openerOf(openers, closer, mark, left) {
  const size = closer.text.length;
  for (let place = openers.length - 1; place >= Math.max(0, openers.length - LOOK_BACK); place -= 1) {
    const opener = openers[place];
    if (opener.mark !== mark) continue;
    if (mark === '~') {
      if (opener.node.text.length === left) return place;
      continue;
    }
    const isAmbiguous = (opener.canClose || closer.canOpen) && (opener.size + size) % 3 === 0 && (opener.size % 3 !== 0 || size % 3 !== 0);
    if (!isAmbiguous) return place;
  }
  return -1;
}
