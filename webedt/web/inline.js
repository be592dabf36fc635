// What stands inside a block of Markdown: text -> [{type, text | children, …}]. Pure, and linear in the text: what does
// not close is looked for once, as hostile text has hundreds of thousands of openers. Everything else is text, HTML too.
import { codeSpans } from './code-spans.js';
import { markRun, MAX_NESTING, resolveRuns } from './emphasis.js';
import { decodeEntity, ENTITY } from './entities.js';
import { angleLink, bareLink, linkTarget, safeHref } from './links.js';

const SPECIAL = /[\\`*_~[\]!<&]|https?:\/\/|www\./g;
const ESCAPED = /[!-/:-@[-`{-~]/;

// `isOpen`: more may come; what is open at the end is shown as if it were closed there, so that little jumps later.
export function parseInline(whole, isOpen = false) {
  const text = isOpen ? whole.replace(/[*~`]{1,3}$/, '') : whole;
  const nodes = [];
  const brackets = []; // the [ that are open: {place in nodes, isImage}
  const spanAt = codeSpans(text, isOpen);
  let linkedBelow = 0; // so many of them stand around a link already, and links hold no links

  const say = (words, length = words.length) => add({ type: 'text', text: words }, length);
  function add(node, length) {
    nodes.push(node);
    return length;
  }

  function openBracket(mark) {
    brackets.push({ place: nodes.length, isImage: mark === '![' });
    return say(mark);
  }

  function closeBracket(place) {
    const open = brackets.pop();
    if (!open) return say(']');
    const isInLink = !open.isImage && brackets.length < linkedBelow;
    linkedBelow = Math.min(linkedBelow, brackets.length);
    const target = isInLink ? null : linkTarget(text, place + 1, isOpen);
    if (!target) return say(']');
    const children = resolveRuns(nodes.splice(open.place).slice(1).flatMap((node) => (node.isBare ? node.children : node)), false);
    const link = linkNode(target.address, children, { title: target.title, isImage: open.isImage });
    if (!open.isImage) linkedBelow = brackets.length;
    if (link.depth <= MAX_NESTING) return add(link, target.end - place);
    nodes.push(...children);
    return say(']');
  }

  function bare(place, isWww) {
    const address = bareLink(text, place, brackets.length > 0);
    if (!address) return say(text.slice(place, place + 4));
    return add({ ...linkNode(isWww ? `https://${address}` : address, [{ type: 'text', text: address }]), isBare: true }, address.length);
  }

  const takes = {
    '\\': (place) => (ESCAPED.test(text[place + 1] ?? '') ? say(text[place + 1], 2) : say('\\')),
    '`'(place) {
      const { code, end } = spanAt(place);
      return code === null ? say(text.slice(place, end)) : add({ type: 'code', text: code }, end - place);
    },
    '&'(place) {
      const entity = match(ENTITY, text, place);
      return entity ? say(decodeEntity(entity[0]), entity[0].length) : say('&');
    },
    '<'(place) {
      const found = angleLink(text, place);
      return found ? add(linkNode(found.address, [{ type: 'text', text: found.words }]), found.length) : say('<');
    },
    '[': () => openBracket('['),
    '!': (place) => (text[place + 1] === '[' ? openBracket('![') : say('!')),
    ']': closeBracket,
    h: (place) => bare(place, false),
    w: (place) => bare(place, true),
  };
  const run = (place) => {
    const node = markRun(text, place);
    return add(node, node.text.length);
  };

  for (let place = 0; place < text.length; ) {
    SPECIAL.lastIndex = place;
    const next = SPECIAL.exec(text)?.index ?? text.length;
    if (next > place) say(text.slice(place, next));
    place = next;
    if (place < text.length) place += (takes[text[place]] ?? run)(place);
  }
  return joined(resolveRuns(nodes, isOpen));
}

function match(pattern, text, place) {
  pattern.lastIndex = place;
  return pattern.exec(text);
}

// An address that may not be opened leaves its words; `address` is what was written.
function linkNode(address, children, more = {}) {
  const depth = 1 + children.reduce((deepest, child) => Math.max(deepest, child.depth ?? 0), 0);
  return { type: 'link', href: safeHref(address), address, ...more, children, depth };
}

function joined(nodes) {
  const whole = [];
  for (const { depth, isBare, ...node } of nodes) {
    const last = whole.at(-1);
    if (node.children) node.children = joined(node.children);
    if (node.type === 'text' && last?.type === 'text') last.text += node.text;
    else if (node.type !== 'text' || node.text) whole.push(node);
  }
  return whole;
}
