// Every device that is logged in, and how to end that.
import { endAllLogins, endLogin } from './account-api.js';
import { agoWords, dayWords, exactWords } from './ago.js';
import { deviceWords } from './device.js';
import { fromTemplate, setText } from './dom.js';
import { keyedChildren } from './keyed.js';
import { problemWords } from './problem.js';

export function loginList(section, { onRefusal, onLeave, onChange }) {
  const rows = keyedChildren(section.querySelector('.logins'), ({ id }) => id, row);

  async function ask(work) {
    setText(section.querySelector('.error'), '');
    try {
      await work();
      return true;
    } catch (error) {
      if (!onRefusal(error)) setText(section.querySelector('.error'), problemWords(error));
      return false;
    }
  }

  function row({ id, userAgent, current }) {
    const node = fromTemplate('login-template');
    const button = node.querySelector('button');
    const device = deviceWords(userAgent);
    setText(node.querySelector('b'), device);
    node.querySelector('b').title = userAgent ?? '';
    button.hidden = current;
    button.ariaLabel = `Log out ${device}`;
    button.onclick = async () => {
      button.disabled = true;
      if (await ask(() => endLogin(id))) await onChange();
      button.disabled = false;
    };
    return {
      node,
      update({ createdAt, expiresAt }) {
        const words = `${current ? 'This device · ' : ''}logged in ${agoWords(createdAt)} · until ${dayWords(expiresAt)}`;
        setText(node.querySelector('.hint'), words);
        node.querySelector('.hint').title = exactWords(createdAt);
      },
    };
  }

  section.querySelector('.everywhere').onclick = async () => {
    if (await ask(endAllLogins)) onLeave();
  };
  return { show: (sessions) => rows([...sessions].sort((a, b) => b.current - a.current)) };
}
