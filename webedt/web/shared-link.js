// The address of a shared conversation, and why it is no longer there, in words. Pure.

const SHARED = /^\/shared\/([\w.~-]{1,200})\/?$/;

export const isShared = (path) => path.startsWith('/shared/');

export const tokenOf = (path) => SHARED.exec(path)?.[1] ?? '-';

// '' for a refusal that may pass.
export function goneWords({ status }, wasThere) {
  if (status === 404) return wasThere ? 'This conversation is no longer shared.' : 'There is no such shared conversation, or it is no longer shared.';
  return status === 410 ? 'This link has expired. Ask for a new one.' : '';
}
