import assert from 'node:assert/strict';
import { test } from 'node:test';
import { backoffMs, createClient } from '../../webedt/web/client.js';
import { answer, caughtUp, delta, frame, hostileServer, lost, message, RUN, SESSION, stream } from './hostile-server.mjs';

const HURRIED = { backoff: { baseMs: 1, capMs: 2 } };
const done = (id) => frame(id, 'completed', { stopReason: 'end_turn', durationMs: 1 });
const prompt = (id) => frame(id, 'user_message', { content: [] });

async function serving(t, steps, options = {}) {
  const server = await hostileServer(t, steps);
  return { server, client: createClient({ baseUrl: server.baseUrl, token: 'a-token', ...HURRIED, ...options }) };
}
async function read(events) {
  const all = [];
  for await (const event of events) all.push(event);
  return all;
}
const ids = (events) => events.filter(({ id }) => id !== null).map(({ id }) => id);
const refusal = (status, headers) => answer(status, { code: `c${status}`, detail: 'because', requestId: 'r-1' }, headers);

test('a run is started under a key and given to its own end', async (t) => {
  const { server, client } = await serving(t, [stream([prompt(1), delta(2), done(3), caughtUp(3)])]);
  const run = client.start({ userRequest: 'hello', provider: 'simulated' });
  assert.deepEqual((await read(run)).map(({ type }) => type), ['user_message', 'text_delta', 'completed']);
  assert.deepEqual([run.sessionId, run.runId, run.lastEventId, run.container, run.state], [SESSION, RUN, 3, 'one', 'ended']);
  const [{ method, url, headers, body }] = server.requests;
  assert.deepEqual([method, url, body], ['POST', '/api/execute-remote', { userRequest: 'hello', provider: 'simulated' }]);
  assert.equal(headers.authorization, 'Bearer a-token');
  assert.equal(headers.accept, 'text/event-stream');
});

test('a prompt whose answer is lost, refused for now or without its stream is repeated under the same key', async (t) => {
  const steps = [lost, refusal(503), refusal(429), answer(202, { status: 'queued' }), stream([], { cut: true }), stream([prompt(1), done(2)])];
  const { server, client } = await serving(t, steps);
  assert.deepEqual(ids(await read(client.start('hello'))), [1, 2]);
  assert.deepEqual(server.cursors, Array(6).fill('POST'));
  const keys = new Set(server.requests.map(({ headers }) => headers['idempotency-key']));
  assert.equal(keys.size, 1);
  assert.match([...keys][0], /^[\x21-\x7e]{7,200}$/);
});

test('a connection cut at any byte loses nothing and doubles nothing', async (t) => {
  const short = (id, type, data) => `id: ${id}\nevent: ${type}\ndata: ${JSON.stringify(data)}\n\n`;
  const log = { 1: short(1, 'x', {}), 2: short(2, 'text_delta', { text: 'ü🎈' }), 5: short(5, 'message', { replacesFrom: 2 }), 6: short(6, 'y', {}) };
  const raw = Buffer.from(`retry: 0\n\n${log[1]}${log[2]}: keep-alive\n\n${log[5]}${caughtUp(5)}${log[6]}`);
  const met = new Set();
  const cutFirst = (request, response) => {
    const cursor = Number(request.headers['last-event-id'] ?? 0);
    const left = Object.keys(log).filter((id) => id > cursor).map((id) => log[id]).join('');
    if (met.has(request.url)) return stream(left + caughtUp(6))(request, response);
    met.add(request.url);
    return stream(raw.subarray(0, request.url.split('-')[1]), { cut: true })(request, response);
  };
  const { server, client } = await serving(t, Array(2 * raw.length + 2).fill(cutFirst));
  await Promise.all(Array.from({ length: raw.length + 1 }, async (_, cut) => {
    const seen = [];
    for await (const { id } of client.resume(`cut-${cut}`)) if (id && seen.push(id) && id === 6) break;
    assert.deepEqual(seen, [1, 2, 5, 6], `cut at ${cut}`);
  }));
  assert.ok(server.requests.length >= 2 * raw.length);
});

