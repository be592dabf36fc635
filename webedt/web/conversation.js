// Follows one log and draws it: what a session page and a shared page have in common.
// Events are taken together once a frame. While a log is read from its start nothing is drawn that would only move away
// again, unless it takes long.
import { connectionLabel } from './connection-label.js';
import { byId } from './dom.js';
import { oncePerFrame } from './frame.js';
import { progressView } from './progress-view.js';
import { EMPTY, FRAME_TYPES, LOG_TYPES, reduceAll } from './reducer.js';
import { activeRun } from './run-state.js';
import { follow } from './stream.js';
import { transcriptView } from './transcript-view.js';

const REPLAY_FRAME_MS = 3000;

export function conversation({ urlAfter, whyRefused, onState, isReadOnly = false }) {
  const label = connectionLabel(byId('connection'));
  const transcript = transcriptView({ isReadOnly });
  const progress = progressView();
  let state = EMPTY;
  let waiting = [];
  let isLive = false;  // what comes now came about now
  let isKnown = false; // the log was read to its end once, whatever became of the stream since
  let lastDrawn = performance.now();

  function take() {
    state = reduceAll(state, waiting);
    waiting = [];
  }

  const draw = oncePerFrame(() => {
    if (!isKnown && performance.now() - lastDrawn < REPLAY_FRAME_MS) return draw();
    take();
    transcript.show(state, isKnown);
    progress.show(activeRun(state));
    onState(state, isKnown);
    label.running(activeRun(state) !== null);
    lastDrawn = performance.now();
  });

  function onSignal(signal, detail) {
    if (signal !== 'draining') isLive = signal === 'caught_up';
    if (signal === 'reset') isKnown = false;
    if (isLive) {
      isKnown = true;
      draw();
    }
    label.signal(signal, detail);
  }

  function onEvent(type, data, eventId) {
    const isFrame = FRAME_TYPES.includes(type);
    if (isFrame) onSignal(type);
    if (!isFrame || type === 'reset') waiting.push({ id: isFrame ? null : eventId, type, data, ...(isLive && { seenAt: Date.now() }) });
    draw();
  }

  const stop = follow({
    url() {
      take();
      return urlAfter(state.lastId);
    },
    types: [...LOG_TYPES, ...FRAME_TYPES],
    onEvent,
    onSignal,
    onReplica: label.replica,
    whyRefused,
  });

  return {
    get state() {
      take();
      return state;
    },
    setStart: progress.setStart,
    jumpToEnd: transcript.jumpToEnd,
    close() {
      stop();
      draw.cancel();
      transcript.close();
      progress.close();
      label.close();
    },
  };
}
