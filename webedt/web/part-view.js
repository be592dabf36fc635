// One part of a prompt or a message: text that grows, folded thinking, a picture. Model text enters by text nodes only.
import { element, fromTemplate, setText } from './dom.js';

export function partView(part) {
  const view = (makers[part.type] ?? makers.other)(part);
  view.type = part.type;
  return view;
}

// Appends what is new to the node that is there, so that a long answer is not laid out again from its start.
export function growText(node, text) {
  if (text === node.data) return;
  if (text.startsWith(node.data)) node.appendData(text.slice(node.data.length));
  else node.data = text;
}

const makers = {
  text() {
    const node = element('div', 'part');
    const text = node.appendChild(new Text());
    return { node, update: (part) => growText(text, part.text) };
  },
  thinking() {
    const node = fromTemplate('folded-template');
    const text = new Text();
    node.querySelector('.body').append(element('div', 'part thought'));
    node.querySelector('.thought').append(text);
    return {
      node,
      update(part, isOpen) {
        setText(node.querySelector('summary'), isOpen ? 'Thinking…' : 'Thinking');
        growText(text, part.text);
      },
    };
  },
  image({ source }) {
    const node = element('div', 'part');
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
