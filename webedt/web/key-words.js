// What is known of a key, and of what works without one. Pure.

export function keyWords(isStored, since, provider) {
  if (isStored) return provider && !provider.configured ? `Your key, stored ${since}, is not used: ${provider.reason}` : `Your key, stored ${since}`;
  if (!provider) return 'No key';
  return provider.configured ? 'No key of yours; the deployment’s is used' : provider.reason;
}
