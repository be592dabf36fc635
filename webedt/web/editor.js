// Copies on the first touch: within one batch of events a value is copied once, and the copy is then ours to change.
// What came from outside is never changed in place.

export function editor() {
  const owned = new WeakSet();

  function own(value) {
    if (owned.has(value)) return value;
    const copy = Array.isArray(value) ? value.slice() : value instanceof Set ? new Set(value) : { ...value };
    owned.add(copy);
    return copy;
  }

  return {
    own,
    ownIn(holder, key) {
      return (holder[key] = own(holder[key]));
    },
  };
}
