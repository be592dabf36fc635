// Entities of HTML that people write in Markdown. Pure. The result is text; nothing reads it as markup again.

export const ENTITY = /&(?:#[0-9]{1,7}|#[xX][0-9a-fA-F]{1,6}|[a-zA-Z]{2,8});/y;

const NAMED = {
  amp: '&', lt: '<', gt: '>', quot: '"', apos: "'", nbsp: '\u00a0', copy: '©', reg: '®', trade: '™', hellip: '…',
  mdash: '—', ndash: '–', lsquo: '‘', rsquo: '’', ldquo: '“', rdquo: '”', bull: '•', middot: '·', times: '×', deg: '°',
  plusmn: '±', larr: '←', rarr: '→', uarr: '↑', darr: '↓', le: '≤', ge: '≥', ne: '≠', euro: '€', pound: '£', sect: '§',
  colon: ':', newline: '\n', tab: '\t', lpar: '(', rpar: ')',
};

export function decodeEntity(entity) {
  const name = entity.slice(1, -1);
  if (name[0] !== '#') return Object.hasOwn(NAMED, name.toLowerCase()) ? NAMED[name.toLowerCase()] : entity;
  const code = /^#x/i.test(name) ? Number.parseInt(name.slice(2), 16) : Number(name.slice(1));
  const isCharacter = code > 0 && code <= 0x10ffff && !(code >= 0xd800 && code <= 0xdfff);
  return isCharacter ? String.fromCodePoint(code) : '\ufffd';
}

export const decodeEntities = (text) => text.replace(new RegExp(ENTITY.source, 'g'), decodeEntity);
