// The first prompt: starts a session and opens it.
import { execute } from './api.js';
import { composer } from './composer.js';
import { byId } from './dom.js';
import { onceEach } from './idempotency.js';
import { sessionHash } from './route.js';

export function newSession({ onRefusal }) {
  const form = byId('new-session').querySelector('form');
  const ask = onceEach(execute);
  return composer(form, async (userRequest) => {
    const provider = form.elements.provider.value;
    const body = provider ? { userRequest, provider } : { userRequest };
    const { sessionId } = await ask(body).catch((error) => { onRefusal(error); throw error; });
    location.hash = sessionHash(sessionId);
  });
}
