// What the users' page reads, and the addresses that it has.

import { all, at } from './api.js';
import { over } from './session_parts.js';

// launchAt is the address that launches an image, openAt the one that opens a session.
export const launchAt = (image, zone) => at('/launch/' + encodeURIComponent(image) + (zone ? '?' + new URLSearchParams({ zone }) : '')).href;
export const openAt = (id) => at('/open/' + encodeURIComponent(id)).href;
export const homeAt = () => at('/').href;

// since is when a session became its user's, or was made for the user.
export const since = (s) => s.assigned_at ?? s.created_at;

// ownSessions returns the user's sessions that go on, the one that was launched last first.
export async function ownSessions(user) {
  const sessions = await all('/v1/sessions', user.id ? { user: user.id } : {});
  return sessions.filter((s) => s.user && !over(s)).sort((a, b) => Date.parse(since(b)) - Date.parse(since(a)));
}

// isOf reports whether a session is a user's. A user's own login reads no other's.
export const isOf = (s, user) => user.own || s.user?.id === user.id;

// launchables returns the images that the user may launch, and where.
export const launchables = (user) => all('/v1/launchable', user.groups ? { groups: user.groups.join(',') } : {});

// isReady reports whether a session of an image waits in a zone, or in any.
export const isReady = (offer, zone) => offer.zones.some((z) => z.ready && (!zone || z.zone === zone));
