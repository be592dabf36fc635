// A button that copies a text and says so. Where the page may not write to the clipboard, there is no such button.
import { setText } from './dom.js';

const SAID_MS = 1600;

export function copyOnClick(button, textOf) {
  button.hidden = !navigator.clipboard;
  const words = button.textContent;
  let timer = 0;
  button.onclick = async () => {
    const isCopied = await navigator.clipboard.writeText(textOf()).then(() => true, () => false);
    setText(button, isCopied ? 'Copied' : 'Not copied');
    clearTimeout(timer);
    timer = setTimeout(() => setText(button, words), SAID_MS);
  };
}
