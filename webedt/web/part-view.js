// One part of a prompt or a message: text, folded thinking, a picture. Text enters by text nodes only.
import { clippedView } from './clipped-view.js';
import { element, fromTemplate, setText } from './dom.js';
import { markdownView } from './markdown-view.js';
import { whenOpened } from './folded.js';

export const partView = (part) => (makers[part.type] ?? makers.other)(part);

const makers = {
  text() {
    const { node, update } = markdownView();
    return { node, update: (part, isOpen) => update(part.text, isOpen) };
  },
  plain() { // what a person wrote
    const { node, update } = clippedView('p');
    return { node, update: (part) => update(part.text) };
  },
  thinking() {
    const node = fromTemplate('folded-template');
    const { node: thought, update } = markdownView();
    thought.classList.add('thought');
    node.querySelector('.body').append(thought);
    const fill = whenOpened(node, (part, isOpen) => update(part.text, isOpen));
    return {
      node,
      update(part, isOpen) {
        node.toggleAttribute('data-busy', isOpen);
        setText(node.querySelector('summary'), isOpen ? 'Thinking…' : 'Thinking');
        fill(part, isOpen);
      },
    };
  },
  image({ source }) {
    const node = element('div', 'picture');
    const isPicture = source?.type === 'base64' && /^image\/(png|jpeg|gif|webp)$/.test(source.media_type);
    if (isPicture) node.append(Object.assign(new Image(), { alt: 'Attached picture', src: `data:${source.media_type};base64,${source.data}` }));
    else node.textContent = '[picture]';
    return { node, update() {} };
  },
  other(part) {
    const node = fromTemplate('folded-template');
    node.querySelector('summary').textContent = part.name ?? part.type;
    node.querySelector('.body').append(element('pre', '', part.text));
    return { node, update() {} };
  },
};
