// The runs of a session, drawn at most once a frame, with the newest line kept in sight while the reader is there.
import { byId } from './dom.js';
import { oncePerFrame } from './frame.js';
import { keyedChildren } from './keyed.js';
import { runView } from './run-view.js';
import { stickToEnd } from './scroll.js';

export function transcriptView() {
  const container = byId('transcript');
  container.replaceChildren();
  const runs = keyedChildren(container, (run) => run.runId, runView);
  const scroll = stickToEnd(byId('scroller'), byId('newest'));
  let state = null;
  const draw = oncePerFrame(() => {
    runs(state.runs, state, true);
    scroll.settle();
  });
  return {
    show(newState) {
      state = newState;
      draw();
    },
    jumpToEnd: scroll.jump,
    close() {
      draw.cancel();
      scroll.close();
      container.replaceChildren();
    },
  };
}
