// My sessions beside the conversation: live from the update stream, searched and filtered by the server, older by page.
import { updatesUrl } from './api.js';
import { connectionLabel } from './connection-label.js';
import { byId, setText } from './dom.js';
import { oncePerFrame } from './frame.js';
import { keyedChildren } from './keyed.js';
import { emptyWords, EVERYTHING, isEverything } from './list-query.js';
import { problemWords } from './problem.js';
import { searchBox } from './search-box.js';
import { sessionActions } from './session-actions.js';
import { keyOf, sessionLink } from './session-link.js';
import { UPDATE_TYPES } from './session-list.js';
import { sessionMenu } from './session-menu.js';
import { sessionPages } from './session-pages.js';
import { renameIn } from './session-rename.js';
import { follow } from './stream.js';

const TICK_MS = 20000; // "3 min ago" becomes "4 min ago"

export function openSidebar({ whyRefused, onSessions, onRefusal, onRemoved }) {
  const node = byId('sessions');
  const label = connectionLabel(byId('list-connection'), { onlyTrouble: true });
  const items = keyedChildren(node, keyOf, sessionLink);
  const draw = oncePerFrame(show);
  const all = sessionPages(EVERYTHING, draw);
  const search = searchBox(look);
  let found = null; // what is shown instead, while something is looked for
  let current = null;

  const actions = sessionActions({ take, onRefusal, onRemoved });
  const openMenu = sessionMenu(act);
  const shown = () => found ?? all;

  function show() {
    const list = shown();
    items(list.sessions, current, true);
    setText(byId('list-notice'), noticeWords(list));
    byId('list-retry').hidden = list.phase !== 'failed';
    byId('older').hidden = !list.hasOlder();
    byId('older').disabled = list.isOlderLoading;
  }

  function take(type, data) {
    all.take(type, data);
    if (type !== 'snapshot') found?.take(type, data);
    onSessions(all.sessions);
  }

  async function look(query) {
    found = isEverything(query) ? null : sessionPages(query, draw);
    draw();
    await found?.load();
    if (found?.phase === 'failed') onRefusal(found.error);
  }

  const sessionOf = (entry) => shown().sessions.find(({ id }) => id === entry?.dataset.id);
  function act(what, session) {
    const entry = [...node.children].find(({ dataset }) => dataset.id === session.id);
    if (what === 'rename') renameIn(entry, session, actions.rename);
    else actions[what](session);
  }

  node.onclick = ({ target }) => {
    const button = target.closest('[data-do]');
    const session = button && sessionOf(button.closest('.entry'));
    if (!session) return;
    if (button.dataset.do === 'menu') openMenu(session, button);
    else act(button.dataset.do, session);
  };
  byId('older').onclick = () => shown().older().catch(onRefusal);
  byId('list-retry').onclick = () => shown().load();

  const stop = follow({ url: updatesUrl, types: [...UPDATE_TYPES, 'draining'], whyRefused, onSignal: label.signal, onEvent });
  function onEvent(type, data) {
    if (type === 'draining') return label.signal('draining');
    if (type === 'snapshot') {
      label.signal('caught_up');
      found?.load(); // a snapshot says nothing of what was looked for
    }
    take(type, data);
  }
  const ticking = setInterval(draw, TICK_MS);
  draw();

  const entryAt = () => document.activeElement?.closest?.('#sessions > .entry');
  return {
    setCurrent(id) { current = id; draw(); },
    focusSearch: search.focus,
    isInside: () => Boolean(entryAt()),
    // Among the entries; from outside to the open one, or the first.
    move(step) {
      const entries = [...node.children];
      const here = entries.indexOf(entryAt());
      const open = entries.findIndex((entry) => entry.dataset.id === current);
      const next = here < 0 ? Math.max(open, 0) : Math.min(Math.max(here + step, 0), entries.length - 1);
      entries[next]?.querySelector('a, button').focus();
    },
    actOnFocused(what) {
      const session = sessionOf(entryAt());
      if (session && !session.deletedAt) act(what, session);
    },
    close() {
      stop();
      clearInterval(ticking);
      draw.cancel();
      label.close();
      search.close();
      items([]);
    },
  };
}

function noticeWords({ phase, error, sessions, query }) {
  if (phase === 'failed') return `The sessions could not be read. ${problemWords(error)}`;
  if (sessions.length) return '';
  return phase === 'loading' ? 'Loading…' : emptyWords(query);
}
