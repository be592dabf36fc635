// A message, or anything else that is a list of parts.
import { element } from './dom.js';
import { partView } from './part-view.js';

export function showParts(container, views, parts, isOpen = false) {
  parts.forEach((part, i) => {
    if (views[i]?.type !== part.type) {
      const fresh = partView(part);
      if (views[i]) views[i].node.replaceWith(fresh.node);
      else container.append(fresh.node);
      views[i] = fresh;
    }
    views[i].update(part, isOpen && i === parts.length - 1);
  });
  for (const extra of views.splice(parts.length)) extra.node.remove();
}

export function messageView() {
  const node = element('div', 'message');
  const views = [];
  return {
    node,
    update(item, run) {
      const isOpen = !item.done && run.status === 'running';
      node.toggleAttribute('data-open', isOpen);
      showParts(node, views, item.parts, isOpen);
    },
  };
}
