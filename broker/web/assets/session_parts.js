// What the list of sessions, a session's own view and the events show alike.

import { call } from './api.js';
import { badge, h } from './dom.js';
import { ask, tell } from './dialog.js';

const kinds = {
  pending: 'wait', starting: 'wait', ready: 'good', claimed: 'mine', assigned: 'mine', quarantined: 'bad', retiring: 'quiet', ending: 'quiet', ended: 'quiet',
};

// sessionAt is the address of a session's view, sessionLink a link to it.
export const sessionAt = (id) => '#/sessions/' + encodeURIComponent(id);
export const sessionLink = (id) => h('a', { class: 'mono', href: sessionAt(id) }, id);

export const stateOf = (s) => badge(s.state, kinds[s.state]);

// over reports whether a session's end has begun.
export const over = (s) => ['retiring', 'ending', 'ended'].includes(s.state);

// end ends a session after a question, and calls then.
export function end(s, then) {
  const theirs = s.user ? `${s.user.name || s.user.id} loses it at once.` : 'Nobody has it; its pool makes another.';
  ask('End this session?', `${s.id} of image ${s.image} in zone ${s.zone}. ${theirs}`, 'End session', async () => {
    await call('DELETE', '/v1/sessions/' + encodeURIComponent(s.id));
    tell(`Session ${s.id} is being ended.`);
    then();
  });
}
