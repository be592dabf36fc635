// A client for a WebEDT server: starts runs, follows their events through any interruption. Needs nothing else.
// Types: client.d.ts; how to use it: docs/client.md.

export const TERMINAL_TYPES = ['completed', 'failed', 'interrupted'];

export class WebEDTError extends Error {
  constructor(message, facts) {
    super(message);
    Object.assign(this, { name: 'WebEDTError', status: 0, code: '', retryAfterSeconds: 0 }, facts);
  }
  // The same request may succeed later.
  get isPassing() {
    return this.code === 'unreachable' || [408, 425, 429].includes(this.status) || this.status >= 500;
  }
}

const unreachable = (message, cause) => new WebEDTError(message, { code: 'unreachable', cause });
const gap = (after, next) => new WebEDTError(`Missing events behind ${after}.`, { code: 'gap', after, next });

async function refusal(response) {
  const { status, headers } = response;
  const { type, title, detail, ...facts } = (await response.json().catch(() => null)) ?? {};
  const asked = headers.get('Retry-After') ?? '';
  const seconds = /^\d+$/.test(asked) ? Number(asked) : (Date.parse(asked) - Date.now()) / 1000;
  return new WebEDTError(detail || title || `The server answered ${status}.`, { ...facts, status, retryAfterSeconds: Math.max(0, seconds || 0) });
}

// One for one piece of work, made before the first try.
export const newKey = () => crypto.getRandomValues(new Uint32Array(4)).join('-'); // randomUUID wants a secure context

export const backoffMs = (failures, { baseMs = 500, capMs = 15_000, random = Math.random } = {}) =>
  random() * Math.min(capMs, baseMs * 2 ** failures);

// Bytes in any split -> frames, by the HTML standard. `id` is the block's own, not inherited.
export function createParser({ onFrame, onRetry }) {
  const decoder = new TextDecoder(); // drops the byte order mark
  let rest = '';
  let isAfterCR = false;
  let id, type, data;

  function readLine(line) {
    const [, field, value] = /^([^:]*):? ?(.*)$/s.exec(line);
    if (field === 'data') data = data === undefined ? value : `${data}\n${value}`;
    else if (field === 'event') type = value;
    else if (field === 'id' && !value.includes('\0')) id = value;
    else if (field === 'retry' && /^\d+$/.test(value)) onRetry?.(Number(value));
    if (line) return;
    if (data !== undefined) onFrame({ id, type: type || 'message', data });
    id = type = data = undefined;
  }

  return (bytes) => {
    let text = decoder.decode(bytes, { stream: true });
    if (!text) return;
    if (isAfterCR && text[0] === '\n') text = text.slice(1);
    isAfterCR = text.endsWith('\r');
    const lines = text.split(/\r\n?|\n/);
    lines[0] = rest + lines[0];
    rest = lines.pop();
    lines.forEach(readLine);
  };
}

// Lets each event of a log through once and in order. What comes behind a gap is held until a `message` explains it: that
// replaces deltas which compaction removed. Live, where nothing is compacted, a gap is an error at once.
export class Ledger {
  #held;
  #gaps; // the first missing id of each
  #isLive;
  #isChecked;

  // A cursor of null: the first event sets it.
  constructor(cursor = 0, isChecked = true) {
    this.#isChecked = isChecked;
    this.restart(cursor);
  }

