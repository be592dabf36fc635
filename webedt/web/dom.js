// The few ways in which this page touches its document.

export const byId = (id) => document.getElementById(id);

export const fromTemplate = (id) => byId(id).content.firstElementChild.cloneNode(true);

export function element(name, className, text) {
  const node = document.createElement(name);
  if (className) node.className = className;
  if (text !== undefined) node.textContent = text;
  return node;
}

// A browser lays out and reads aloud only what differs.
export function setText(node, text) {
  if (node.textContent !== text) node.textContent = text;
}

export function setStatus(node, status, words) {
  node.dataset.status = status ?? '';
  setText(node, words ?? '');
}
