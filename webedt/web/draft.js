// What was typed and not sent, kept for this tab so that a reload does not lose it.

const PREFIX = 'draft ';

// A browser may refuse storage altogether; typing goes on without it.
const attempt = (work) => {
  try {
    return work();
  } catch {
    return null;
  }
};

export function draftOf(name) {
  const key = PREFIX + name;
  if (name === null) return { read: () => '', keep() {}, forget() {} };
  return {
    read: () => attempt(() => sessionStorage.getItem(key)) ?? '',
    keep: (text) => attempt(() => (text ? sessionStorage.setItem(key, text) : sessionStorage.removeItem(key))),
    forget: () => attempt(() => sessionStorage.removeItem(key)),
  };
}

// For a logout: the next one in this tab may be somebody else.
export function forgetDrafts() {
  attempt(() => Object.keys(sessionStorage).filter((key) => key.startsWith(PREFIX)).forEach((key) => sessionStorage.removeItem(key)));
}
