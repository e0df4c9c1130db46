// The events view: what happens, live.

import { badge, h, when } from './dom.js';
import { sessionLink } from './session_parts.js';

// The most events that are shown, and how far back the view starts.
const most = 300, before = 15 * 60 * 1000;

// The types in the order of a session's life, then the rest.
const kinds = {
  pending: 'wait', starting: 'wait', ready: 'good', claimed: 'mine', assigned: 'mine', restarted: 'bad', reassigned: 'mine', unhealthy: 'bad', recovered: 'mine', idle_soon: 'wait', ending_soon: 'wait', extended: 'mine', waiting_for_room: 'wait', quarantined: 'bad', retiring: 'quiet', ending: 'quiet', ended: 'quiet',
  withdrawn: 'wait', violation: 'wait', hook_failed: 'bad', conditions: 'wait', audit: 'quiet', gap: 'bad',
};

// words describes an event, without its session.
function words(e) {
  const a = e.audit;
  const parts = [
    e.staging && h('a', { href: '#/staging/' + encodeURIComponent(e.staging) }, e.staging),
    e.image && `image ${e.image}`, e.zone && `zone ${e.zone}`, e.user_id && `user ${e.user_id}`,
    e.setting && `${e.setting}, set by the ${e.where}`,
    e.hook && `hook ${e.hook}`,
    e.type === 'conditions' ? null : e.reason,
    a && `${a.action ?? a.operation} ${a.outcome === 'denied' ? 'was denied to' : 'by'} ${a.who}${a.target ? ', ' + a.target : ''}${a.reason ? ': ' + a.reason : ''}`,
    e.type === 'conditions' && ((e.conditions ?? []).map((c) => `${c.type}: ${c.message}`).join('; ') || 'nothing is in the way'),
    e.stderr && h('code', null, e.stderr.trim().slice(-200)),
  ].filter(Boolean);
  return parts.flatMap((p, i) => (i ? [' · ', p] : [p]));
}

// eventLine is an event in a list. In the list of one session's its id is not repeated.
export const eventLine = (e, of) => h('li', null,
  e.at ? when(e.at) : h('span'), badge(e.type.replace('_', ' '), kinds[e.type] ?? 'quiet'),
  h('span', { class: 'what' }, e.session && e.session !== of && [sessionLink(e.session), ' '], words(e)));

export function eventsView(can, params) {
  const types = Object.keys(kinds).filter((t) => t !== 'gap' && (t !== 'audit' || can.audit));
  const chosen = new Set((params.get('type') ?? '').split(',').filter((t) => types.includes(t)));
  const choose = (type) => {
    const next = new Set(chosen);
    if (!next.delete(type)) next.add(type);
    location.hash = '#/events' + (next.size ? '?type=' + [...next].join(',') : '');
  };
  const list = h('ol', { class: 'events', 'aria-label': 'Events, the newest first' });
  const empty = h('p', { class: 'empty' }, 'Nothing has happened in the last 15 minutes.');
  const node = h('div', null,
    h('div', { class: 'head' }, h('h1', null, 'Events')),
    h('div', { class: 'chips', role: 'group', 'aria-label': 'Types' },
      types.map((t) => h('button', { type: 'button', id: 'type-' + t, 'aria-pressed': String(chosen.has(t)), onclick: () => choose(t) }, t.replace('_', ' '))),
      chosen.size > 0 && h('a', { class: 'clear', href: '#/events' }, 'Clear')),
    empty, list);
  let last = '';
  return {
    title: 'Events', node, types: [...chosen],
    since: () => last || `${Date.now() - before}-0`,
    refresh: async () => {},
    event: (e) => {
      // The first gap is expected: the view starts at a time, which is no event's id.
      if (e.type === 'gap' && !last) return;
      last = e.id ?? last;
      empty.hidden = true;
      list.prepend(eventLine(e));
      while (list.children.length > most) list.lastChild.remove();
    },
  };
}
