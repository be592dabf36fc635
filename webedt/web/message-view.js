// A message: its parts, of which the last one grows while the message is open.
import { element } from './dom.js';
import { partView } from './part-view.js';
import { placedChildren } from './placed.js';

export const partsInto = (container) => placedChildren(container, ({ type }) => type, partView);

export function messageView() {
  const node = element('div', 'message');
  const show = partsInto(node);
  return {
    node,
    update(item, run) {
      const isOpen = !item.done && !item.isCut && run.status === 'running';
      node.toggleAttribute('data-open', isOpen);
      node.ariaBusy = isOpen ? 'true' : null; // read aloud as a whole, not word by word
      show(item.parts, isOpen);
    },
  };
}
