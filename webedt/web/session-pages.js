// One list of sessions, asked for page by page and kept in step by updates between the pages. Draws nothing.
import { reduceList, SNAPSHOT_SIZE } from './session-list.js';
import { listSessions } from './sessions-api.js';

export function sessionPages(query, onChange) {
  const list = { query, sessions: [], phase: 'loading', error: null, isOlderLoading: false };
  let cursor; // unknown until a page was asked for; null behind the last one
  let asked = 0;
  let meanwhile = null; // updates that came while the first page was on its way

  function take(type, data) {
    list.sessions = reduceList(list.sessions, type, data, query);
    meanwhile?.push([type, data]);
    if (type === 'snapshot') list.phase = 'ready';
    onChange();
  }

  // Asks for the first page anew; what is shown stays until it is there.
  async function load() {
    const mine = ++asked;
    meanwhile = [];
    if (list.phase === 'failed') list.phase = 'loading';
    onChange();
    try {
      const page = await listSessions(query);
      if (mine !== asked) return;
      const updates = [['page', page], ...meanwhile];
      list.sessions = updates.reduce((sessions, [type, data]) => reduceList(sessions, type, data, query), []);
      cursor = page.nextCursor ?? null;
      list.phase = 'ready';
    } catch (error) {
      if (mine !== asked) return;
      Object.assign(list, { phase: 'failed', error });
    }
    meanwhile = null;
    onChange();
  }

  async function older() {
    list.isOlderLoading = true;
    onChange();
    try {
      cursor ??= (await listSessions(query)).nextCursor ?? null;
      const page = cursor ? await listSessions(query, cursor) : { sessions: [], nextCursor: null };
      cursor = page.nextCursor ?? null;
      take('page', page);
    } finally {
      list.isOlderLoading = false;
      onChange();
    }
  }

  return Object.assign(list, { take, load, older, hasOlder: () => cursor !== null && list.sessions.length >= SNAPSHOT_SIZE });
}
