// Types of client-shared.js. What it promises: docs/client.md.
import type { Client } from './client.js';

export interface ShareOptions {
  /** How long the tab that holds the connection may take to answer before another one takes it over. */
  answerMs?: number;
  locks?: LockManager;
  Channel?: typeof BroadcastChannel;
}
export interface SharedStreams {
  follow: Client['follow'];
  updates: Client['updates'];
  /** Ends the streams of this page's logins in all tabs, at once. */
  end(): void;
}
export declare function shareStreams(client: Client, options?: ShareOptions): SharedStreams;
