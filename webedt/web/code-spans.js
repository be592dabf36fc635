// Where spans of code end: a run of backticks closes at the next run of the same length. All runs are measured once. Pure.

export function codeSpans(text, isOpen) {
  const runs = Array.from(text.matchAll(/`+/g), ({ 0: marks, index }) => ({ index, size: marks.length, next: null }));
  const nextOfSize = new Map();
  for (const run of runs.toReversed()) {
    run.next = nextOfSize.get(run.size) ?? null;
    nextOfSize.set(run.size, run);
  }
  const runAt = new Map(runs.map((run) => [run.index, run]));

  return function spanAt(place) {
    const run = runAt.get(place);
    if (!run) return { code: null, end: place + 1 }; // the rest of a run whose first mark was escaped
    const start = place + run.size;
    if (run.next) return { code: trimmed(text.slice(start, run.next.index)), end: run.next.index + run.size };
    const rest = text.slice(start);
    const mayStillClose = isOpen && run.size === 1 && rest && !rest.includes('\n');
    return mayStillClose ? { code: trimmed(rest), end: text.length } : { code: null, end: start };
  };
}

function trimmed(code) {
  const line = code.replaceAll('\n', ' ');
  return line.startsWith(' ') && line.endsWith(' ') && line.trim() ? line.slice(1, -1) : line;
}
