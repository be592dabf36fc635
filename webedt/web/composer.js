// A prompt box: Enter sends, what was typed stays until the server has taken it, refusals stand below it in words.
// `submit` gets a string, or content blocks when there are pictures. `draft` names where the text outlives a reload.
import { attachments } from './attachments.js';
import { draftOf } from './draft.js';
import { problemWords } from './problem.js';

const isTouch = matchMedia('(pointer: coarse)');

export function composer(form, submit, { draft: draftName = null } = {}) {
  const box = form.elements.prompt;
  const error = form.querySelector('.error');
  const button = form.querySelector('[type=submit]');
  const draft = draftOf(draftName);
  const pictures = attachments(form, (words) => { error.textContent = words; });
  let isBusy = false;
  let isClosed = false; // the box then belongs to another session, whatever the server still answers

  function busy(now) {
    isBusy = button.disabled = box.readOnly = now;
  }

  async function send(event) {
    event?.preventDefault();
    if (isBusy || !(box.value.trim() || pictures.count())) return;
    busy(true);
    error.textContent = '';
    try {
      const blocks = await pictures.blocks(box.value);
      await submit(blocks.length ? [...blocks, ...textBlocks(box.value)] : box.value);
      draft.forget();
      if (isClosed) return;
      box.value = '';
      pictures.clear();
    } catch (refusal) {
      if (!isClosed) error.textContent = problemWords(refusal);
    } finally {
      if (!isClosed) busy(false);
    }
  }

  form.onsubmit = send;
  box.oninput = () => draft.keep(box.value);
  box.onkeydown = (event) => {
    if (event.key !== 'Enter' || event.isComposing) return;
    const isAsked = event.ctrlKey || event.metaKey;
    const wantsLine = event.shiftKey || event.altKey || (isTouch.matches && !isAsked);
    if (!wantsLine) send(event);
  };

  function reset() {
    form.reset();
    pictures.clear();
    error.textContent = '';
    box.value = draft.read();
    busy(false);
  }
  reset();
  return {
    // A touch screen would unfold its keyboard, which nobody asked for.
    focus: ({ isWanted = false } = {}) => (isTouch.matches && !isWanted) || box.focus(),
    hasFocus: () => form.contains(document.activeElement),
    reset,
    close() {
      isClosed = true;
      pictures.clear();
    },
  };
}

const textBlocks = (text) => (text.trim() ? [{ type: 'text', text }] : []);
