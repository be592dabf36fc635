// My sessions beside the conversation: live from the update stream, older ones by page.
import { listSessions, updatesUrl } from './api.js';
import { connectionLabel } from './connection-label.js';
import { byId } from './dom.js';
import { oncePerFrame } from './frame.js';
import { keyedChildren } from './keyed.js';
import { reduceList, SNAPSHOT_SIZE, UPDATE_TYPES } from './session-list.js';
import { sessionLink } from './session-link.js';
import { follow } from './stream.js';

export function openSidebar({ whyRefused, onSessions, onRefusal }) {
  const label = connectionLabel(byId('list-connection'), { onlyTrouble: true });
  const items = keyedChildren(byId('sessions'), (session) => session.id, sessionLink);
  const older = byId('older');
  let sessions = [];
  let current = null;
  let cursor; // unknown until the first page was asked for; null behind the last one

  const draw = oncePerFrame(() => {
    items(sessions, current, true);
    byId('no-sessions').hidden = sessions.length > 0;
    older.hidden = cursor === null || sessions.length < SNAPSHOT_SIZE;
  });

  function take(type, data) {
    sessions = reduceList(sessions, type, data);
    onSessions(sessions);
    draw();
  }

  older.onclick = async () => {
    older.disabled = true;
    try {
      cursor ??= (await listSessions()).nextCursor;
      const page = cursor ? await listSessions(cursor) : { sessions: [], nextCursor: null };
      cursor = page.nextCursor ?? null;
      take('page', page);
    } catch (error) {
      onRefusal(error);
    } finally {
      older.disabled = false;
    }
  };

  const stop = follow({ url: updatesUrl, types: [...UPDATE_TYPES, 'draining'], whyRefused, onSignal: label.signal, onEvent });
  function onEvent(type, data) {
    if (type === 'draining') return label.signal('draining');
    if (type === 'snapshot') label.signal('caught_up');
    take(type, data);
  }

  return {
    setCurrent(id) { current = id; draw(); },
    close() { stop(); draw.cancel(); label.close(); items([]); },
  };
}
