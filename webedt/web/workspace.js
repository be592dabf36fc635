// What a person sees who is logged in: the list, and beside it the page that the address names.
import { readAccess } from './account-api.js';
import { logout, whoAmI } from './api.js';
import { byId, setText } from './dom.js';
import { forgetDrafts } from './draft.js';
import { shortcutKeys } from './keys.js';
import { newSession } from './new-session.js';
import { routeOf } from './route.js';
import { openSession } from './session-page.js';
import { openSidebar } from './sidebar.js';
import { endStreams } from './stream.js';
import { turnTab } from './tab.js';
import { hide as hideToast, toast } from './toast.js';

const PAGES = ['new-session', 'session', 'settings', 'operations'];
const TITLES = { home: null, session: null, settings: 'Settings', operations: 'Operations' };

export function openWorkspace(user, onLeave) {
  const listeners = new AbortController();
  const home = newSession({ user, onRefusal });
  let page = null;
  let shown = 0;

  // Says true when the refusal means that nobody is logged in any more.
  function onRefusal(error) {
    if (error.status === 401) leave();
    return error.status === 401;
  }

  const sidebar = openSidebar({ onRefusal, onSessions, onRemoved, whyRefused: () => whoAmI().then(() => false, onRefusal) });

  function onSessions(sessions) {
    const mine = sessions.find(({ id }) => id === routeOf(location.hash).id);
    if (mine) page?.showSession?.(mine);
  }
  function onRemoved(id) {
    if (routeOf(location.hash).id === id) location.hash = '#/';
  }

  // Pages that few look at are loaded when somebody does.
  const openers = {
    home: () => { home.refresh(); return home; },
    session: (id) => openSession(id, { onRefusal }),
    settings: async () => (await import('./settings-page.js')).openSettings({ onRefusal, onLeave: goodbye }),
    operations: async () => (await import('./operations-page.js')).openOperations({ onRefusal }),
  };

  async function show() {
    const { page: name, id } = routeOf(location.hash);
    const mine = ++shown;
    page?.close?.();
    page = null;
    byId('app').dataset.page = name;
    for (const one of PAGES) byId(one).hidden = one !== (name === 'home' ? 'new-session' : name);
    turnTab(TITLES[name], id);
    sidebar.setCurrent(id);
    for (const link of document.querySelectorAll('.links a')) link.toggleAttribute('aria-current', link.hash === `#/${name}`);
    const opened = openers[name](id);
    const next = opened instanceof Promise ? await opened.catch(notLoaded) : opened;
    if (mine !== shown) return next?.close?.();
    page = next;
    page?.focus();
  }
  function notLoaded() {
    toast('This page could not be loaded.', { label: 'Try again', act: show });
  }

  function leave() {
    if (listeners.signal.aborted) return;
    listeners.abort();
    shown += 1;
    page?.close?.();
    sidebar.close();
    hideToast();
    for (const dialog of document.querySelectorAll('dialog[open]')) dialog.close();
    onLeave();
  }

  // Who leaves of their own will does not come back to the same page.
  function goodbye() {
    leave();
    endStreams();
    forgetDrafts();
    location.hash = '';
  }

  const commands = {
    new: () => { location.hash = '#/'; home.focus(); },
    search: sidebar.focusSearch,
    next: () => sidebar.move(1),
    previous: () => sidebar.move(-1),
    help: async () => (await import('./shortcuts-dialog.js')).openShortcuts(),
    favorite: () => sidebar.actOnFocused('favorite'),
    rename: () => sidebar.actOnFocused('rename'),
    remove: () => sidebar.actOnFocused('remove'),
  };
  shortcutKeys(commands, sidebar.isInside, listeners.signal);

  const sessionId = () => routeOf(location.hash).id;
  byId('share').onclick = async () => (await import('./share-dialog.js')).openShareDialog(sessionId(), { onRefusal });
  byId('files').onclick = async () => (await import('./files-dialog.js')).openFilesDialog(sessionId(), { onRefusal });
  byId('help').onclick = commands.help;
  byId('operations-link').hidden = true;
  readAccess().then(({ operations }) => { byId('operations-link').hidden = !operations; }, onRefusal);

  home.reset();
  setText(byId('user'), user.displayName || user.email);
  byId('user').title = user.email;
  byId('skip').onclick = () => page?.focus();
  byId('logout').onclick = async () => {
    const refusal = await logout().catch((error) => error);
    const isOut = !refusal || refusal.status === 401;
    setText(byId('logout'), isOut ? 'Log out' : 'Log out (failed, try again)');
    if (isOut) goodbye();
  };
  addEventListener('hashchange', show, { signal: listeners.signal });
  show();
}