test('after the last end of a run the server is asked at once, and 204 ends the stream', async (t) => {
  const { server, client } = await serving(t, [stream(['retry: 60000\n\n', done(1), caughtUp(1)]), answer(204)]);
  const states = [];
  assert.deepEqual(ids(await read(client.resume(SESSION, { onState: ({ state }) => states.push(state) }))), [1]);
  assert.deepEqual(states, ['replaying', 'live', 'ended']);
  assert.deepEqual(server.cursors, [null, '1']);
});

test('a draining server is left in its own time, and another replica is noticed', async (t) => {
  const steps = [stream([prompt(1), 'retry: 40\n', frame(null, 'draining')]), stream([done(2)], { container: 'two' }), answer(204)];
  const { client } = await serving(t, steps);
  const states = [];
  const replicas = [];
  const events = client.resume(SESSION, { onState: (state) => states.push(state), onReplica: (change) => replicas.push(change) });
  assert.deepEqual((await read(events)).map(({ type }) => type), ['user_message', 'completed']);
  assert.deepEqual(states.map(({ state }) => state), ['replaying', 'draining', 'reconnecting', 'replaying', 'ended']);
  const { retryInMs, error } = states[2];
  assert.ok(retryInMs >= 40 && retryInMs < 43, String(retryInMs));
  assert.equal(error, null);
  assert.deepEqual(replicas, [{ container: 'two', previous: 'one' }]);
});

test('a draining server is not asked at once though a run has ended, nor later than in a minute', async (t) => {
  const { client } = await serving(t, [stream([done(1), 'retry: 99999999\n', frame(null, 'draining')])]);
  await new Promise((told) => {
    const events = client.resume(SESSION, {
      onEvent() {},
      onState({ state, retryInMs }) {
        if (state !== 'reconnecting') return;
        assert.ok(retryInMs >= 60_000 && retryInMs < 60_003, String(retryInMs));
        events.close();
        told();
      },
    });
  });
});

test('the first event of a new session is missed', async (t) => {
  const { client } = await serving(t, [stream([frame(2, 'run_started'), caughtUp(2)]), stream([prompt(1), done(2)])]);
  assert.deepEqual(ids(await read(client.start('hello'))), [1, 2]);
});

test('what the server asks for by Retry-After is waited for, in seconds or until a date', async (t) => {
  const date = new Date(Date.now() + 3600_000).toUTCString();
  for (const [value, least, most] of [['7', 7000, 7003], [date, 3_590_000, 3_600_003], ['soon', 0, 3]]) {
    const { client } = await serving(t, [refusal(503, { 'Retry-After': value })]);
    await new Promise((told) => {
      const events = client.follow(SESSION, {
        onEvent() {},
        onState({ state, retryInMs, error }) {
          if (state !== 'reconnecting') return;
          assert.equal(error.status, 503);
          assert.ok(retryInMs >= least && retryInMs <= most, `${value}: ${retryInMs}`);
          events.close();
          told();
        },
      });
    });
  }
});

for (const status of [400, 401, 403, 404, 409, 410, 413]) {
  test(`${status} ends the stream with all that the refusal says`, async (t) => {
    const { server, client } = await serving(t, [refusal(status)]);
    await assert.rejects(read(client.follow(SESSION)), { name: 'WebEDTError', status, code: `c${status}`, message: 'because', requestId: 'r-1' });
    assert.equal(server.requests.length, 1);
  });
}

test('what is no event stream, and a redirect, end the stream', async (t) => {
  const { client } = await serving(t, [answer(200, {}), answer(302, null, { Location: 'http://127.0.0.1:1/' })]);
  await assert.rejects(read(client.follow(SESSION)), { code: 'protocol' });
  await assert.rejects(read(client.follow(SESSION)), { status: 302 });
});

test('failures of every passing kind are outlasted, and success begins the delays anew', async (t) => {
  const trouble = [lost, refusal(500), refusal(502), refusal(504), stream(['retry: 0\n\n'])];
  const { client } = await serving(t, [...trouble, stream([prompt(1)], { cut: true }), lost, stream([done(2)]), answer(204)], {
    backoff: { baseMs: 1, capMs: 64, random: () => 1 },
  });
  const waits = [];
  const onState = ({ state, retryInMs }) => state === 'reconnecting' && waits.push(retryInMs);
  assert.deepEqual(ids(await read(client.resume(SESSION, { onState }))), [1, 2]);
  assert.deepEqual(waits, [1, 2, 4, 8, 16, 1, 2]);
});

