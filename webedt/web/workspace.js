// What a person sees who is logged in: the list, and beside it the page that the address names.
import { logout, whoAmI } from './api.js';
import { byId, setText } from './dom.js';
import { newSession } from './new-session.js';
import { routeOf } from './route.js';
import { openSession } from './session-page.js';
import { openSidebar } from './sidebar.js';
import { endStreams } from './stream.js';

export function openWorkspace(user, onLeave) {
  const listeners = new AbortController();
  const home = newSession({ onRefusal });
  let session = null;

  // Says true when the refusal means that nobody is logged in any more.
  function onRefusal(error) {
    if (error.status === 401) leave();
    return error.status === 401;
  }

  const sidebar = openSidebar({ onRefusal, onSessions, whyRefused: () => whoAmI().then(() => false, onRefusal) });

  function onSessions(sessions) {
    const mine = sessions.find(({ id }) => id === routeOf(location.hash).id);
    if (mine) session?.showSession(mine);
  }

  function show() {
    const { page, id } = routeOf(location.hash);
    session?.close();
    byId('app').dataset.page = page;
    byId('new-session').hidden = page !== 'home';
    byId('session').hidden = page !== 'session';
    if (page === 'home') document.title = 'WebEDT';
    session = page === 'session' ? openSession(id, { onRefusal }) : null;
    sidebar.setCurrent(id);
    (session ?? home).focus();
  }

  function leave() {
    if (listeners.signal.aborted) return;
    listeners.abort();
    session?.close();
    sidebar.close();
    onLeave();
  }

  home.reset();
  setText(byId('user'), user.displayName || user.email);
  byId('user').title = user.email;
  byId('skip').onclick = () => (session ?? home).focus();
  byId('logout').onclick = async () => {
    const refusal = await logout().catch((error) => error);
    const isOut = !refusal || refusal.status === 401;
    setText(byId('logout'), isOut ? 'Log out' : 'Log out (failed, try again)');
    if (!isOut) return;
    leave();
    endStreams();
    location.hash = '';
  };
  addEventListener('hashchange', show, { signal: listeners.signal });
  show();
}
