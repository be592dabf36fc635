// The first prompt: starts a session, with the chosen provider and repository, and opens it.
import { execute } from './api.js';
import { composer } from './composer.js';
import { byId } from './dom.js';
import { onceEach } from './idempotency.js';
import { providerChoice } from './provider-choice.js';
import { sessionHash } from './route.js';

export function newSession({ user, onRefusal }) {
  const form = byId('new-form');
  const { prompt, repoUrl, branch } = form.elements;
  const choice = providerChoice(form, onRefusal);
  const ask = onceEach(execute);

  function repository() {
    const github = { repoUrl: repoUrl.value.trim(), branch: branch.value.trim() };
    if (!github.repoUrl) return {};
    return { github: github.branch ? github : { repoUrl: github.repoUrl } };
  }

  const box = composer(form, async (userRequest) => {
    const body = { userRequest, ...choice.wanted(), ...repository() };
    const { sessionId } = await ask(body).catch((error) => { onRefusal(error); throw error; });
    choice.remember();
    location.hash = sessionHash(sessionId);
  }, { draft: `new ${user.id}` });

  for (const example of document.querySelectorAll('.examples button')) {
    example.onclick = () => {
      prompt.value = example.textContent;
      prompt.dispatchEvent(new Event('input', { bubbles: true })); // as if it had been typed
      prompt.focus();
    };
  }
  return { ...box, refresh: choice.load };
}
