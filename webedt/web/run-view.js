// One run: its prompt, what came of it, and how it ended.
import { element, fromTemplate, setText } from './dom.js';
import { keyedChildren } from './keyed.js';
import { messageView, showParts } from './message-view.js';
import { partsOf } from './content.js';
import { toolView } from './tool-view.js';
import { noteWords, outcomeWords } from './words.js';
import { queuePosition } from './run-state.js';

const viewOf = { message: messageView, tool: toolView, note: noteView };

export function runView({ runId }) {
  const node = fromTemplate('run-template');
  const outcome = node.querySelector('.outcome');
  const cancel = outcome.querySelector('button');
  const prompt = node.querySelector('.prompt');
  const promptViews = [];
  const items = keyedChildren(node.querySelector('.items'), (item) => item.key, (item) => viewOf[item.kind]());
  let shown = null;
  cancel.dataset.interrupt = runId;
  return {
    node,
    update(run, state) {
      if (run.status === 'queued' || run !== shown) setText(outcome.querySelector('.words'), outcomeWords(run, queuePosition(state, run)));
      if (run === shown) return;
      outcome.dataset.status = run.status;
      cancel.hidden = run.status !== 'queued';
      if (run.prompt !== shown?.prompt) showParts(prompt, promptViews, partsOf(run.prompt));
      items(run.items, run, run.status !== shown?.status);
      shown = run;
    },
  };
}

function noteView() {
  const node = element('p', 'note');
  return { node, update: (item) => setText(node, noteWords(item)) };
}
