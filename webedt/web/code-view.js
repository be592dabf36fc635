// A block of code: its language, its text as it is, and a button that copies it.
import { copyOnClick } from './copy.js';
import { fromTemplate, setText } from './dom.js';
import { growText } from './inline-view.js';

export function codeView() {
  const node = fromTemplate('code-template');
  const code = node.querySelector('code').appendChild(new Text());
  copyOnClick(node.querySelector('button'), () => code.data);
  return {
    node,
    update({ language, text }) {
      setText(node.querySelector('.language'), language);
      growText(code, text);
    },
  };
}
