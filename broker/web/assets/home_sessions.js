// The user's sessions: how each is, how long it goes on, and the ways to open and to end it.

import { call } from './api.js';
import { ask, tell } from './dialog.js';
import { badge, button, fill, h } from './dom.js';
import { openAt, since } from './home_calls.js';
import { cards } from './home_cards.js';
import { forgetLaunch } from './home_key.js';
import { tile } from './home_tile.js';
import { clock, endOf, extendedEnd, left } from './home_time.js';

// stateOf says in a word how a session is.
function stateOf(s) {
  if (s.state === 'quarantined') return badge('on hold', 'bad');
  if (s.waits_for_room_until) return badge('waiting for room', 'wait');
  if (s.state !== 'assigned') return badge('starting', 'wait');
  if (s.restarted_at) return badge('restarting', 'wait');
  return s.healthy === false ? badge('does not answer', 'bad') : badge('running', 'good');
}

// timeOf says how long a session goes on.
function timeOf(s) {
  const end = endOf(s);
  if (s.state !== 'assigned') return null;
  if (!end) return h('span', null, 'no time limit');
  return h('time', { class: end.warned ? 'soon' : undefined, datetime: new Date(end.at).toISOString(), title: `until ${clock(end.at)}` }, `${left(end.at)} left`);
}

// named tells a session from the user's others of its image.
const named = (s) => `${s.image}, launched ${clock(since(s))}`;

// sessionCards makes the list of the user's sessions; changed is called when one is being ended.
export function sessionCards(changed) {
  return cards({ class: 'cards', 'aria-label': 'Your sessions' }, (s) => s.id, (first) => {
    let current = first;
    const facts = h('p', { class: 'facts' });
    const end = () => ask('End this session?', `${named(current)}: it ends at once, and what is saved in it alone is lost.`, 'End session', async () => {
      await call('DELETE', '/v1/sessions/' + encodeURIComponent(current.id));
      forgetLaunch();
      tell(`${current.image} is being ended.`);
      changed();
    });
    const node = h('li', { class: 'card' },
      tile(first.image),
      h('div', { class: 'about' }, h('h3', null, first.image), facts),
      h('div', { class: 'buttons' },
        h('a', { class: 'button primary', href: openAt(first.id), target: '_blank', rel: 'noopener', 'aria-label': `Open ${named(first)}, in a new tab` }, 'Open'),
        button('End', { 'aria-label': `End ${named(first)}` }, end)));
    return {
      node,
      show: (s) => {
        current = s;
        fill(facts, stateOf(s), s.waits_for_room_until ? h('span', null, s.reason.replace('waiting for room: ', '')) : timeOf(s), h('span', null, s.zone), h('span', null, `since ${clock(since(s))}`),
          s.visited_at ? h('span', null, `opened ${clock(s.visited_at)}`) : null);
      },
    };
  });
}

// warnings makes the list of the ends that are near.
export function warnings(changed) {
  return cards({ class: 'warnings', role: 'alert' }, (s) => s.id, (first) => {
    const text = h('p');
    let current = first;
    const stay = button('Keep it', { 'aria-label': `Keep ${first.image}` }, async () => {
      const at = `/v1/sessions/${encodeURIComponent(current.id)}`;
      try {
        if (endOf(current).kept) await call('POST', at + '/keepalive');
        else await call('POST', at + '/extend', { until: new Date(extendedEnd(current)).toISOString() });
        changed();
      } catch (problem) {
        tell(problem.message);
      }
    });
    const node = h('li', null, text, h('div', { class: 'buttons' }, stay));
    return {
      node,
      show: (s) => {
        current = s;
        const end = endOf(s);
        const later = extendedEnd(s);
        stay.hidden = !end.kept && !later;
        stay.textContent = end.kept || !later ? 'Keep it' : `Extend to ${clock(later)}`;
        stay.setAttribute('aria-label', `${end.kept || !later ? 'Keep' : 'Extend'} ${s.image}`);
        const advice = later ? `Extend it, or save your work.` : 'Save your work.';
        fill(text, h('strong', null, `${s.image} ends in ${left(end.at)}`), `, at ${clock(end.at)}: ${end.why}. `, end.kept ? 'Open it, or keep it.' : advice);
      },
    };
  });
}

// endingSoon returns those sessions whose ends are near, the nearest first.
export const endingSoon = (sessions) => sessions.filter((s) => s.state === 'assigned' && endOf(s)?.warned).sort((a, b) => endOf(a).at - endOf(b).at);
