// A conversation that somebody shared by a link: the same transcript, live, and nothing that could change it.
import { getShared, sharedEventsUrl } from './api.js';
import { conversation } from './conversation.js';
import { byId, setText } from './dom.js';
import { problemWords } from './problem.js';
import { activeRun } from './run-state.js';
import { sessionHeader } from './session-header.js';
import { goneWords, tokenOf } from './shared-link.js';

export function openShared() {
  const token = tokenOf(location.pathname);
  const header = sessionHeader({ isReadOnly: true });
  let updatedAt = null;
  let wasThere = false;
  let talk = null;

  byId('starting').hidden = true;
  byId('app').dataset.page = 'shared';
  byId('app').hidden = byId('session').hidden = false;
  byId('session').querySelector('form').hidden = byId('gone').hidden = true;
  byId('shared-note').hidden = false;
  byId('files').hidden = byId('share').hidden = true;

  async function load() {
    const { session } = await getShared(token);
    wasThere = true;
    updatedAt = Date.parse(session.updatedAt);
    header.showSession(session);
  }

  function leaveWith(words) {
    talk?.close();
    talk = null;
    setText(byId('gone'), words);
    byId('gone').hidden = false;
    byId('shared-note').hidden = true;
    byId('total').textContent = '';
    header.showRuns({ runs: [] });
    header.showSession({ title: 'Shared conversation', status: null });
  }

  // Also asked when a stream that was open is refused: the link may have been taken back, or have expired.
  async function whyRefused() {
    const refusal = await load().catch((error) => error);
    const words = refusal && goneWords(refusal, wasThere);
    if (words) leaveWith(words);
    return Boolean(words);
  }

  function onState(state) {
    header.showRuns(state);
    const run = activeRun(state);
    if (run?.status === 'running' && run.startedAt === undefined && updatedAt) talk.setStart(run.runId, updatedAt);
  }

  async function open() {
    const refusal = await load().catch((error) => error);
    const words = refusal && goneWords(refusal, false);
    if (words) return leaveWith(words);
    if (refusal) setText(byId('notice'), problemWords(refusal));
    talk = conversation({ urlAfter: (lastId) => sharedEventsUrl(token, lastId), whyRefused, onState, isReadOnly: true });
  }
  return open();
}
