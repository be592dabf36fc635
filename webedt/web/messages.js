// The messages of a run: grown by deltas, finished by one `message` event. The run is the caller's to change.
import { partsOf } from './content.js';
import { editItem, keepItems, placeOf, putItem } from './items.js';

const keyOf = (messageId) => `message ${messageId}`;

export function addDelta(run, type, { messageId, text }, id, edit) {
  const place = placeOf(run, keyOf(messageId));
  if (place < 0) return putItem(run, newMessage(messageId, id, [{ type, text }], false), edit);
  if (!run.items[place].done) grow(edit.ownIn(editItem(run, keyOf(messageId), edit), 'parts'), type, text, edit);
}

function grow(parts, type, text, edit) {
  if (parts.at(-1)?.type === type) edit.ownIn(parts, parts.length - 1).text += text;
  else parts.push({ type, text });
}

// A message stands where its first delta stood, also when the log no longer holds that delta.
export function finish(run, { messageId, role, content, replacesFrom }, id, edit) {
  const place = placeOf(run, keyOf(messageId));
  const at = replacesFrom ?? run.items[place]?.at ?? id;
  const message = { ...newMessage(messageId, at, partsOf(content), true), role };
  if (run.items[place]?.at === at) {
    edit.ownIn(run, 'items')[place] = message;
    return;
  }
  if (place >= 0) edit.ownIn(run, 'items').splice(place, 1);
  putItem(run, message, edit);
}

// A restarted run says everything again, except the messages that were whole; a tool call belongs to its message.
export function dropUnfinished(run) {
  const whole = new Set(run.items.filter((item) => item.done).map((item) => item.messageId));
  keepItems(run, (item) => item.kind === 'note' || whole.has(item.messageId));
}

const newMessage = (messageId, at, parts, done) => ({ kind: 'message', key: keyOf(messageId), messageId, at, parts, done });
