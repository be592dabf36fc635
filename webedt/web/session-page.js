// One open session: reads its log from the start, follows it, sends follow-ups, interrupts.
import { eventsUrl, getSession, interrupt, send } from './api.js';
import { composer } from './composer.js';
import { connectionLabel } from './connection-label.js';
import { byId, setText } from './dom.js';
import { onceEach } from './idempotency.js';
import { problemWords } from './problem.js';
import { EMPTY, FRAME_TYPES, LOG_TYPES, reduce } from './reducer.js';
import { activeRun, isOver, statusOf } from './run-state.js';
import { sessionHeader } from './session-header.js';
import { follow } from './stream.js';
import { transcriptView } from './transcript-view.js';
import { queueWords } from './words.js';

export function openSession(id, { onRefusal }) {
  let state = EMPTY;
  let isClosed = false;
  const header = sessionHeader();
  const label = connectionLabel(byId('connection'));
  const transcript = transcriptView();
  const form = byId('session').querySelector('form');
  let noticed = null;

  // Words about a run stand until its status says more than they do.
  function notice(words, runId = null, status = null) {
    noticed = runId && { runId, status };
    setText(byId('notice'), words);
  }
  function dropOldNotice() {
    const run = noticed && state.runs.find(({ runId }) => runId === noticed.runId);
    if (run && run.status !== noticed.status && (isOver(run) || noticed.status === 'queued')) notice('');
  }

  function onEvent(type, data, eventId) {
    if (FRAME_TYPES.includes(type)) label.signal(type);
    state = reduce(state, { id: FRAME_TYPES.includes(type) ? null : eventId, type, data });
    transcript.show(state);
    header.showRuns(statusOf(state), activeRun(state));
    label.running(activeRun(state) !== null);
    dropOldNotice();
  }

  async function stopRun(runId) {
    try {
      await interrupt(id, runId);
      notice('Interrupting…', runId);
      dropOldNotice(); // the end may have come before this answer
    } catch (error) {
      if (error.code === 'conflict') notice('That run had already ended.');
      else if (!onRefusal(error)) notice(problemWords(error));
    }
  }

  const ask = onceEach((body, key) => send(id, body, key));
  const box = composer(form, async (message) => {
    const answer = await ask({ message }).catch((error) => { onRefusal(error); throw error; });
    if (answer.status === 'queued') notice(queueWords(answer.position), answer.runId, 'queued');
    else notice('');
    dropOldNotice();
    transcript.jumpToEnd();
  });

  // A session that is not there is said in place of its conversation.
  async function load() {
    const session = await getSession(id);
    if (!isClosed) header.showSession(session);
  }
  async function whyRefused() {
    const refusal = await load().catch((error) => error);
    if (isClosed || !refusal) return isClosed;
    if (refusal.status === 404) leaveWith('There is no such session, or it is not yours.');
    return refusal.status === 404 || onRefusal(refusal);
  }
  function leaveWith(words) {
    setText(byId('gone'), words);
    byId('gone').hidden = false;
    form.hidden = true;
    header.showSession({ title: 'Not found', status: null });
  }

  byId('gone').hidden = true;
  form.hidden = false;
  box.reset();
  notice('');
  byId('interrupt').onclick = () => stopRun(activeRun(state)?.runId);
  byId('transcript').onclick = ({ target }) => target.dataset.interrupt && stopRun(target.dataset.interrupt);
  load().catch(() => {}); // the stream meets the same refusal and says it
  const stop = follow({ url: () => eventsUrl(id, state.lastId), types: [...LOG_TYPES, ...FRAME_TYPES], onEvent, onSignal: label.signal, whyRefused });

  return {
    focus: box.focus,
    showSession: header.showSession,
    close() { isClosed = true; stop(); transcript.close(); label.close(); },
  };
}
