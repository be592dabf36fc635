// The items of a run (messages, tool calls, notes), in the order in which they began. The run is the caller's to change.

export function putItem(run, item, edit) {
  const items = edit.ownIn(run, 'items');
  const before = items.findLastIndex((other) => other.at <= item.at) + 1;
  items.splice(before, 0, item);
}

// Looked for from the end, where nearly everything happens. Returns a copy that may be changed, or null.
export function editItem(run, isWanted, edit) {
  const place = run.items.findLastIndex(isWanted);
  return place < 0 ? null : edit.ownIn(edit.ownIn(run, 'items'), place);
}

const isTool = (toolUseId) => (item) => item.kind === 'tool' && item.toolUseId === toolUseId;

function tool(run, toolUseId, at, facts, edit) {
  const old = editItem(run, isTool(toolUseId), edit);
  if (old) Object.assign(old, facts);
  else putItem(run, { kind: 'tool', key: `tool ${toolUseId}`, toolUseId, at, result: null, ...facts }, edit);
}

export const addToolUse = (run, { toolUseId, messageId, name, input }, id, edit, seenAt) =>
  tool(run, toolUseId, id, { messageId, name, input, ...(seenAt && { startedAt: seenAt }) }, edit);

export const addToolResult = (run, { toolUseId, content, isError }, id, edit, seenAt) =>
  tool(run, toolUseId, id, { result: { content, isError: Boolean(isError), ...(seenAt && { endedAt: seenAt }) } }, edit);

export function addNote(run, about, data, id, edit) {
  putItem(run, { kind: 'note', key: `note ${id}`, at: id, about, attempt: data.attempt, reason: data.reason ?? null }, edit);
}
