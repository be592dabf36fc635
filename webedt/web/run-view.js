// One run: its prompt, what came of it, and how it ended.
import { partsOf } from './content.js';
import { copyOnClick } from './copy.js';
import { element, fromTemplate, setText } from './dom.js';
import { keyedChildren } from './keyed.js';
import { messageView, partsInto } from './message-view.js';
import { answerText, isOver, queuePosition } from './run-state.js';
import { toolView } from './tool-view.js';
import { isCutShort, noteWords, outcomeWords } from './words.js';

const MOST_ITEMS = 200; // of an agent's thousands of steps the newest are drawn, the others when somebody asks

const viewOf = { message: messageView, tool: toolView, note: noteView };

export function runView({ runId }) {
  const node = fromTemplate('run-template');
  const find = (selector) => node.querySelector(selector);
  const [outcome, earlier, words] = ['.outcome', '.earlier', '.words'].map(find);
  const [cancel, retry, copy] = ['.cancel', '.retry', '.copy'].map(find);
  const showPrompt = partsInto(find('.prompt'));
  const showItems = keyedChildren(find('.items'), (item) => item.key, (item) => viewOf[item.kind]());
  let shown = null;
  let wasKnown = false; // the log was read to its end when this was drawn last
  let first = 0; // the place of the first item that is drawn
  cancel.dataset.interrupt = retry.dataset.retry = runId;
  copyOnClick(copy, () => answerText(shown));
  const mayCopy = !copy.hidden;

  function drawItems(run, isChanged) {
    first = Math.min(first, run.items.length);
    setText(earlier, first ? `Show ${first} earlier step${first === 1 ? '' : 's'}` : '');
    earlier.hidden = first === 0;
    showItems(first ? run.items.slice(first) : run.items, run, isChanged);
  }
  earlier.onclick = () => {
    first = Math.max(0, first - MOST_ITEMS);
    drawItems(shown, false);
  };

  return {
    node,
    update(run, { state, isKnown, isReadOnly }) {
      if (run.status === 'queued' || run !== shown) setText(words, outcomeWords(run, queuePosition(state, run)));
      const mayRetry = !isReadOnly && run === state.runs.at(-1) && run.status === 'failed' && run.retryable;
      if (retry.hidden === mayRetry) retry.hidden = !mayRetry;
      if (run === shown) return;
      outcome.dataset.status = isCutShort(run) ? 'cut' : run.status;
      cancel.hidden = isReadOnly || run.status !== 'queued';
      copy.hidden = !mayCopy || !isOver(run) || !run.items.some(({ kind }) => kind === 'message');
      find('.prompt').hidden = run.prompt.length === 0;
      if (run.prompt !== shown?.prompt) showPrompt(partsOf(run.prompt).map((part) => (part.type === 'text' ? { ...part, type: 'plain' } : part)));
      if (!wasKnown) first = Math.max(0, run.items.length - MOST_ITEMS);
      wasKnown = isKnown;
      drawItems(run, run.status !== shown?.status);
      shown = run;
    },
  };
}

function noteView() {
  const node = element('p', 'note');
  return { node, update: (item) => setText(node, noteWords(item)) };
}
