// A very long paragraph in stretches of whole lines: nodes -> [nodes, …]. Pure.
// Each is laid out by itself. A browser lays out a paragraph as one, so one that grows to ten thousand words would be
// laid out from its start with each of them.

const LEAST_LENGTH = 2000;

// However much is added at the end, the stretches before the last one stay what they are.
export function stretchesOf(nodes) {
  const stretches = [[]];
  let length = 0;
  const put = (node, size) => {
    stretches.at(-1).push(node);
    length += size;
  };
  for (const node of nodes) {
    if (node.type !== 'text') {
      put(node, lengthOf(node));
      continue;
    }
    let { text } = node;
    for (let end; (end = text.indexOf('\n', Math.max(0, LEAST_LENGTH - length))) >= 0; text = text.slice(end + 1)) {
      if (end > 0) put({ ...node, text: text.slice(0, end) }, end);
      stretches.push([]);
      length = 0;
    }
    if (text) put({ ...node, text }, text.length);
  }
  return stretches;
}

const lengthOf = ({ text, children = [] }) => text?.length ?? children.reduce((sum, child) => sum + lengthOf(child), 0);
