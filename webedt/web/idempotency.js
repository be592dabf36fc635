// One key for one piece of work: a person who sends the same again, after an answer was lost, must not start it twice.
import { newKey } from './client.js';

// Returns ask(body): calls work(body, key), with the key of the time before if that failed for the same body.
export function onceEach(work) {
  let pending = null;
  return async function ask(body) {
    const text = JSON.stringify(body);
    if (pending?.text !== text) pending = { text, key: newKey() };
    const answer = await work(body, pending.key);
    pending = null;
    return answer;
  };
}
