// What the running run is doing, and for how long; in a place of its own, so that the text above it does not push it.
import { byId, setText } from './dom.js';
import { elapsedWords, progressWords } from './words.js';

export function progressView() {
  const node = byId('progress');
  const startTimes = new Map(); // of runs that had begun before this page was there
  let run = null;

  function tick() {
    const since = run && (run.startedAt ?? startTimes.get(run.runId));
    setText(node.querySelector('.elapsed'), since ? elapsedWords(Date.now() - since) : '');
  }
  function show(newRun) {
    run = newRun?.status === 'running' ? newRun : null;
    node.hidden = run === null;
    if (run) setText(node.querySelector('.words'), progressWords(run));
    tick();
  }

  const ticking = setInterval(tick, 1000);
  show(null);
  return {
    show,
    setStart(runId, time) {
      startTimes.set(runId, time);
      tick();
    },
    close() {
      clearInterval(ticking);
      show(null);
    },
  };
}
