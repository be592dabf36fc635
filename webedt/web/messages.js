// The messages of a run: grown by deltas, finished by one `message` event. The run is the caller's to change.
// A message that calls tools and goes on is several items: what it says before a call stands above it, the rest below.
import { blocksOf, callOf, partsOf } from './content.js';
import { editItem, keepItems, placeOf, placeOfTool, putItem, takeItem } from './items.js';

const keyOf = (messageId, section) => (section ? `message ${messageId} ${section}` : `message ${messageId}`);

function lastSection(run, messageId) {
  let section = 0;
  while (run.keys.has(keyOf(messageId, section + 1))) section += 1;
  return section;
}

export function addDelta(run, type, { messageId, text }, id, edit) {
  const section = lastSection(run, messageId);
  const key = keyOf(messageId, section);
  const last = run.items[placeOf(run, key)];
  if (!last) putItem(run, newItem(messageId, 0, id, [{ type, text }]), edit);
  else if (last.isCut) putItem(run, newItem(messageId, section + 1, id, [{ type, text }]), edit);
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
  const at = replacesFrom ?? run.items[placeOf(run, keyOf(messageId, 0))]?.at ?? id;
  for (let section = lastSection(run, messageId); section >= 0; section -= 1) takeItem(run, keyOf(messageId, section), edit);
  sectionsOf(run, content, at).forEach((section, number) =>
    putItem(run, { ...newItem(messageId, number, section.at, section.parts), done: true, role }, edit));
}

function sectionsOf(run, content, at) {
  const sections = [{ at, blocks: [] }];
  for (const block of blocksOf(content)) {
    const call = run.items[placeOfTool(run, callOf(block))];
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
}

const newItem = (messageId, section, at, parts) => ({ kind: 'message', key: keyOf(messageId, section), messageId, at, parts, done: false });
