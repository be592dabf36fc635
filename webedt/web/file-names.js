// File names, which come from anybody: how they are shown, and where they stand in an address. Pure.

// Direction marks, invisible and control characters could make "evil[rtl]txt.exe" look like another file.
const DECEIVING = /[\p{Cc}\p{Cf}\p{Zl}\p{Zp}\p{Cs}]/gu;

export const shownName = (path) => path.replace(DECEIVING, (char) => `⟨${char.codePointAt(0).toString(16).toUpperCase().padStart(4, '0')}⟩`);

// A browser would walk up the address at . and .., also when they are encoded.
export function nameProblem(path) {
  const parts = path.split('/');
  if (parts.some((part) => part === '' || part === '.' || part === '..')) return 'This is no name for a file.';
  if (path.includes('\\')) return 'A name must not have a backslash.';
  return null;
}

export function fileUrl(sessionId, path) {
  if (nameProblem(path)) throw new TypeError(nameProblem(path));
  return `${filesUrl(sessionId)}/${path.toWellFormed().split('/').map(encodeURIComponent).join('/')}`;
}

export const filesUrl = (sessionId) => `/api/sessions/${encodeURIComponent(sessionId)}/files`;
