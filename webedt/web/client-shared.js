// One connection for all tabs of an origin that follow the same stream: a browser opens six HTTP/1.1 connections a host.
//
// A Web Lock elects the tab that holds the connection, a BroadcastChannel carries its events to the others. A SharedWorker
// could hold it too, but not every mobile browser has one, and it would need a script of its own at this origin. The lock
// is free in the moment in which its tab closes or crashes; one that is frozen or hangs is found out by asking it.
//
// A message carries no truth: each tab checks ids itself, and reads what it lacks from the JSON pages.
import { backoffMs, EventStream, Ledger, pause, WebEDTError } from './client.js';

const PAGE = 1000;
const MOST_REREADS = 3;

export function shareStreams(client, { answerMs = 5000, locks = globalThis.navigator?.locks, Channel = globalThis.BroadcastChannel } = {}) {
  if (!locks || !Channel) return { follow: client.follow, updates: client.updates, end() {} };
  const logins = new Set();

  // Whose streams these are: names are bound to the login, so that two logins of one browser never meet.
  async function whoAmI(stream) {
    const token = typeof client.token === 'function' ? await client.token() : client.token;
    if (token) return `webedt ${client.baseUrl} ${hex(await crypto.subtle.digest('SHA-256', new TextEncoder().encode(token)))}`;
    const { user, session } = await untilAnswered(stream, () => client.request('GET', '/api/auth/session', { signal: stream.signal }));
    return `webedt ${client.baseUrl} ${user.id} ${session.id}`;
  }

  const open = (key, source, { lastEventId = null, ...options }) => new EventStream(async function* events(stream) {
    const login = await whoAmI(stream);
    if (stream.signal.aborted) return;
    logins.add(login);
    // With a cookie, another tab may have changed the login under us. Asked once a connection, before anything is believed.
    const confirm = async () => {
      if (login !== await whoAmI(stream)) throw loggedOut('login_changed');
    };
    const member = new Member({ stream, login, name: `${login} ${key}`, source, confirm, cursor: lastEventId, answerMs, locks, Channel });
    yield* member.events();
  }, options);

  return {
    follow(sessionId, { deltas = true, lastEventId = 0, ...options } = {}) {
      if (!deltas) return client.follow(sessionId, { ...options, deltas, lastEventId }); // the pages have no such choice
      const stream = open(`session ${sessionId}`, logOf(client, sessionId), { ...options, lastEventId });
      return Object.assign(stream, { sessionId, lastEventId });
    },
    updates: (options = {}) => open('updates', listOf(client), options),
    // Ends the streams of this page's logins in all tabs, at once.
    end() {
      for (const login of logins) {
        const channel = new Channel(login);
        channel.postMessage('end');
        channel.close();
      }
      logins.clear();
    },
  };
}

const hex = (buffer) => Array.from(new Uint8Array(buffer), (byte) => byte.toString(16).padStart(2, '0')).join('');
const loggedOut = (code) => new WebEDTError('The login has ended.', { status: 401, code });
const factsOf = ({ message, status, code, requestId, retryAfterSeconds }) => ({ message, status, code, requestId, retryAfterSeconds });
const errorOf = (facts) => facts && new WebEDTError(facts.message, facts);

async function untilAnswered(stream, ask) {
  for (let failures = 0; ; failures += 1) {
    try {
      return await ask();
    } catch (error) {
      if (!error.isPassing || stream.signal.aborted) throw error;
      await waitFor(stream, error, failures);
    }
  }
}
async function waitFor(stream, error, failures) {
  const retryInMs = error.retryAfterSeconds * 1000 + backoffMs(failures);
  stream.setState('reconnecting', { retryInMs, error });
  await pause(retryInMs, { signal: stream.signal, isWakeable: !error.retryAfterSeconds });
}

