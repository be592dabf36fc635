// A prompt box: Enter sends, what was typed stays until the server has taken it, refusals stand below it in words.
import { problemWords } from './problem.js';

const isTouch = matchMedia('(pointer: coarse)');

export function composer(form, submit) {
  const box = form.elements.prompt;
  const error = form.querySelector('.error');
  const button = form.querySelector('[type=submit]');
  let isBusy = false;

  async function send(event) {
    event?.preventDefault();
    if (isBusy || !box.value.trim()) return;
    isBusy = button.disabled = box.readOnly = true;
    error.textContent = '';
    try {
      await submit(box.value);
      box.value = '';
    } catch (refusal) {
      error.textContent = problemWords(refusal);
    } finally {
      isBusy = button.disabled = box.readOnly = false;
    }
  }

  form.onsubmit = send;
  box.onkeydown = (event) => {
    if (event.key !== 'Enter' || event.isComposing) return;
    const wantsLine = event.shiftKey || event.altKey || (isTouch.matches && !event.ctrlKey && !event.metaKey);
    if (!wantsLine) send(event);
  };
  return {
    focus: () => isTouch.matches || box.focus(),
    reset() {
      form.reset();
      error.textContent = '';
    },
  };
}
