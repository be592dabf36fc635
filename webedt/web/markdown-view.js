// Markdown as nodes of the page, for text that grows: what is closed is never touched again, what is open is patched.
import { codeView } from './code-view.js';
import { element } from './dom.js';
import { inlineInto } from './inline-view.js';
import { markdownStream } from './markdown-stream.js';
import { placedChildren } from './placed.js';

export function markdownView() {
  const node = element('div', 'markdown');
  const show = blocksInto(node);
  const read = markdownStream();
  return {
    node,
    update(text, isOpen) {
      const { at, blocks } = read(text, isOpen);
      show(blocks, isOpen, at);
    },
  };
}

const blocksInto = (container) => placedChildren(container, kindOf, (block) => unlessSame(views[block.type](block)));

function kindOf({ type, level, start }) {
  if (type === 'heading') return `h${level}`;
  return type === 'list' ? `list ${start === null}` : type;
}

function unlessSame({ node, update }) {
  let shown = null;
  return {
    node,
    update(block, isOpen) {
      const now = `${isOpen} ${block.source}`;
      if (now === shown) return;
      shown = now;
      update(block, isOpen);
    },
  };
}

function lineView(tag) {
  const node = element(tag);
  const show = inlineInto(node);
  return { node, update: ({ text }, isOpen) => show(text, isOpen) };
}

const views = {
  paragraph: () => lineView('p'),
  heading({ level }) {
    const view = lineView(`h${Math.max(3, Math.min(6, level + 1))}`); // the page has headings of its own above these
    view.node.dataset.level = level;
    return view;
  },
  rule: () => ({ node: element('hr'), update() {} }),
  code: codeView,
  quote() {
    const node = element('blockquote');
    const show = blocksInto(node);
    return { node, update: ({ children }, isOpen) => show(children, isOpen) };
  },
  list({ start }) {
    const node = element(start === null ? 'ul' : 'ol');
    const show = placedChildren(node, ({ checked }) => `item ${checked !== null}`, (item) => unlessSame(itemView(item)));
    return {
      node,
      update({ items, start: first }, isOpen) {
        if (first !== null && node.start !== first) node.start = first;
        show(items, isOpen);
      },
    };
  },
  table: tableView,
};

function itemView({ checked }) {
  const node = element('li');
  const box = checked === null ? null : Object.assign(element('input'), { type: 'checkbox', disabled: true });
  if (box) node.append(box);
  const body = box ? node.appendChild(element('div')) : node;
  node.classList.toggle('task', box !== null);
  const show = blocksInto(body);
  return {
    node,
    update(item, isOpen) {
      if (box) Object.assign(box, { checked: item.checked, ariaLabel: item.checked ? 'Done' : 'To do' });
      show(item.children, isOpen);
    },
  };
}

function tableView() {
  const node = Object.assign(element('div', 'table'), { tabIndex: 0 });
  const table = node.appendChild(element('table'));
  const head = rowView('th');
  table.appendChild(element('thead')).append(head.node);
  const showRows = placedChildren(table.appendChild(element('tbody')), () => 'row', () => rowView('td'));
  return {
    node,
    update({ align, head: titles, rows }, isOpen) {
      head.update({ cells: titles, align }, false);
      showRows(rows.map((cells) => ({ cells, align })), isOpen);
    },
  };
}

function rowView(tag) {
  const node = element('tr');
  const show = placedChildren(node, () => 'cell', () => {
    const cell = element(tag);
    const showText = inlineInto(cell);
    return {
      node: cell,
      update({ text, align }, isOpen) {
        if (align && cell.dataset.align !== align) cell.dataset.align = align;
        showText(text, isOpen);
      },
    };
  });
  return { node, update: ({ cells, align }, isOpen) => show(cells.map((text, i) => ({ text, align: align[i] })), isOpen) };
}
