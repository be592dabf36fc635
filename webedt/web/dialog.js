// A dialog out of its template: titled, closed by its button, Escape or a click beside it, gone when closed.
import { fromTemplate } from './dom.js';
import { loadStyle } from './style.js';

export async function openDialog(title, name, onClose = () => {}) {
  await loadStyle('dialogs.css');
  const node = fromTemplate('dialog-template');
  const heading = node.querySelector('h2');
  heading.textContent = title;
  heading.id = `${name}-title`;
  node.setAttribute('aria-labelledby', heading.id);
  node.classList.add(name);
  node.querySelector('header button').onclick = () => node.close();
  node.onclose = () => { node.remove(); onClose(); };
  document.body.append(node);
  node.showModal();
  return { node, body: node.querySelector('.body') };
}
