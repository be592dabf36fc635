// The prompts that wait behind the running one, each with its place and a way to take it back.
import { byId, fromTemplate, setText } from './dom.js';
import { keyedChildren } from './keyed.js';
import { promptText, waitingRuns } from './run-state.js';

const EXCERPT_CHARACTERS = 200;

export function queueView() {
  const list = byId('queue');
  const show = keyedChildren(list, ({ runId }) => runId, queuedPrompt);
  const clear = () => {
    show([]);
    list.hidden = true;
  };
  clear();
  return {
    show(state) {
      const waiting = waitingRuns(state);
      show(waiting, waiting, true);
      list.hidden = waiting.length === 0;
    },
    close: clear,
  };
}

function queuedPrompt({ runId }) {
  const node = fromTemplate('queued-template');
  const cancel = node.querySelector('button');
  cancel.dataset.interrupt = runId;
  return {
    node,
    update(run, waiting) {
      const excerpt = promptText(run).replace(/\s+/g, ' ').trim().slice(0, EXCERPT_CHARACTERS) || 'Picture';
      setText(node.querySelector('.place'), `${waiting.indexOf(run) + 1}`);
      setText(node.querySelector('.excerpt'), excerpt);
      cancel.ariaLabel = `Cancel the waiting prompt: ${excerpt.slice(0, 60)}`;
    },
  };
}
