// A text of which only the beginning is shown until somebody wants it all.
import { clip } from './clip.js';
import { element, setText } from './dom.js';

export function clippedView(tag, className = '') {
  const node = element('div', 'clipped');
  const body = node.appendChild(element(tag, className));
  const button = node.appendChild(Object.assign(element('button', 'quiet more'), { type: 'button' }));
  let whole = '';
  let isAll = false;

  function show() {
    const { shown, more } = isAll ? { shown: whole, more: '' } : clip(whole);
    setText(body, shown);
    setText(button, more && `Show all (${more})`);
    button.hidden = !more;
  }
  button.onclick = () => {
    isAll = true;
    show();
    body.tabIndex = -1; // the button that had the focus is gone
    body.focus();
  };
  return {
    node,
    update(text) {
      if (text === whole) return;
      whole = text;
      show();
    },
  };
}
