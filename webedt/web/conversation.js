// Follows one log and draws it: what a session page and a shared page have in common.
// Events are taken together once a frame. Until all of a log is there it is drawn a few times a second only.
import { connectionLabel } from './connection-label.js';
import { byId } from './dom.js';
import { oncePerFrame } from './frame.js';
import { EMPTY, FRAME_TYPES, LOG_TYPES, reduceAll } from './reducer.js';
import { activeRun } from './run-state.js';
import { follow } from './stream.js';
import { transcriptView } from './transcript-view.js';

const REPLAY_FRAME_MS = 250;

export function conversation({ urlAfter, whyRefused, onState, isReadOnly = false }) {
  const label = connectionLabel(byId('connection'));
  const transcript = transcriptView({ isReadOnly });
  let state = EMPTY;
  let waiting = [];
  let isLive = false;
  let lastDrawn = 0;

  function take() {
    state = reduceAll(state, waiting);
    waiting = [];
  }

  const draw = oncePerFrame(() => {
    take();
    if (!isLive && performance.now() - lastDrawn < REPLAY_FRAME_MS) return draw();
    transcript.show(state, isLive);
    onState(state);
    label.running(activeRun(state) !== null);
    lastDrawn = performance.now();
  });

  function onSignal(signal) {
    if (signal !== 'draining' && signal !== 'caught_up') isLive = false; // what comes next came about before now
    label.signal(signal);
  }

  function onEvent(type, data, eventId) {
    const isFrame = FRAME_TYPES.includes(type);
    if (type === 'caught_up') isLive = true;
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
    whyRefused,
  });

  return {
    get state() {
      take();
      return state;
    },
    setStart: transcript.setStart,
    jumpToEnd: transcript.jumpToEnd,
    close() {
      stop();
      draw.cancel();
      transcript.close();
      label.close();
    },
  };
}
