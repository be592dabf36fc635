// A tool call in a line of words, and what went in and came out as text for a person. Pure.
import { asJson, resultText } from './content.js';
import { durationWords } from './words.js';

const MAIN = ['command', 'cmd', 'file_path', 'path', 'filename', 'pattern', 'query', 'url', 'description', 'prompt', 'code'];
const PREVIEW_CHARACTERS = 160;

// The argument that says most, on one line.
export function mainArgument(input) {
  if (typeof input === 'string') return oneLine(input);
  if (input === null || typeof input !== 'object') return '';
  const name = MAIN.find((key) => typeof input[key] === 'string' && input[key]);
  if (name) return oneLine(input[name]);
  return oneLine(Object.values(input).filter((value) => typeof value !== 'object').join(' '));
}

const oneLine = (text) => text.slice(0, 4 * PREVIEW_CHARACTERS).replace(/\s+/g, ' ').trim().slice(0, PREVIEW_CHARACTERS);

export function toolState({ result, startedAt }, isOver) {
  if (!result) return isOver ? 'stopped' : 'running';
  const tookMs = startedAt && result.endedAt ? result.endedAt - startedAt : null;
  return `${result.isError ? 'failed' : 'done'}${tookMs === null ? '' : ` in ${durationWords(tookMs)}`}`;
}

// Arguments one below the other: text of several lines is easier to read than its JSON.
export function inputSections(input) {
  if (input === null || typeof input !== 'object' || Array.isArray(input)) return [['Input', typeof input === 'string' ? input : asJson(input)]];
  const isLong = (value) => typeof value === 'string' && value.includes('\n');
  const long = Object.entries(input).filter(([, value]) => isLong(value));
  const short = Object.fromEntries(Object.entries(input).filter(([, value]) => !isLong(value)));
  const rest = Object.keys(short).length || !long.length ? [['Input', asJson(short)]] : [];
  return [...rest, ...long];
}

export function outputText(content) {
  const text = resultText(content);
  if (!/^\s*[[{]/.test(text) || text.length > 200000) return text;
  try {
    return asJson(JSON.parse(text));
  } catch {
    return text;
  }
}
