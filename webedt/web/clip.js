// Long texts, shown by their beginning. Pure.
const MAX_LINES = 40;
const MAX_CHARACTERS = 6000;
const number = new Intl.NumberFormat('en');

// Returns {shown, more}: `more` says in words what is left out, '' when nothing is. A little over the bound is no reason to cut.
export function clip(text) {
  const lines = text.split('\n');
  if (lines.length <= MAX_LINES * 1.25 && text.length <= MAX_CHARACTERS * 1.25) return { shown: text, more: '' };
  let shown = lines.slice(0, MAX_LINES).join('\n').slice(0, MAX_CHARACTERS);
  if (/[\ud800-\udbff]$/.test(shown)) shown = shown.slice(0, -1);
  const isByLine = lines.length > MAX_LINES * 1.25;
  return { shown, more: isByLine ? `${number.format(lines.length)} lines` : `${number.format(text.length)} characters` };
}
