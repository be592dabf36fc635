// What stands inside a block, as nodes of the page. Model text enters by text nodes only; a link is opened apart.
import { element } from './dom.js';
import { parseInline } from './inline.js';
import { placedChildren } from './placed.js';
import { stretchesOf } from './stretches.js';

const TAGS = { strong: 'strong', em: 'em', del: 'del' };

// Returns update(text, isOpen) that draws into the container what differs from last time.
export function inlineInto(container) {
  const show = nodesInto(container);
  let shown = null;
  return function update(text, isOpen = false) {
    const now = `${isOpen} ${text}`;
    if (now === shown) return;
    shown = now;
    const stretches = stretchesOf(parseInline(text, isOpen));
    show(stretches.length > 1 ? stretches.map((children) => ({ type: 'stretch', children })) : stretches[0]);
  };
}

const nodesInto = (container) => placedChildren(container, kindOf, (node) => (views[node.type] ?? marked)(node));
const kindOf = ({ type, href, isImage }) => (type === 'link' ? `link ${isImage} ${href}` : type);

// Appends what is new to the node that is there, so that a long answer is not laid out again from its start.
export function growText(node, text) {
  if (text === node.data) return;
  if (text.startsWith(node.data)) node.appendData(text.slice(node.data.length));
  else node.data = text;
}

const views = {
  stretch() {
    const node = element('span', 'stretch');
    const show = nodesInto(node);
    return { node, update: ({ children }) => show(children) };
  },
  text() {
    const node = new Text();
    return { node, update: ({ text }) => growText(node, text) };
  },
  code() {
    const node = element('code');
    const text = node.appendChild(new Text());
    return { node, update: (span) => growText(text, span.text) };
  },
  // The address that is really opened is the one that is shown. A picture would tell its server who reads this.
  link({ href, isImage }) {
    const node = element(href ? 'a' : 'span', isImage ? 'picture' : '');
    if (href) Object.assign(node, { href, rel: 'noopener noreferrer nofollow', target: '_blank' });
    const show = nodesInto(node);
    return {
      node,
      update({ address, children }) {
        node.title = href ?? address;
        show(children.length ? children : [{ type: 'text', text: address }]);
      },
    };
  },
};

function marked({ type }) {
  const node = element(TAGS[type]);
  const show = nodesInto(node);
  return { node, update: ({ children }) => show(children) };
}
