// The messages of a run: grown by deltas, finished by one `message` event. Pure.
import { partsOf } from './content.js';
import { putItem, replaceItem } from './items.js';

const isMessage = (messageId) => (item) => item.kind === 'message' && item.messageId === messageId;

export function addDelta(run, type, { messageId, text }, id) {
  const old = run.items.find(isMessage(messageId));
  if (!old) return putItem(run, newMessage(messageId, id, [{ type, text }], false));
  if (old.done) return run;
  return replaceItem(run, old, { ...old, parts: grow(old.parts, type, text) });
}

function grow(parts, type, text) {
  const last = parts.at(-1);
  if (last?.type !== type) return [...parts, { type, text }];
  return [...parts.slice(0, -1), { type, text: last.text + text }];
}

// A message stands where its first delta stood, also when the log no longer holds that delta.
export function finish(run, { messageId, role, content, replacesFrom }, id) {
  const old = run.items.find(isMessage(messageId));
  const at = replacesFrom ?? old?.at ?? id;
  const message = { ...newMessage(messageId, at, partsOf(content), true), role };
  return old && old.at === at ? replaceItem(run, old, message) : putItem(without(run, old), message);
}

// A restarted run says everything again, except the messages that were whole; a tool call belongs to its message.
export function dropUnfinished(run) {
  const whole = new Set(run.items.filter((item) => item.done).map((item) => item.messageId));
  return { ...run, items: run.items.filter((item) => item.kind === 'note' || whole.has(item.messageId)) };
}

const newMessage = (messageId, at, parts, done) => ({ kind: 'message', key: `message ${messageId}`, messageId, at, parts, done });
const without = (run, item) => (item ? { ...run, items: run.items.filter((other) => other !== item) } : run);
