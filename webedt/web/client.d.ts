// Types of client.js. What it promises: docs/client.md.

export interface TextBlock {
  type: 'text';
  text: string;
}
export interface ImageBlock {
  type: 'image';
  source: { type: 'base64'; media_type: string; data: string };
}
export type Prompt = string | Array<TextBlock | ImageBlock>;
export type OnBusy = 'queue' | 'interrupt' | 'reject';
export type SessionStatus = 'pending' | 'running' | 'completed' | 'failed' | 'interrupted';

/** The body of a new run. */
export interface RunRequest {
  userRequest: Prompt;
  websiteSessionId?: string;
  provider?: string;
  model?: string;
  github?: { repoUrl: string; branch?: string };
  onBusy?: OnBusy;
}

interface OfRun {
  runId: string;
}
interface OfMessage extends OfRun {
  messageId: string;
}

/** The data of the events in a session's log, by type. */
export interface LogData {
  user_message: OfRun & { content: Array<TextBlock | ImageBlock> };
  run_started: OfRun & { attempt: number; provider: string; model: string; container: string };
  text_delta: OfMessage & { text: string };
  thinking_delta: OfMessage & { text: string };
  tool_use: OfMessage & { toolUseId: string; name: string; input: unknown };
  tool_result: OfRun & { toolUseId: string; content: unknown; isError: boolean };
  /** The whole message. Its deltas (from the id `replacesFrom` on) may be missing in a later replay. */
  message: OfMessage & { role: string; content: unknown[]; replacesFrom: number | null };
  usage: OfRun & { inputTokens: number; outputTokens: number; costUsd?: number };
  /** Forget the unfinished messages of this run: it begins again. */
  run_restarted: OfRun & { attempt: number; reason: string };
  /** Another replica continues; there is nothing to forget. */
  run_recovered: OfRun & { attempt: number; container: string };
  completed: OfRun & { stopReason: string; durationMs: number };
  failed: OfRun & { code: string; message: string; retryable: boolean };
  interrupted: OfRun & { by: string };
}
/** The data of what is not in the log. */
export interface FrameData {
  caught_up: { lastEventId: number; status: SessionStatus };
  /** Forget everything: ids begin at 1 again. */
  reset: { reason: string };
}

export type LogEvent = { [Type in keyof LogData]: { id: number; type: Type; data: LogData[Type] } }[keyof LogData];
export type FrameEvent = { [Type in keyof FrameData]: { id: null; type: Type; data: FrameData[Type] } }[keyof FrameData];
export type SessionEvent = LogEvent | FrameEvent;

export interface Session {
  id: string;
  title: string;
  status: SessionStatus;
  provider: string | null;
  model: string | null;
  repositoryUrl: string | null;
  branch: string | null;
  favorite: boolean;
  lastEventId: number;
  createdAt: string;
  updatedAt: string;
  completedAt: string | null;
  deletedAt: string | null;
}
export type ListEvent =
  | { id: null; type: 'snapshot'; data: { sessions: Session[] } }
  | { id: null; type: 'created' | 'updated' | 'status_changed' | 'deleted'; data: { session: Session } };

export type StreamState = 'connecting' | 'replaying' | 'live' | 'reconnecting' | 'draining' | 'ended';
export interface StateChange {
  state: StreamState;
  /** With `reconnecting`: milliseconds until the next try; else null. */
  retryInMs: number | null;
  /** Why, with `reconnecting` and `ended`; null when the server ended the connection in good order. */
  error: WebEDTError | null;
}

export interface StreamOptions<E> {
  /** Calls back from now on; without it the stream is an async iterable, and asks for nothing before it is iterated. */
  onEvent?: (event: E) => void;
  onState?: (change: StateChange) => void;
  /** Events are missing; the stream is read again from the last good one. */
  onGap?: (gap: WebEDTError) => void;
  /** Another replica took over. */
  onReplica?: (change: { container: string; previous: string }) => void;
  /** The stream has ended with this error. Never called after `close()`. */
  onError?: (error: Error) => void;
  /** Ends the stream, as `close()` does. */
  signal?: AbortSignal;
}
export interface ReadOptions extends StreamOptions<SessionEvent> {
  /** The last event that was seen; 0 for none. */
  lastEventId?: number;
  /** False: whole messages only. Ids then jump, and are checked for order only. */
  deltas?: boolean;
}
export interface StartOptions extends StreamOptions<SessionEvent> {
  /** By default a new one. The same key and prompt within 24 hours give the same run. */
  idempotencyKey?: string;
}