  take(event) {
    const last = this.#held.at(-1)?.id ?? this.cursor ?? event.id - 1;
    if (event.id <= last) return [];
    if (this.#isChecked && event.id > last + 1) this.#gaps.push(last + 1);
    const from = event.type === 'message' && event.data.replacesFrom;
    if (from) this.#gaps = this.#gaps.filter((first) => first < from);
    this.#held.push(event);
    if (this.#gaps.length) {
      if (this.#isLive) throw gap(this.cursor, event.id);
      return [];
    }
    this.cursor = event.id;
    return this.#held.splice(0);
  }

  // The replay is over, up to this id.
  settle(lastId) {
    if (this.#gaps.length || (this.#isChecked && lastId > (this.cursor ?? lastId))) throw gap(this.cursor, this.#held[0]?.id ?? lastId + 1);
    this.#isLive = true;
  }

  // Another connection; behind a reset, another cursor.
  restart(cursor = this.cursor) {
    this.cursor = cursor;
    this.#held = [];
    this.#gaps = [];
    this.#isLive = false;
  }
}

// An async iterable or, with `onEvent`, something that calls back from now on.
export class EventStream {
  sessionId = null;
  runId = null;
  lastEventId = null;
  container = null;
  state = 'connecting';
  #closing = new AbortController();
  #events;
  #settle;

  constructor(source, { signal, ...options } = {}) {
    this.options = options;
    this.signal = AbortSignal.any([this.#closing.signal, signal ?? this.#closing.signal]);
    this.done = new Promise((resolve, reject) => { this.#settle = { resolve, reject }; });
    this.done.catch(() => {}); // asked for by who wants to know
    this.#events = this.#watched(source);
    if (options.onEvent) this.#deliver();
  }

  [Symbol.asyncIterator]() {
    return this.#events;
  }

  close(error = null) {
    if (this.state === 'ended') return;
    this.#closing.abort();
    this.setState('ended', { error });
    if (!error) return this.#settle.resolve();
    this.#settle.reject(error);
    this.options.onError?.(error);
  }

  setState(state, { retryInMs = null, error = null } = {}) {
    if (this.state === 'ended' || (state === this.state && retryInMs === null)) return;
    this.state = state;
    this.options.onState?.({ state, retryInMs, error });
  }

  async* #watched(source) {
    try {
      if (!this.signal.aborted) yield* source(this);
    } catch (error) {
      this.close(error);
      throw error;
    } finally {
      this.close();
    }
  }

  async #deliver() {
    try {
      for (let next; !(next = await this.#events.next()).done;) this.options.onEvent(next.value);
    } catch (error) {
      this.close(error);
    }
  }
}

// Ends early when `signal` aborts, or, if `isWakeable`, network or user are back.
export function pause(ms, { signal, isWakeable } = {}) {
  return new Promise((resolve) => {
    const over = new AbortController();
    const on = (from, type, then) => from?.addEventListener?.(type, then, { signal: over.signal });
    const wake = () => { over.abort(); clearTimeout(timer); resolve(); };
    const timer = setTimeout(wake, ms);
    if (signal?.aborted) wake();
    on(signal, 'abort', wake);
    if (isWakeable) on(globalThis, 'online', wake);
    if (isWakeable) on(globalThis.document, 'visibilitychange', () => document.hidden || wake());
  });
}

function readEvent({ id, type, data }) {
  try {
    if (!id || /^[1-9]\d{0,14}$/.test(id)) return { id: Number(id) || null, type, data: JSON.parse(data) ?? {} };
  } catch {} // the same as an impossible id
  throw unreachable('The stream is garbled.');
}

export function createClient({
  baseUrl = '', token, credentials, silenceMs = 45_000, tries = 5, backoff, fetch = (...request) => globalThis.fetch(...request),
} = {}) {
  // One exchange. A wait ends when nothing came for `silenceMs`: a half-open connection does not say so.
  function dial(signal) {
    const line = new AbortController();
    const hangUp = (reason) => line.abort(reason);
    async function wait(answer) {
      const timer = setTimeout(() => hangUp(unreachable('The server is silent.')), silenceMs);
      try {
        return await answer;
      } catch (error) {
        throw [line.signal.reason, error].find((cause) => cause instanceof WebEDTError) ?? unreachable('The server cannot be reached.', error);
      } finally {
        clearTimeout(timer);
      }
    }

    async function ask({ method, path, body, headers }) {
      const login = typeof token === 'function' ? await token() : token;
      const response = await fetch(baseUrl + path, {
        method,
        headers: {
          Accept: 'application/json',
          ...(login && { Authorization: `Bearer ${login}` }),
          ...(body && { 'Content-Type': 'application/json' }),
          ...headers,
        },
        body: body && JSON.stringify(body),
        credentials: credentials ?? (login ? 'omit' : 'include'), // a cookie beside a token would only ask for an Origin
        cache: 'no-store',
        redirect: 'manual', // followed, a POST might become a GET
        signal: AbortSignal.any([line.signal, signal ?? line.signal]),
      });
      if (!response.ok) throw await refusal(response);
      return response;
    }
    return { wait, hangUp, ask: (what) => wait(ask(what)) };
  }

  async function request(method, path, { signal, isRepeatable, ...what } = {}) {
    for (let failures = 0; ; failures += 1) {
      const line = dial(signal);
      try {
        const response = await line.ask({ method, path, ...what });
        return response.status === 204 ? null : await line.wait(response.json());
      } catch (error) {
        if (!isRepeatable || !error.isPassing || failures + 1 >= tries || signal?.aborted) throw error;
        await pause(error.retryAfterSeconds * 1000 + backoffMs(failures, backoff), { signal });
      } finally {
        line.hangUp();
      }
    }
  }

  // Over as many connections as it takes; `next()` says what to ask for.
  async function* read(stream, ledger, next, isOneRun) {
    const { options, signal } = stream;
    let retryMs = 0;
    let failures = 0;
    let rereads = 0;
    while (!signal.aborted) {
      const line = dial(signal);
      let error = null;
      let isOver = false; // the newest event ended a run: perhaps that was all, and 204 says so
      ledger.restart();
      try {
        const { headers, ...what } = next();
        const response = await line.ask({ ...what, headers: { Accept: 'text/event-stream', ...headers } });
        if (response.status === 204 && !isOneRun) return;
        const said = (name) => response.headers.get(name);
        stream.sessionId ??= said('X-Session-ID');
        if (isOneRun) stream.runId ??= said('X-Run-ID');
        const previous = stream.container;
        const container = stream.container = said('X-Container-ID') ?? previous;
        if (previous && container !== previous) options.onReplica?.({ container, previous });
        if (response.status === 202) throw unreachable('The stream cannot begin yet.');
        if (!said('Content-Type')?.startsWith('text/event-stream')) {
          throw new WebEDTError('The answer is no event stream.', { code: 'protocol' });
        }
        stream.setState('replaying');
        const frames = [];
        const feed = createParser({ onFrame: (frame) => frames.push(frame), onRetry: (ms) => { retryMs = Math.min(ms, 60_000); } });
        const reader = response.body.getReader();
        for (let part; !(part = await line.wait(reader.read())).done;) {
          feed(part.value);
          for (const event of frames.splice(0).map(readEvent)) {
            const { id, type, data } = event;
            if (type === 'draining') {
              isOver = false;
              stream.setState(type);
              continue;
            }
            if (type === 'reset') ledger.restart(0);
            if (type === 'caught_up') ledger.settle(data.lastEventId);
            if (type === 'caught_up' || type === 'snapshot') stream.setState('live');
            for (const good of id ? ledger.take(event) : [event]) {
              if (signal.aborted) return;
              failures = rereads = 0;
              stream.lastEventId = good.id ?? ledger.cursor;
              if (good.id) isOver = TERMINAL_TYPES.includes(good.type);
              if (good.id && isOneRun && good.data.runId !== stream.runId) continue;
              yield good;
              if (isOver && isOneRun) return;
            }
          }
        }
      } catch (caught) {
        if (signal.aborted) return;
        error = caught;
        const isGap = error.code === 'gap';
        if (isGap) options.onGap?.(error);
        if (isGap ? rereads++ === 3 : !error.isPassing) throw error;
      } finally {
        line.hangUp();
      }
      if (isOver && !isOneRun && !error) continue;
      const asked = error?.retryAfterSeconds * 1000;
      const retryInMs = (asked || retryMs) + backoffMs(failures++, backoff);
      stream.setState('reconnecting', { retryInMs, error });
      await pause(retryInMs, { signal, isWakeable: !asked });
    }
  }

  const after = ({ cursor }) => (cursor ? { 'Last-Event-ID': cursor } : {});
  const session = (id) => `/api/sessions/${encodeURIComponent(id)}`;

  const watch = (path, { lastEventId = 0, deltas = true, ...options } = {}) => new EventStream((stream) => {
    const ledger = new Ledger(lastEventId, deltas);
    stream.lastEventId = lastEventId;
    return read(stream, ledger, () => ({ path: path + (deltas ? '' : '?deltas=0'), headers: after(ledger) }));
  }, options);
  const resumePath = (id) => `/api/resume/${encodeURIComponent(id)}`;

  return {
    baseUrl,
    token,
    request,
    watch,
    // A run, to its end. Until an event came, asking again under the same key is the way back.
    start(prompt, { idempotencyKey = newKey(), ...options } = {}) {
      const body = typeof prompt === 'string' || Array.isArray(prompt) ? { userRequest: prompt } : prompt;
      return new EventStream((stream) => {
        const ledger = new Ledger(body.websiteSessionId ? null : 0);
        return read(stream, ledger, () => (stream.lastEventId === null
          ? { method: 'POST', path: '/api/execute-remote', body, headers: { 'Idempotency-Key': idempotencyKey } }
          : { path: resumePath(stream.sessionId), headers: after(ledger) }), true);
      }, options);
    },
    resume: (id, options) => watch(resumePath(id), options), // ends when nothing runs or waits
    follow: (id, options) => watch(`${session(id)}/events/stream`, options), // stays open
    updates: (options) => new EventStream((stream) => read(stream, new Ledger(), () => ({ path: '/api/sessions/updates' })), options),
    send: (sessionId, message, { onBusy, idempotencyKey = newKey(), signal } = {}) => request('POST', `${session(sessionId)}/send`, {
      body: { message, onBusy }, headers: { 'Idempotency-Key': idempotencyKey }, signal, isRepeatable: true,
    }),
    // Without a run asked once: again, it could hit the next of the queue.
    interrupt: (sessionId, runId, { signal } = {}) => request('POST', `${session(sessionId)}/interrupt`, {
      body: { runId }, signal, isRepeatable: Boolean(runId),
    }),
  };
}
