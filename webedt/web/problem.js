// Refusals in words for a person. Pure.

const words = {
  forbidden: 'The server refused this page as the sender. Reload it and try again.',
  unavailable: 'The server is busy or restarting. Try again in a moment.',
  internal: 'Something went wrong on the server.',
  payload_too_large: 'That is too long.',
};

export function problemWords(error) {
  if (error.code === 'rate_limited') {
    const seconds = error.retryAfterSeconds;
    return `Too many attempts. Try again ${seconds ? `in ${seconds} second${seconds === 1 ? '' : 's'}` : 'in a moment'}.`;
  }
  const details = (error.errors ?? []).map(faultWords).filter(Boolean);
  return details.length ? details.join(' ') : words[error.code] ?? error.message;
}

function faultWords(fault) {
  if (typeof fault === 'string') return fault;
  const where = (fault.path ?? fault.field ?? '').replace(/^\$\.?/, '');
  const what = fault.message ?? fault.detail ?? '';
  return where && what ? `${where}: ${what}` : what;
}