export declare class EventStream<E = SessionEvent> implements AsyncIterable<E> {
  constructor(source: (stream: EventStream<E>) => AsyncIterable<E>, options?: StreamOptions<E>);
  /** Known once the server has answered. */
  readonly sessionId: string | null;
  readonly runId: string | null;
  /** The last event that was given: where to go on another time. */
  readonly lastEventId: number | null;
  /** The replica that answers. */
  readonly container: string | null;
  readonly state: StreamState;
  readonly options: StreamOptions<E>;
  readonly signal: AbortSignal;
  /** Settles when the stream has ended: rejects with what ended it, resolves otherwise. */
  readonly done: Promise<void>;
  close(error?: Error | null): void;
  setState(state: StreamState, more?: Partial<Omit<StateChange, 'state'>>): void;
  /** Once only: a stream is read by one reader. */
  [Symbol.asyncIterator](): AsyncGenerator<E, void, undefined>;
}

export interface Backoff {
  baseMs?: number;
  capMs?: number;
  random?: () => number;
}
export interface ClientOptions {
  /** Without a slash at its end; by default the origin of the page. */
  baseUrl?: string;
  /** A Bearer token, or what gives one before each request; without it the browser's cookie is used. */
  token?: string | (() => string | Promise<string>);
  /** By default `omit` with a token, else `include`. */
  credentials?: RequestCredentials;
  /** A connection on which nothing comes for so long is left; the server says something every 15 s. */
  silenceMs?: number;
  /** How often `send`, and `interrupt` with a run, are tried. Streams never give up. */
  tries?: number;
  backoff?: Backoff;
  fetch?: typeof globalThis.fetch;
}
export interface RequestOptions {
  body?: unknown;
  headers?: Record<string, string>;
  signal?: AbortSignal;
  /** Whether it does no harm to ask twice. */
  isRepeatable?: boolean;
}

export interface Accepted {
  sessionId: string;
  runId: string;
  status: 'running' | 'queued';
  position: number;
}
export interface Interrupting {
  sessionId: string;
  runId: string;
  status: 'interrupting';
}

export interface Client {
  readonly baseUrl: string;
  readonly token: ClientOptions['token'];
  start(prompt: Prompt | RunRequest, options?: StartOptions): EventStream;
  resume(sessionId: string, options?: ReadOptions): EventStream;
  follow(sessionId: string, options?: ReadOptions): EventStream;
  /** Any path that streams a log, such as that of a shared link. */
  watch(path: string, options?: ReadOptions): EventStream;
  updates(options?: StreamOptions<ListEvent>): EventStream<ListEvent>;
  send(sessionId: string, message: Prompt, options?: { onBusy?: OnBusy; idempotencyKey?: string; signal?: AbortSignal }): Promise<Accepted>;
  interrupt(sessionId: string, runId?: string, options?: { signal?: AbortSignal }): Promise<Interrupting>;
  request<T = unknown>(method: string, path: string, options?: RequestOptions): Promise<T>;
}
export declare function createClient(options?: ClientOptions): Client;

export declare class WebEDTError extends Error {
  constructor(message: string, facts?: Partial<Pick<WebEDTError, 'status' | 'code' | 'errors' | 'requestId' | 'retryAfterSeconds' | 'cause' | 'after' | 'next'>>);
  /** Of the answer; 0 if there was none. */
  status: number;
  /** The server's word for it, or `unreachable`, `protocol`, `gap`. */
  code: string;
  errors?: Array<{ path: string; message: string }>;
  requestId?: string;
  retryAfterSeconds: number;
  cause?: unknown;
  /** With `gap`: the last good id, and the next one that there is. */
  after?: number;
  next?: number;
  /** Whether the same request may succeed later. */
  get isPassing(): boolean;
}

export declare const TERMINAL_TYPES: readonly string[];
export declare function newKey(): string;
export declare function backoffMs(failures: number, backoff?: Backoff): number;
export declare function pause(ms: number, options?: { signal?: AbortSignal; isWakeable?: boolean }): Promise<void>;

export interface Frame {
  id: string | undefined;
  type: string;
  data: string;
}
/** Gives a function that takes the bytes of one stream, in any split. */
export declare function createParser(into: { onFrame: (frame: Frame) => void; onRetry?: (ms: number) => void }): (bytes: Uint8Array) => void;

interface Numbered {
  id: number;
  type: string;
  data: unknown;
}
export declare class Ledger {
  constructor(cursor?: number | null, isChecked?: boolean);
  cursor: number | null;
  take<E extends Numbered>(event: E): E[];
  settle(lastId: number): void;
  restart(cursor?: number | null): void;
}
