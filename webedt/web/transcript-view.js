// The runs of a session with the newest line kept in sight while the reader is there. Of a long session the newest runs
// are drawn at once, the older ones by and by when the browser has nothing else to do.
import { byId } from './dom.js';
import { whenIdle } from './frame.js';
import { keyedChildren } from './keyed.js';
import { runView } from './run-view.js';
import { waitingRuns } from './run-state.js';
import { stickToEnd } from './scroll.js';

const FIRST_RUNS = 8;
const MORE_RUNS = 4;

export function transcriptView({ isReadOnly = false } = {}) {
  const container = byId('transcript');
  container.replaceChildren();
  const showRuns = keyedChildren(container, (run) => run.runId, runView);
  const scroll = stickToEnd(byId('scroller'), byId('newest'));
  let state = null;
  let isKnown = false; // the log was read to its end: what is drawn from then on stays drawn
  let wasKnown = false;
  let first = 0;

  const drawEarlier = whenIdle(() => {
    const was = container.firstElementChild;
    first = Math.max(0, first - MORE_RUNS);
    scroll.keeping(was, () => {
      draw();
      for (let run = was?.previousElementSibling; run; run = run.previousElementSibling) run.classList.add('far');
    });
    if (first > 0) drawEarlier();
  });

  function draw() {
    const waiting = new Set(waitingRuns(state));
    const runs = state.runs.filter((run) => !waiting.has(run));
    if (!wasKnown) first = Math.max(0, runs.length - FIRST_RUNS);
    wasKnown = isKnown;
    showRuns(runs.slice(first), { state, isKnown, isReadOnly }, true);
  }

  return {
    show(newState, isCaughtUp) {
      state = newState;
      isKnown = isCaughtUp;
      container.ariaBusy = isKnown ? null : 'true';
      draw();
      scroll.settle();
      if (isKnown && first > 0) drawEarlier();
    },
    jumpToEnd: scroll.jump,
    close() {
      drawEarlier.cancel();
      scroll.close();
      container.replaceChildren();
    },
  };
}
