// What the browser's tab says of the open session. Pure.

const MARKS = { pending: '◌', running: '●', completed: '✓', failed: '✗', interrupted: '■' };
const DOTS = { pending: '#e8ba60', running: '#5ecabc', completed: '#58c583', failed: '#ff7b6e', interrupted: '#a6a8ad' };

// The end of a run is only news for who has seen it run.
export function tabTitle({ title, status }, wasActive) {
  if (!title) return 'WebEDT';
  const mark = isActive(status) || wasActive ? MARKS[status] : null;
  return `${mark ? `${mark} ` : ''}${title} · WebEDT`;
}

export const isActive = (status) => status === 'running' || status === 'pending';

export function iconUrl(status, wasActive) {
  const dot = isActive(status) || wasActive ? DOTS[status] : null;
  const badge = dot ? `<circle cx='12.5' cy='3.5' r='3.5' fill='${dot}' stroke='#fff'/>` : '';
  const svg = `<svg xmlns='http://www.w3.org/2000/svg' viewBox='0 0 16 16'><rect width='16' height='16' rx='4' fill='#0f766e'/>`
    + `<path d='M4 5l3 3-3 3M8.5 11H12' fill='none' stroke='#fff' stroke-width='1.6' stroke-linecap='round' stroke-linejoin='round'/>${badge}</svg>`;
  return `data:image/svg+xml,${encodeURIComponent(svg)}`;
}
