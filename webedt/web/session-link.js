// One line of the session list.
import { fromTemplate, setStatus, setText } from './dom.js';
import { STATUS_WORDS, whenWords } from './words.js';

export function sessionLink({ id }) {
  const node = fromTemplate('session-template');
  const link = node.querySelector('a');
  const title = node.querySelector('.title');
  link.href = `#/s/${id}`;
  return {
    node,
    update(session, current) {
      setText(title, `${session.favorite ? '★ ' : ''}${session.title || 'Untitled'}`);
      title.title = session.title || '';
      setStatus(node.querySelector('.status'), session.status, STATUS_WORDS[session.status]);
      setText(node.querySelector('time'), whenWords(session.createdAt));
      node.querySelector('time').dateTime = session.createdAt;
      if (session.id === current) link.setAttribute('aria-current', 'page');
      else link.removeAttribute('aria-current');
    },
  };
}
