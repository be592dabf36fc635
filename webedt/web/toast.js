// A few words at the edge of the page, with at most one thing to do about them; they go by themselves.
import { byId } from './dom.js';

const SHOWN_MS = 9000;
let timer = 0;

export function toast(words, { label, act } = {}) {
  const node = byId('toast');
  const button = node.querySelector('button');
  node.querySelector('span').textContent = words;
  button.hidden = !label;
  button.textContent = label ?? '';
  button.onclick = () => { hide(); act(); };
  node.hidden = false;
  wait();
  node.onmouseenter = node.onfocusin = () => clearTimeout(timer); // who reads or reaches for it has time
  node.onmouseleave = node.onfocusout = wait;
}

function wait() {
  clearTimeout(timer);
  timer = setTimeout(hide, SHOWN_MS);
}

export function hide() {
  clearTimeout(timer);
  byId('toast').hidden = true;
}
