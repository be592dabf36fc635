// One open session: its log from the start on, follow-ups, a queue of them, interrupts.
import { eventsPage, eventsUrl, getSession, interrupt, send } from './api.js';
import { composer } from './composer.js';
import { conversation } from './conversation.js';
import { byId, setText } from './dom.js';
import { onceEach } from './idempotency.js';
import { problemWords } from './problem.js';
import { queueView } from './queue-view.js';
import { activeRun, isOver } from './run-state.js';
import { sessionHeader } from './session-header.js';
import { sessionKeys } from './session-keys.js';
import { queueWords } from './words.js';

export function openSession(id, { onRefusal }) {
  let isClosed = false;
  let noticed = null;
  const header = sessionHeader();
  const queue = queueView();
  const form = byId('session').querySelector('form');
  const { onBusy } = form.elements;

  // Words about a run stand until its status says more than they do.
  function notice(words, runId = null, status = null) {
    noticed = runId && { runId, status };
    setText(byId('notice'), words);
  }
  function dropOldNotice(state) {
    const run = noticed && state.runs.find(({ runId }) => runId === noticed.runId);
    if (run && run.status !== noticed.status && (isOver(run) || noticed.status === 'queued')) notice('');
  }

  function onState(state, isKnown) {
    header.showRuns(state);
    if (isKnown) queue.show(state); // on the way there every prompt has waited once
    onBusy.hidden = activeRun(state) === null;
    dropOldNotice(state);
    learnStart(activeRun(state));
  }

  // The log's frames carry no times: a run that had begun before this page was opened is asked for.
  const asked = new Set();
  async function learnStart(run) {
    if (run?.startedId === undefined || run.startedAt !== undefined || asked.has(run.runId)) return;
    asked.add(run.runId);
    const page = await eventsPage(id, run.startedId - 1, 1).catch(() => null);
    const time = Date.parse(page?.events[0]?.createdAt);
    if (!isClosed && time) talk.setStart(run.runId, time);
  }

  async function stopRun(runId) {
    try {
      await interrupt(id, runId);
      notice('Interrupting…', runId);
      dropOldNotice(talk.state); // the end may have come before this answer
    } catch (error) {
      if (error.code === 'conflict') notice('That run had already ended.');
      else if (!onRefusal(error)) notice(problemWords(error));
    }
  }

  const ask = onceEach((body, key) => send(id, body, key));
  async function prompt(message) {
    const body = !onBusy.hidden && onBusy.value === 'interrupt' ? { message, onBusy: 'interrupt' } : { message };
    const answer = await ask(body).catch((error) => { onRefusal(error); throw error; });
    if (isClosed) return;
    if (answer.status === 'queued' && body.onBusy !== 'interrupt') notice(queueWords(answer.position), answer.runId, 'queued');
    else notice('');
    onBusy.value = 'queue';
    dropOldNotice(talk.state);
    talk.jumpToEnd();
  }
  async function tryAgain(button) {
    const run = talk.state.runs.find(({ runId }) => runId === button.dataset.retry);
    button.disabled = true;
    if (run) await prompt(run.prompt).catch((error) => notice(problemWords(error)));
    button.disabled = false;
  }
  const box = composer(form, prompt, { draft: id });

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
  // What needs a session is there with it.
  function showThatItIsThere(isThere) {
    byId('gone').hidden = isThere;
    for (const node of [form, byId('files'), byId('share')]) node.hidden = !isThere;
  }
  function leaveWith(words) {
    setText(byId('gone'), words);
    showThatItIsThere(false);
    header.showSession({ title: 'Not found', status: null });
  }

  showThatItIsThere(true);
  notice('');
  byId('interrupt').onclick = () => stopRun(activeRun(talk.state)?.runId);
  byId('session').onclick = ({ target }) => {
    if (target.dataset.interrupt) stopRun(target.dataset.interrupt);
    if (target.dataset.retry) tryAgain(target);
  };
  const keys = sessionKeys(byId('session'), box);
  const talk = conversation({ urlAfter: (lastId) => eventsUrl(id, lastId), whyRefused, onState });
  load().catch(() => {}); // the stream meets the same refusal and says it

  return {
    focus: box.focus,
    showSession: header.showSession,
    close() {
      isClosed = true;
      talk.close();
      queue.close();
      box.close();
      keys.close();
    },
  };
}