// How a stream is opened, and how what it said before is read otherwise: from a cursor, until a page says that it is the last.
const logOf = (client, sessionId) => ({
  connect: (options) => client.follow(sessionId, options),
  async read(after, signal) {
    const path = `/api/sessions/${encodeURIComponent(sessionId)}/events?after=${after}&limit=${PAGE}`;
    const { events, lastEventId, status } = await client.request('GET', path, { signal });
    if (lastEventId < after) return { events: [{ id: null, type: 'reset', data: { reason: 'ahead_of_log' } }], after: 0, isLast: false };
    if (events.length) return { events: events.map(({ id, type, data }) => ({ id, type, data })), after: lastEventId, isLast: false };
    return { events: [{ id: null, type: 'caught_up', data: { lastEventId, status } }], after: lastEventId, isLast: true };
  },
});
const listOf = (client) => ({
  connect: (options) => client.updates(options),
  async read(after, signal) {
    const { sessions } = await client.request('GET', '/api/sessions?limit=50', { signal });
    return { events: [{ id: null, type: 'snapshot', data: { sessions } }], after, isLast: true };
  },
});

// One tab's part in one stream.
class Member {
  #inbox = [];
  #wake = () => {};
  #failure;
  #isOver = false;
  #backlog = null; // what came by the channel while pages are read
  #reading = 0; // numbers the readings of pages: a newer one, or leading, ends the older one
  #upstream = null; // while this tab leads
  #candidacy = new AbortController();
  #said = { state: 'live' }; // the leader's state
  #askedAt = 0; // since when the leader owes an answer; 0: it owes none
  #tickedAt = Date.now();

  constructor({ cursor, ...given }) {
    Object.assign(this, given);
    this.ledger = new Ledger(cursor ?? 0);
  }

