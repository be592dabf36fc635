// Drives the client module for test_js_client.py: what it is to do comes as its argument, what happens goes out in lines of
// JSON. Requests go to the given addresses in turn, as behind a balancer. A line that comes in interrupts the run.
import { createInterface } from 'node:readline';
import { createClient } from '../../webedt/web/client.js';

const { addresses, token, prompt, sessionId, lastEventId } = JSON.parse(process.argv[2]);
const say = (line) => process.stdout.write(`${JSON.stringify(line)}\n`);
let asked = 0;
const network = new EventTarget();
globalThis.addEventListener = network.addEventListener.bind(network);
const fetch = (path, options) => globalThis.fetch(addresses[asked++ % addresses.length] + path, options);
const client = createClient({ token, fetch, backoff: { baseMs: 20, capMs: 100 } });

const options = {
  onGap: ({ after, next }) => say({ gap: [after, next] }),
  onReplica: (replica) => say({ replica }),
  onState({ state }) {
    say({ state });
    if (state === 'reconnecting') setImmediate(() => network.dispatchEvent(new Event('online'))); // waits are not the point here
  },
};
const events = prompt ? client.start(prompt, options) : client.resume(sessionId, { ...options, lastEventId });
createInterface({ input: process.stdin }).on('line', async () => say({ interrupted: await client.interrupt(events.sessionId, events.runId) }));
for await (const event of events) say({ event });
process.exit();
