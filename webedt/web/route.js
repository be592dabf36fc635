// Where the reader is, kept in the address so that a reload comes back to it. Pure.

const PAGES = new Map([['#/settings', 'settings'], ['#/operations', 'operations']]);

export const sessionHash = (id) => `#/s/${id}`;

export function routeOf(hash) {
  const match = /^#\/s\/([\w-]{1,64})$/.exec(hash);
  if (match) return { page: 'session', id: match[1] };
  return { page: PAGES.get(hash) ?? 'home', id: null };
}
