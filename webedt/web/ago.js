// Times as a person says them: how long ago, and when exactly. Pure.

const MINUTE = 60;
const HOUR = 60 * MINUTE;
const DAY = 24 * HOUR;

export function agoWords(iso, now = Date.now()) {
  const time = new Date(iso);
  const seconds = (now - time) / 1000;
  if (Number.isNaN(seconds)) return '';
  if (seconds < 45) return 'just now'; // also what a clock ahead of ours calls the future
  if (seconds < HOUR - 30) return `${Math.max(1, Math.round(seconds / MINUTE))} min ago`;
  if (seconds < DAY - HOUR / 2) return `${Math.round(seconds / HOUR)} h ago`;
  if (seconds < 7 * DAY - DAY / 2) return `${plural(Math.round(seconds / DAY), 'day')} ago`;
  return dayWords(iso, now);
}

export function dayWords(iso, now = Date.now()) {
  const time = new Date(iso);
  const isThisYear = time.getFullYear() === new Date(now).getFullYear();
  return time.toLocaleDateString('en-GB', { day: 'numeric', month: 'short', ...(isThisYear ? {} : { year: 'numeric' }) });
}

export const exactWords = (iso) => new Date(iso).toLocaleString([], { dateStyle: 'medium', timeStyle: 'short' });

export const plural = (count, noun) => `${count} ${noun}${count === 1 ? '' : 's'}`;
