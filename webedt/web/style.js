// Styles of what is not seen at once, loaded with it.
const loaded = new Map();

export function loadStyle(name) {
  if (!loaded.has(name)) {
    loaded.set(name, new Promise((done) => {
      const link = Object.assign(document.createElement('link'), { rel: 'stylesheet', href: new URL(name, import.meta.url).href });
      link.onload = done;
      link.onerror = () => { loaded.delete(name); link.remove(); done(); }; // unstyled is better than not at all
      document.head.append(link);
    }));
  }
  return loaded.get(name);
}
