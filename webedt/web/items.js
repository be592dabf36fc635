// The items of a run (messages, tool calls, notes), in the order in which they began. The run is the caller's to change.
// `keys` are those of all items: whether one is there already is asked for each that begins.

export function putItem(run, item, edit) {
  const items = edit.ownIn(run, 'items');
  const before = items.findLastIndex((other) => other.at <= item.at) + 1;
  items.splice(before, 0, item);
  edit.ownIn(run, 'keys').add(item.key);
}

// -1 for one that is not there. Looked for from the end, where nearly everything happens.
export const placeOf = (run, key) => (run.keys.has(key) ? run.items.findLastIndex((item) => item.key === key) : -1);

// Returns a copy that may be changed, or null.
export function editItem(run, key, edit) {
  const place = placeOf(run, key);
  return place < 0 ? null : edit.ownIn(edit.ownIn(run, 'items'), place);
}

export function keepItems(run, isKept) {
  run.items = run.items.filter(isKept);
  run.keys = new Set(run.items.map(({ key }) => key));
}

function tool(run, toolUseId, at, facts, edit) {
  const key = `tool ${toolUseId}`;
  const old = editItem(run, key, edit);
  if (old) Object.assign(old, facts);
  else putItem(run, { kind: 'tool', key, toolUseId, at, result: null, ...facts }, edit);
}

export const addToolUse = (run, { toolUseId, messageId, name, input }, id, edit, seenAt) =>
  tool(run, toolUseId, id, { messageId, name, input, ...(seenAt && { startedAt: seenAt }) }, edit);

export const addToolResult = (run, { toolUseId, content, isError }, id, edit, seenAt) =>
  tool(run, toolUseId, id, { result: { content, isError: Boolean(isError), ...(seenAt && { endedAt: seenAt }) } }, edit);

export function addNote(run, about, data, id, edit) {
  putItem(run, { kind: 'note', key: `note ${id}`, at: id, about, attempt: data.attempt, reason: data.reason ?? null }, edit);
}
