// The messages of a run: grown by deltas, finished by one `message` event. The run is the caller's to change.
// A message that calls tools and goes on is several items: what it says before a call stands above it, the rest below.
// `run.sections` has the number of the last of them; a message that is not in it is one item.
import { blocksOf, callOf, partsOf } from './content.js';
import { editItem, keepItems, placeOf, putItem } from './items.js';

const keyOf = (messageId, section) => (section ? `message ${messageId} ${section}` : `message ${messageId}`);
const lastSection = (run, messageId) => run.sections[keyOf(messageId)] ?? 0;

export function addDelta(run, type, { messageId, text }, id, edit) {
  const section = lastSection(run, messageId);
  const key = keyOf(messageId, section);
  const last = run.items[placeOf(run, key)];
  if (last?.isCut) edit.ownIn(run, 'sections')[keyOf(messageId)] = section + 1;
  if (!last || last.isCut) putItem(run, newItem(messageId, lastSection(run, messageId), id, [{ type, text }]), edit);
  else if (!last.done) grow(edit.ownIn(editItem(run, key, edit), 'parts'), type, text, edit);
}

function grow(parts, type, text, edit) {
  if (parts.at(-1)?.type === type) edit.ownIn(parts, parts.length - 1).text += text;
  else parts.push({ type, text });
}

// Its message has called a tool: what the message says from now on belongs below the call.
export function cut(run, messageId, edit) {
  const last = run.items.at(-1);
  if (last?.kind === 'message' && last.messageId === messageId && !last.done) editItem(run, last.key, edit).isCut = true;
}

// A message stands where its first delta stood, also when the log no longer holds that delta.
export function finish(run, { messageId, role, content, replacesFrom }, id, edit) {
  const begun = run.items[placeOf(run, keyOf(messageId))]?.at;
  const at = replacesFrom ?? begun ?? id;
  const items = edit.ownIn(run, 'items');
  const keys = edit.ownIn(run, 'keys');
  const later = items.splice(items.findLastIndex((item) => item.at < Math.min(at, begun ?? at)) + 1);
  const others = later.filter((item) => item.kind !== 'message' || item.messageId !== messageId);
  const calls = new Map(others.filter(({ kind }) => kind === 'tool').map((call) => [call.toolUseId, call]));
  const said = sectionsOf(content, at, calls).map((section, number) => ({ ...newItem(messageId, number, section.at, section.parts), done: true, role }));
  for (let section = lastSection(run, messageId); section >= 0; section -= 1) keys.delete(keyOf(messageId, section));
  for (const { key } of said) keys.add(key);
  if (lastSection(run, messageId) !== said.length - 1) edit.ownIn(run, 'sections')[keyOf(messageId)] = said.length - 1;
  for (const item of [...others, ...said].sort((one, other) => one.at - other.at)) items.push(item);
}

// What is said behind a call begins where the call does, and so stands behind it.
function sectionsOf(content, at, calls) {
  const sections = [{ at, blocks: [] }];
  for (const block of blocksOf(content)) {
    const call = calls.get(callOf(block));
    if (call) sections.push({ at: call.at, blocks: [] });
    else sections.at(-1).blocks.push(block);
  }
  const all = sections.map(({ at: place, blocks }) => ({ at: place, parts: partsOf(blocks) }));
  const said = all.filter(({ parts }) => parts.length > 0);
  return said.length > 0 ? said : all.slice(0, 1); // a message that says nothing has come all the same
}

// A restarted run says everything again, except the messages that were whole; a tool call belongs to its message.
export function dropUnfinished(run) {
  const whole = new Set(run.items.filter((item) => item.done).map((item) => item.messageId));
  keepItems(run, (item) => item.kind === 'note' || whole.has(item.messageId));
  run.sections = Object.fromEntries(Object.entries(run.sections).filter(([key]) => run.keys.has(key)));
}

const newItem = (messageId, section, at, parts) => ({ kind: 'message', key: keyOf(messageId, section), messageId, at, parts, done: false });
