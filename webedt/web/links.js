// Addresses in Markdown: where they end, and which of them may be opened. Pure.
import { decodeEntities } from './entities.js';

const MAX_ADDRESS = 2000;
const MAX_PARENTHESES = 3; // a bound, so that text full of `](` is not read to its end each time
const ANGLE = /<((?:https?:\/\/|mailto:)[^\s<>]{1,2000}|[\w.+-]{1,64}@[\w-]{1,63}(?:\.[\w-]{1,63}){1,8})>/iy;
const BARE = /(?:https?:\/\/|www\.)[^\s<>"`]{1,2000}/y;
const BARE_IN_BRACKETS = /(?:https?:\/\/|www\.)[^\s<>"`\]]{1,2000}/y;
const BRACKETED = /<([^<>\n]{0,2000})>/y;
const TITLE = /[ \t]{0,20}\n?[ \t]{0,20}(?:"((?:[^"\\]|\\[^]){0,500})"|'((?:[^'\\]|\\[^]){0,500})')/y;
const SPACE = /[ \t]{0,20}\n?[ \t]{0,20}/y;

// Nothing but these is ever opened: no scripts, no data, no files, nothing relative to this server.
export function safeHref(address) {
  if (!/^(?:https?:\/\/[^/]|mailto:)/i.test(address)) return null;
  try {
    const { protocol, href } = new URL(address);
    return ['http:', 'https:', 'mailto:'].includes(protocol) ? href : null;
  } catch {
    return null;
  }
}

const find = (pattern, text, place) => {
  pattern.lastIndex = place;
  return pattern.exec(text);
};

export function angleLink(text, place) {
  const found = find(ANGLE, text, place);
  if (!found) return null;
  const isAddress = /^(?:https?:\/\/|mailto:)/i.test(found[1]);
  return { address: isAddress ? found[1] : `mailto:${found[1]}`, words: found[1], length: found[0].length };
}

// A web address in running text, without the marks that end its sentence.
export function bareLink(text, place, inBrackets) {
  if (/[\p{L}\p{N}_]/u.test(text[place - 1] ?? '')) return null;
  const found = find(inBrackets ? BARE_IN_BRACKETS : BARE, text, place);
  if (!found) return null;
  let [address] = found;
  let extra = address.split(')').length - address.split('(').length;
  for (; ; address = address.slice(0, -1)) {
    const last = address.at(-1);
    if (last === ')' && extra > 0) extra -= 1;
    else if (!/[?!.,:;*_~'’”。，、）」]/.test(last)) break;
  }
  return /^(?:https?:\/\/|www\.)[\p{L}\p{N}[]/u.test(address) ? address : null;
}

// `(address "title")` behind a `]`. While more may come, an address that has not ended yet is one that cannot be opened.
export function linkTarget(text, start, isOpen) {
  if (text[start] !== '(') return null;
  const unfinished = (place) => (isOpen && place >= text.length ? { address: '', title: '', end: text.length } : null);
  let place = start + 1 + find(SPACE, text, start + 1)[0].length;
  const bracketed = find(BRACKETED, text, place);
  const raw = bracketed ? bracketed[1] : plainAddress(text, place);
  if (raw === null) return null;
  place += bracketed ? bracketed[0].length : raw.length;
  const title = find(TITLE, text, place);
  if (title) place += title[0].length;
  place += find(SPACE, text, place)[0].length;
  if (text[place] !== ')') return unfinished(place);
  return { address: plainText(raw), title: plainText(title?.[1] ?? title?.[2] ?? ''), end: place + 1 };
}

function plainAddress(text, start) {
  let depth = 0;
  for (let place = start; place <= text.length && place - start <= MAX_ADDRESS; place += 1) {
    const character = text[place];
    if (character === undefined || /[\s\u0000-\u001f]/.test(character)) return text.slice(start, place);
    if (character === '\\') place += 1;
    else if (character === '(' && (depth += 1) > MAX_PARENTHESES) return null;
    else if (character === ')' && (depth -= 1) < 0) return text.slice(start, place);
  }
  return null;
}

const plainText = (raw) => decodeEntities(raw.replace(/\\([!-/:-@[-`{-~])/g, '$1'));
