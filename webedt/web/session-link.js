// One line of the session list: a link with its tools, or, in the trash, a title with a way back.
import { agoWords, exactWords } from './ago.js';
import { fromTemplate, setStatus, setText } from './dom.js';
import { sessionHash } from './route.js';
import { STATUS_WORDS } from './words.js';

export const keyOf = (session) => (session.deletedAt ? `trash ${session.id}` : session.id);
export const titleOf = (session) => session.title || 'Untitled';

export const sessionLink = (session) => (session.deletedAt ? trashed(session) : alive(session));

function alive({ id }) {
  const node = fromTemplate('session-template');
  const link = node.querySelector('a');
  const star = node.querySelector('.star');
  node.dataset.id = id;
  link.href = sessionHash(id);
  return {
    node,
    update(session, current) {
      showTitle(node, session);
      setStatus(node.querySelector('.status'), session.status, STATUS_WORDS[session.status]);
      showTime(node, session.createdAt, agoWords(session.createdAt));
      star.ariaPressed = String(session.favorite);
      star.ariaLabel = `Favorite: ${titleOf(session)}`;
      node.querySelector('.more').ariaLabel = `More for ${titleOf(session)}`;
      if (session.id === current) link.setAttribute('aria-current', 'page');
      else link.removeAttribute('aria-current');
    },
  };
}

function trashed({ id }) {
  const node = fromTemplate('trashed-template');
  node.dataset.id = id;
  return {
    node,
    update(session) {
      showTitle(node, session);
      showTime(node, session.deletedAt, `Deleted ${agoWords(session.deletedAt)}`);
      node.querySelector('button').ariaLabel = `Restore ${titleOf(session)}`;
    },
  };
}

function showTitle(node, session) {
  const title = node.querySelector('.title');
  setText(title, titleOf(session));
  title.title = session.title || '';
}

function showTime(node, iso, words) {
  const time = node.querySelector('time');
  setText(time, words);
  if (time.dateTime === iso) return;
  time.dateTime = iso;
  time.title = exactWords(iso);
}
