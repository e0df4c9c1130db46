// The keys of launches. A link that is followed twice at once, in two tabs, must not give two
// sessions: both launches then have one Idempotency-Key.

import { forget, nonce, recall, remember } from './home_store.js';

// For so long after it began, the same launch is the same one: ms.
const life = 10000;

// launchKey returns the key for a launch, by what it sends.
export function launchKey(body) {
  const what = JSON.stringify(body), now = Date.now();
  const last = recall('launch');
  if (last?.what === what && now - last.at < life && last.at <= now) return last.key;
  const key = nonce();
  remember('launch', { what, key, at: now });
  return key;
}

// forgetLaunch makes the next launch another one.
export const forgetLaunch = () => forget('launch');

// askAnother returns the part of an address that asks for another session beside the one that the
// user has. It counts once, and only if this page made it: no other site's link can.
export function askAnother() {
  const word = nonce();
  remember('another', word);
  return '#another=' + word;
}

// takeAnother reports whether this page's address asks for another session, and takes that out of it.
export function takeAnother() {
  const word = new URLSearchParams(location.hash.slice(1)).get('another');
  if (!word) return false;
  history.replaceState(null, '', location.pathname + location.search);
  if (word !== recall('another')) return false;
  forget('another');
  return true;
}
