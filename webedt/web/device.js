// What a login's User-Agent says, as "Firefox on Linux". Whoever logs in chooses it: a hint, no proof. Pure.

const PROGRAMS = [['Edg', 'Edge'], ['OPR', 'Opera'], ['SamsungBrowser', 'Samsung Internet'], ['Firefox', 'Firefox'], ['FxiOS', 'Firefox'],
  ['CriOS', 'Chrome'], ['Chrome', 'Chrome'], ['Safari', 'Safari'], ['webedt', 'webedt'], ['curl', 'curl']];
const SYSTEMS = [['iPhone', 'iPhone'], ['iPad', 'iPad'], ['Android', 'Android'], ['CrOS', 'ChromeOS'], ['Windows', 'Windows'], ['Mac OS X', 'Mac'],
  ['Linux', 'Linux']];

const named = (names, text) => names.find(([mark]) => text.includes(mark))?.[1];

export function deviceWords(userAgent) {
  if (!userAgent) return 'Unknown program';
  const program = named(PROGRAMS, userAgent);
  const system = named(SYSTEMS, userAgent);
  if (!program && !system) return userAgent.length > 60 ? `${userAgent.slice(0, 59)}…` : userAgent;
  return [program, system].filter(Boolean).join(' on ');
}