test('delays double up to the cap and are spread from nothing', () => {
  const longest = [0, 1, 2, 9, 2000].map((failures) => backoffMs(failures, { baseMs: 100, capMs: 1000, random: () => 1 }));
  assert.deepEqual(longest, [100, 200, 400, 1000, 1000]);
  assert.equal(backoffMs(5, { random: () => 0 }), 0);
});

test('a connection on which nothing comes any more is left for a new one', async (t) => {
  const neverAnswered = () => {};
  const { server, client } = await serving(t, [neverAnswered, stream([prompt(1)], { hang: true }), stream([done(2)]), answer(204)], { silenceMs: 60 });
  assert.deepEqual(ids(await read(client.resume(SESSION))), [1, 2]);
  assert.deepEqual(server.cursors, [null, null, '1', '2']);
});

test('keep-alive comments keep a connection', async (t) => {
  let left = 6;
  const quiet = (request, response) => {
    response.writeHead(200, { 'Content-Type': 'text/event-stream' });
    const beat = setInterval(() => {
      response.write(': keep-alive\n\n');
      if (--left) return;
      clearInterval(beat);
      response.end(done(1));
    }, 25);
  };
  const { server, client } = await serving(t, [quiet, answer(204)], { silenceMs: 100 });
  assert.deepEqual(ids(await read(client.resume(SESSION))), [1]);
  assert.equal(server.requests.length, 2);
});

test('a gap in the live stream is told, and read again from the last good event', async (t) => {
  const steps = [stream([prompt(1), caughtUp(1), delta(3)], { hang: true }), stream([delta(2), delta(3), done(4)]), answer(204)];
  const { server, client } = await serving(t, steps);
  const gaps = [];
  assert.deepEqual(ids(await read(client.resume(SESSION, { onGap: ({ after, next }) => gaps.push([after, next]) }))), [1, 2, 3, 4]);
  assert.deepEqual(gaps, [[1, 3]]);
  assert.deepEqual(server.cursors, [null, '1', '4']);
});

test('a gap that stays however often it is read again ends the stream', async (t) => {
  const holed = stream([delta(3), caughtUp(3)], { hang: true });
  const { server, client } = await serving(t, [stream([prompt(1), delta(3), caughtUp(3)]), holed, holed, holed, holed]);
  await assert.rejects(read(client.follow(SESSION)), { code: 'gap', after: 1, next: 3 });
  assert.equal(server.requests.length, 4);
});

test('ids that are wrong or garbled are not taken for events', async (t) => {
  const steps = ['0', '-3', 'abc', '2.5', '99999999999999999999'].map((id) => stream([`id: ${id}\ndata: {}\n\n`], { hang: true }));
  const { client } = await serving(t, [...steps, stream(['id: 1\ndata: {half\n\n'], { hang: true }), stream([done(1)]), answer(204)]);
  assert.deepEqual(ids(await read(client.resume(SESSION))), [1]);
});

test('a reset tells the reader to forget, and the log is read from its beginning', async (t) => {
  const steps = [stream([frame(null, 'reset', { reason: 'ahead_of_log' }), prompt(1)], { cut: true }), stream([done(2)]), answer(204)];
  const { server, client } = await serving(t, steps);
  const events = await read(client.resume(SESSION, { lastEventId: 70 }));
  assert.deepEqual(events.map(({ type }) => type), ['reset', 'user_message', 'completed']);
  assert.deepEqual(server.cursors, ['70', '1', '2']);
});

test('events of other runs are not given, do not end the stream and do move the cursor', async (t) => {
  const other = { runId: 'other' };
  const steps = [stream([prompt(5), frame(6, 'text_delta', other), frame(7, 'completed', other)], { cut: true }), stream([done(8)])];
  const { server, client } = await serving(t, steps);
  assert.deepEqual(ids(await read(client.start({ userRequest: 'more', websiteSessionId: SESSION }))), [5, 8]);
  assert.deepEqual(server.cursors, ['POST', '7']);
});

