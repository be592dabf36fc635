// Favorite, rename, delete, restore: shown at once, undone if the server refuses.
import { problemWords } from './problem.js';
import { titleOf } from './session-link.js';
import { changeSession, deleteSession, restoreSession } from './sessions-api.js';
import { isActive } from './tab-title.js';
import { toast } from './toast.js';

// `take(type, data)` changes the lists; `onRemoved(id)` leaves the page of what is no more.
export function sessionActions({ take, onRefusal, onRemoved }) {
  async function optimistic(before, after, work) {
    take('updated', { session: after });
    try {
      const session = await work();
      if (session) take('updated', { session });
      return true;
    } catch (error) {
      take('updated', { session: before });
      if (!onRefusal(error)) toast(`“${titleOf(before)}” stays as it was: ${problemWords(error)}`);
      return false;
    }
  }

  const change = (session, wanted) => optimistic(session, { ...session, ...wanted }, () => changeSession(session.id, wanted));
  const restore = (session) => optimistic(session, { ...session, deletedAt: null }, () => restoreSession(session.id));

  async function remove(session) {
    const deleted = { ...session, deletedAt: new Date().toISOString() };
    onRemoved(session.id);
    if (!(await optimistic(session, deleted, () => deleteSession(session.id)))) return;
    toast(`${isActive(session.status) ? 'Stopped and moved' : 'Moved'} to the trash: “${titleOf(session)}”`, {
      label: 'Undo', act: () => restore(deleted),
    });
  }

  return {
    favorite: (session) => change(session, { favorite: !session.favorite }),
    rename: (session, title) => change(session, { title }),
    remove,
    restore,
  };
}