  async* events() {
    const { stream } = this;
    this.channel = new this.Channel(this.name);
    this.channel.onmessage = ({ data }) => this.#hear(data);
    const farewell = new this.Channel(this.login);
    farewell.onmessage = () => this.#finish(loggedOut('unauthenticated'));
    const listen = (target, type, then) => target?.addEventListener?.(type, then, { signal: stream.signal });
    // A frozen tab can neither lead nor may it be elected; a page may also be kept, asleep, to be gone back to.
    listen(globalThis.document, 'freeze', () => this.#resign());
    listen(globalThis, 'pagehide', () => this.#resign());
    listen(globalThis.document, 'resume', () => this.#stand());
    listen(globalThis, 'pageshow', ({ persisted }) => persisted && this.#stand());
    listen(globalThis.document, 'visibilitychange', () => this.#tick());
    const ticking = setInterval(() => this.#tick(), this.answerMs / 2);
    stream.signal.addEventListener('abort', () => {
      clearInterval(ticking);
      this.#resign();
      this.#wake();
      this.channel.close();
      farewell.close();
    });
    this.#stand();
    while (!stream.signal.aborted) {
      for (const event of this.#inbox.splice(0)) {
        if (event.id !== null) stream.lastEventId = event.id;
        if (event.type === 'reset') stream.lastEventId = 0;
        yield event;
        if (stream.signal.aborted) return;
      }
      if (this.#failure) throw this.#failure;
      if (this.#isOver) return;
      if (!this.#inbox.length) await new Promise((wake) => { this.#wake = wake; });
    }
  }

  #deliver(event) {
    this.#inbox.push(event);
    this.#wake();
  }

  #finish(error = null) {
    this.#failure ??= error;
    this.#isOver = true;
    this.#wake();
  }

  // The election ---------------------------------------------------------------------------------------------------------

  async #stand(how = { ifAvailable: true }) {
    this.#resign();
    const { signal } = this.#candidacy = new AbortController();
    const elected = (lock) => (lock && !signal.aborted && !this.stream.signal.aborted ? this.#lead() : null);
    try {
      await this.locks.request(this.name, how, elected);
      if (signal.aborted || this.stream.signal.aborted || this.#isOver) return;
      this.channel.postMessage({ kind: 'hello' });
      this.#catchUp();
      await this.locks.request(this.name, { signal }, elected);
    } catch (error) {
      // Either this candidacy was withdrawn, or another tab found that we did not answer and took the lock.
      if (error.name !== 'AbortError') return this.#finish(error);
      if (!signal.aborted && !this.stream.signal.aborted) this.#stand();
    }
  }

  #resign() {
    this.#candidacy.abort();
    this.#reading += 1;
    const upstream = this.#upstream;
    this.#upstream = null;
    upstream?.close();
  }

  // The lock is held until the promise is settled.
  async #lead() {
    this.#reading += 1;
    this.#backlog = null;
    this.ledger.restart();
    let isConfirmed = false;
    const { onGap, onReplica } = this.stream.options;
    const upstream = this.#upstream = this.source.connect({
      lastEventId: this.ledger.cursor, onGap, onReplica,
      onState: (said) => {
        if (said.state === 'replaying') isConfirmed = false;
        if (said.state !== 'ended') this.#say(said);
      },
    });
    let failure = null;
    try {
      for await (const event of upstream) {
        if (!isConfirmed) await this.confirm();
        isConfirmed = true;
        if (this.#upstream !== upstream) return;
        if (event.id !== null) this.ledger.cursor = event.id;
        if (event.type === 'reset') this.ledger.restart(0);
        this.#deliver(event);
        this.channel.postMessage({ kind: 'event', event });
      }
    } catch (error) {
      failure = error;
    }
    if (this.#upstream !== upstream) return;
    this.channel.postMessage({ kind: 'end', error: failure && factsOf(failure) });
    this.#finish(failure);
  }

  #say({ state, retryInMs, error }) {
    this.#said = { state, retryInMs };
    this.stream.setState(state, { retryInMs, error });
    this.channel.postMessage({ kind: 'state', said: this.#said, error: error && factsOf(error) });
  }

  // Frozen, or hung: who looks at this tab must not wait for the lock. Timers of hidden tabs are late, so those do not ask.
  #tick() {
    const now = Date.now();
    const wasAsleep = now - this.#tickedAt > 2 * this.answerMs;
    this.#tickedAt = now;
    if (this.#upstream || this.#isOver || globalThis.document?.hidden) this.#askedAt = 0;
    else if (!this.#askedAt || wasAsleep) {
      this.#askedAt = now;
      this.channel.postMessage({ kind: 'hello' });
    } else if (now - this.#askedAt >= this.answerMs) {
      this.#askedAt = 0;
      this.#stand({ steal: true });
    }
  }

  // Following the leader -------------------------------------------------------------------------------------------------

  #hear({ kind, event, said, cursor, error }) {
    if (kind === 'hello') {
      if (this.#upstream) this.channel.postMessage({ kind: 'here', said: this.#said, cursor: this.ledger.cursor });
      return;
    }
    if (this.#upstream) return; // from one that was leader before
    this.#askedAt = 0;
    if (kind === 'event') this.#absorb(event);
    if (kind === 'end') this.#finish(errorOf(error));
    if (said) this.#said = said;
    if (said && !this.#backlog) this.stream.setState(said.state, { retryInMs: said.retryInMs, error: errorOf(error) });
    if (kind === 'here' && cursor > this.ledger.cursor && !this.#backlog) this.#catchUp();
  }

  #absorb(event) {
    if (this.#backlog) return this.#backlog.push(event);
    if (event.type === 'reset') this.ledger.restart(0);
    if (event.type === 'caught_up' && event.data.lastEventId > this.ledger.cursor) return this.#catchUp();
    try {
      for (const good of event.id === null ? [event] : this.ledger.take(event)) this.#deliver(good);
    } catch {
      this.#catchUp();
    }
  }

  async #catchUp() {
    const number = this.#reading += 1;
    const isMine = () => number === this.#reading && !this.stream.signal.aborted;
    this.#backlog ??= [];
    this.stream.setState('replaying');
    let failures = 0;
    let rereads = 0;
    this.ledger.restart();
    for (let after = this.ledger.cursor; isMine();) {
      try {
        const page = await this.source.read(after, this.stream.signal);
        if (page.isLast) await this.confirm();
        if (!isMine()) return;
        if (page.after < after) this.ledger.restart(page.after);
        if (page.isLast) this.ledger.settle(page.after);
        for (const event of page.events) {
          for (const good of event.id === null ? [event] : this.ledger.take(event)) this.#deliver(good);
        }
        after = page.after;
        failures = 0;
        if (page.isLast) return this.#readBacklog();
      } catch (error) {
        if (!isMine()) return;
        if (error.code === 'gap') this.stream.options.onGap?.(error);
        if (error.code === 'gap' ? rereads++ === MOST_REREADS : !error.isPassing) return this.#finish(error);
        this.ledger.restart();
        after = this.ledger.cursor;
        await waitFor(this.stream, error, failures++);
      }
    }
  }

  #readBacklog() {
    const backlog = this.#backlog;
    this.#backlog = null;
    this.stream.setState(this.#said.state, this.#said);
    for (const event of backlog) this.#absorb(event);
  }
}
