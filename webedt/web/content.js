// Content blocks as providers write them, turned into the parts that the page shows. Pure.

export function blocksOf(content) {
  if (typeof content === 'string') return [{ type: 'text', text: content }];
  return Array.isArray(content) ? content : [];
}

const partOf = {
  text: ({ text }) => ({ type: 'text', text }),
  thinking: ({ thinking, text }) => (thinking || text ? { type: 'thinking', text: thinking || text } : null), // or withheld
  image: ({ source }) => ({ type: 'image', source }),
  redacted_thinking: () => null,
};
// Of a tool of whatever kind (mcp_tool_use, web_search_tool_result): it has an event of its own.
const isOfTool = (type) => /(^|_)tool_(use|result)$/.test(type);
// The id of the call whose place in a message this block holds, or null.
export const callOf = ({ type, id }) => (/(^|_)tool_use$/.test(type) ? id : null);

export function partsOf(content) {
  const parts = [];
  for (const block of blocksOf(content)) {
    if (isOfTool(block.type)) continue;
    const part = partOf[block.type] ? partOf[block.type](block) : { type: 'other', name: block.type, text: asJson(block) };
    const last = parts.at(-1);
    if (part?.text !== undefined && part.type !== 'other' && last?.type === part.type) last.text += part.text;
    else if (part) parts.push(part);
  }
  return parts;
}

export const asJson = (value) => JSON.stringify(value, null, 2) ?? '';

const textOf = { text: ({ text }) => text, image: () => '[picture]' };

export function resultText(content) {
  if (typeof content === 'string') return content;
  if (!Array.isArray(content)) return asJson(content);
  return content.map((block) => textOf[block?.type]?.(block) ?? asJson(block)).join('\n');
}
