// One key for one piece of work: asking again for the same body, after a lost answer, must not start it twice.

export function newKey() {
  if (crypto.randomUUID) return crypto.randomUUID(); // exists in secure contexts only
  return Array.from(crypto.getRandomValues(new Uint8Array(16)), (byte) => byte.toString(16).padStart(2, '0')).join('');
}

const TRIES = 4;
const isPassing = (error) => error.code === 'unreachable' || error.status === 502 || error.status === 503;

// Returns ask(body): calls work(body, key), again with the same key while the server is away.
export function onceEach(work) {
  let pending = null;
  return async function ask(body) {
    const text = JSON.stringify(body);
    if (pending?.text !== text) pending = { text, key: newKey() };
    for (let attempt = 1; ; attempt += 1) {
      try {
        const answer = await work(body, pending.key);
        pending = null;
        return answer;
      } catch (error) {
        if (!isPassing(error) || attempt === TRIES) throw error;
        await new Promise((wake) => { setTimeout(wake, Math.min(10, error.retryAfterSeconds || attempt) * 1000); });
      }
    }
  };
}
