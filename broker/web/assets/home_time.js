// When a user's session ends, and how to say so.

// ends are the fields with a time at which a session ends, and why it does. Those of a term are
// put off by use. A broker leaves out what is without an end.
const ends = [
  { field: 'ends_at', why: 'its time is up' },
  { field: 'keepalive_until', why: 'nobody seems to use it', term: 'keepalive_expiration' },
  { field: 'idle_ends_at', why: 'nobody seems to use it', term: 'idle_expiration' },
  { field: 'unvisited_ends_at', why: 'it was not opened yet', term: 'unvisited_expiration' },
];

// A session is warned of so long before its end, in ms; before one that use puts off, at most in
// the last third of its term, so that a short term is not one long warning.
const soon = 5 * 60 * 1000, share = 3;

// endOf returns the next end of a session: at, why, kept if use puts it off, and warned if it is so
// near that it is to be warned of; undefined for none.
export function endOf(s, now = Date.now()) {
  const known = ends.filter((e) => s[e.field]).map(({ field, why, term }) => {
    const at = Date.parse(s[field]), before = term ? Math.min(soon, lengthOf(s.terms?.[term]) / share) : soon;
    return { at, why, kept: Boolean(term), warned: at - now < before };
  });
  return known.sort((a, b) => a.at - b.at)[0];
}

// A user extends a session by so much at a time, in ms.
const extension = 30 * 60 * 1000;

// extendedEnd is the end that the user may ask for; undefined where the session cannot be extended.
export function extendedEnd(s) {
  return s.extendable_until ? Math.min(Date.parse(s.ends_at) + extension, Date.parse(s.extendable_until)) : undefined;
}

const units = { h: 3600000, m: 60000, s: 1000, ms: 1 };

// lengthOf returns the length in ms of a duration such as 1h30m0s; endless for none.
function lengthOf(text) {
  if (!text) return Infinity;
  return [...text.matchAll(/([0-9.]+)(ms|h|m|s)/g)].reduce((sum, [, n, unit]) => sum + n * units[unit], 0);
}

// left says how long it is until a time, such as 2 h 5 min.
export function left(at, now = Date.now()) {
  const s = Math.max(0, Math.round((at - now) / 1000));
  if (s < 60) return 'less than a minute';
  const min = Math.round(s / 60);
  if (min < 60) return `${min} min`;
  const hours = Math.floor(min / 60);
  if (hours < 24) return `${hours} h` + (min % 60 ? ` ${min % 60} min` : '');
  const days = Math.floor(hours / 24);
  return `${days} d` + (hours % 24 ? ` ${hours % 24} h` : '');
}

// clock is the time of day, with the date where that is not today.
export function clock(time, now = new Date()) {
  const at = new Date(time);
  const day = at.toDateString() === now.toDateString() ? {} : { day: 'numeric', month: 'short' };
  return at.toLocaleString(undefined, { hour: '2-digit', minute: '2-digit', hour12: false, ...day });
}
