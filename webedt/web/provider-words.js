// Who would answer, and what to know about it, from GET /api/providers. Pure.

export const chosenOf = (known, name) => known?.providers.find((provider) => provider.name === (name || known.default)) ?? null;

export function noteOf(known, chosen) {
  if (!known) return '';
  if (!chosen) return 'No provider is the default: choose one, or add an API key in the settings.';
  if (!chosen.configured) return `${chosen.name} cannot be used: ${chosen.reason}`;
  if (chosen.name === 'simulated') return 'The simulated provider makes words up, offline: good for trying things out.';
  const key = chosen.ownKey ? 'Your own API key is used.' : '';
  const survives = chosen.resumable
    ? 'If a server stops, another continues the answer where it was.'
    : 'If a server stops, another begins the answer again.';
  return [key, survives].filter(Boolean).join(' ');
}