test('a run whose end the log does not hold is an error', async (t) => {
  const { client } = await serving(t, [stream([prompt(1)], { cut: true }), answer(204)]);
  await assert.rejects(read(client.start('hello')), { code: 'protocol' });
});

test('whole messages only: gaps are by request', async (t) => {
  const { server, client } = await serving(t, [stream([prompt(1), frame(9, 'tool_use'), done(12), caughtUp(15)]), answer(204)]);
  assert.deepEqual(ids(await read(client.resume(SESSION, { deltas: false }))), [1, 9, 12]);
  assert.equal(server.requests[1].url, `/api/resume/${SESSION}?deltas=0`);
});

test('callbacks get what an iteration gets, and closing, aborting or leaving the loop ends the connection', async (t) => {
  const open = () => stream([prompt(1), delta(2)], { hang: true });
  const { client } = await serving(t, [open(), open(), open(), open()]);
  const seen = [];
  const followed = client.follow(SESSION, { onEvent: (event) => { seen.push(event.id); if (event.id === 2) followed.close(); } });
  await followed.done;
  assert.deepEqual(seen, [1, 2]);
  const stopping = new AbortController();
  const aborted = client.follow(SESSION, { signal: stopping.signal, onEvent: () => stopping.abort() });
  await aborted.done;
  assert.equal(aborted.lastEventId, 1);
  const left = client.follow(SESSION);
  for await (const event of left) if (event.id === 1) break;
  assert.equal(left.state, 'ended');
  const thrown = client.follow(SESSION, { onEvent: () => { throw new RangeError('mine'); } });
  await assert.rejects(thrown.done, { message: 'mine' });
  assert.deepEqual(await read(client.follow(SESSION, { signal: AbortSignal.abort() })), []);
});

test('coming online, or back to the page, cuts a wait short, but not one that the server asked for', async (t) => {
  const page = new EventTarget();
  for (const name of ['addEventListener', 'document']) {
    globalThis[name] = name === 'document' ? page : page.addEventListener.bind(page);
    t.after(() => { delete globalThis[name]; });
  }
  const slow = { backoff: { baseMs: 60_000, capMs: 60_000, random: () => 1 } };
  const { server, client } = await serving(t, [lost, lost, refusal(429, { 'Retry-After': '60' })], slow);
  const wakes = ['online', 'visibilitychange', 'online'];
  await new Promise((over) => {
    const events = client.follow(SESSION, {
      onEvent() {},
      onState({ state }) {
        if (state !== 'reconnecting') return;
        const wake = wakes.shift();
        setImmediate(() => page.dispatchEvent(new Event(wake)));
        if (!wakes.length) setTimeout(() => { events.close(); over(); }, 50);
      },
    });
  });
  assert.equal(server.requests.length, 3);
});

test('sending is repeated under one key; an interrupt only when it names its run', async (t) => {
  const accepted = answer(202, { sessionId: SESSION, runId: RUN, status: 'queued', position: 1 });
  const { server, client } = await serving(t, [lost, refusal(503), accepted, refusal(503), accepted, refusal(503)]);
  assert.equal((await client.send(SESSION, 'more', { onBusy: 'queue' })).position, 1);
  assert.equal(new Set(server.requests.map(({ headers }) => headers['idempotency-key'])).size, 1);
  assert.equal((await client.interrupt(SESSION, RUN)).runId, RUN);
  await assert.rejects(client.interrupt(SESSION), { status: 503 });
  assert.deepEqual(server.requests.slice(3).map(({ body }) => body), [{ runId: RUN }, { runId: RUN }, {}]);
});

test('a request is given up in the end, and at once when it was refused for good', async (t) => {
  const { server, client } = await serving(t, [lost, lost, lost, refusal(409)], { tries: 3 });
  await assert.rejects(client.send(SESSION, 'more'), { code: 'unreachable' });
  await assert.rejects(client.send(SESSION, 'more'), { status: 409 });
  assert.equal(server.requests.length, 4);
});

test('a token may be asked for before each request', async (t) => {
  const { server, client } = await serving(t, [lost, stream([done(1)]), answer(204)], { token: async () => `t${server.requests.length}` });
  await read(client.resume(SESSION));
  assert.deepEqual(server.requests.map(({ headers }) => headers.authorization), ['Bearer t0', 'Bearer t1', 'Bearer t2']);
});
