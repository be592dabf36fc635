// One file to the server, with progress: fetch does not tell how far an upload is. Another file of that name is only
// replaced if `isWanted` says so; else the refusal's code is `conflict`.

export function upload(url, file, onProgress, isWanted = false) {
  const request = new XMLHttpRequest();
  const done = new Promise((resolve, reject) => {
    const fail = (status, problem) => reject(refusal(status, problem, request.getResponseHeader('Retry-After')));
    request.open('PUT', url);
    request.setRequestHeader('Content-Type', file.type || 'application/octet-stream');
    if (!isWanted) request.setRequestHeader('If-None-Match', '*');
    request.upload.onprogress = ({ loaded, total }) => onProgress(total ? loaded / total : 1);
    request.onload = () => (request.status < 300 ? resolve() : fail(request.status, parsed(request.responseText)));
    request.onerror = () => fail(0, { code: 'unreachable', detail: 'The upload broke off. The server cannot be reached, or it refused the file.' });
    request.onabort = () => fail(0, { code: 'cancelled', detail: 'Cancelled.' });
    request.send(file);
  });
  return { done, cancel: () => request.abort() };
}

// As the refusals of every other question.
function refusal(status, { detail, title, code = '', errors = [] }, retryAfter) {
  const error = new Error(detail || title || `The server answered ${status}.`);
  return Object.assign(error, { status, code, errors, retryAfterSeconds: Number(retryAfter) || 0 });
}

function parsed(text) {
  try { return JSON.parse(text); } catch { return {}; }
}
