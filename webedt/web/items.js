// The items of a run (messages, tool calls, notes), in the order in which they began. Pure.

export function putItem(run, item) {
  const before = run.items.findLastIndex((other) => other.at <= item.at) + 1;
  return { ...run, items: [...run.items.slice(0, before), item, ...run.items.slice(before)] };
}

export function replaceItem(run, old, item) {
  return { ...run, items: run.items.map((other) => (other === old ? item : other)) };
}

const isTool = (toolUseId) => (item) => item.kind === 'tool' && item.toolUseId === toolUseId;

export function addToolUse(run, { toolUseId, messageId, name, input }, id) {
  const old = run.items.find(isTool(toolUseId));
  const tool = { ...(old ?? newTool(toolUseId, id)), messageId, name, input };
  return old ? replaceItem(run, old, tool) : putItem(run, tool);
}

export function addToolResult(run, { toolUseId, content, isError }, id) {
  const old = run.items.find(isTool(toolUseId));
  const tool = { ...(old ?? newTool(toolUseId, id)), result: { content, isError: Boolean(isError) } };
  return old ? replaceItem(run, old, tool) : putItem(run, tool);
}

export function addNote(run, about, data, id) {
  return putItem(run, { kind: 'note', key: `note ${id}`, at: id, about, attempt: data.attempt, reason: data.reason ?? null });
}

const newTool = (toolUseId, at) => ({ kind: 'tool', key: `tool ${toolUseId}`, toolUseId, at, result: null });
