// Where the reader is, kept in the address so that a reload comes back to it. Pure.

export const sessionHash = (id) => `#/s/${id}`;

export function routeOf(hash) {
  const match = /^#\/s\/([\w-]{1,64})$/.exec(hash);
  return match ? { page: 'session', id: match[1] } : { page: 'home', id: null };
}
