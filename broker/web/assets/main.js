// The page around the views: the user who is logged in, the current view, and whether it is live.

import { at, call } from './api.js';
import { h, button } from './dom.js';
import { enter } from './enter.js';
import { follow } from './live.js';
import { icon } from './login.js';
import { poolView, stagingView } from './staging.js';
import { sessionsView } from './sessions.js';
import { sessionView } from './session.js';
import { missingView } from './missing.js';
import { tokensView } from './tokens.js';
import { groupsView, imagesView, zonesView } from './resources.js';
import { webhooksView } from './webhooks.js';
import { eventsView } from './events.js';

// How often a view is read again without an event, while live and while not: ms.
const tickLive = 5000, tickBlind = 3000;
// Events come in bursts: this long after one the view is read again, once.
const settle = 250;

// The views, by the first part of their address. one makes that of a single item, whose name is
// the rest of the address; those without one have no such addresses.
const views = {
  staging: { label: 'Staging', make: stagingView, one: poolView },
  sessions: { label: 'Sessions', make: sessionsView, one: sessionView },
  zones: { label: 'Zones', make: zonesView },
  images: { label: 'Images', make: imagesView },
  groups: { label: 'Groups', make: groupsView },
  events: { label: 'Events', make: eventsView },
  tokens: { label: 'Tokens', make: tokensView },
  webhooks: { label: 'Webhooks', make: webhooksView },
};

// may returns what a caller may do. It only hides buttons; the API enforces the rules.
function may({ role, scope }) {
  return {
    edit: role === 'admin',
    // Audit records are about all of the installation.
    audit: role === 'admin' && !scope,
    end: role === 'admin' || role === 'launcher' || role === 'user',
    // With a user's own token, only that user's sessions are visible.
    views: role === 'user' ? ['sessions'] : Object.keys(views).filter((name) => (name !== 'tokens' || role === 'admin') && (name !== 'webhooks' || role === 'admin' && !scope)),
    follow: role !== 'user',
  };
}

// viewAt returns the view at an address, such as #/sessions?state=ready, and the name of the
// view that it belongs to.
function viewAt(can, address) {
  const [path, query] = address.slice(2).split('?');
  const [name, ...rest] = path.split('/');
  const known = address.startsWith('#/') && can.views.includes(name) && views[name];
  let item = rest.join('/');
  try {
    item = decodeURIComponent(item);
  } catch {
    // An address that was cut in the middle of a character is that of nothing.
  }
  if (known && !item) return [name, known.make(can, new URLSearchParams(query))];
  if (known?.one) return [name, known.one(can, item)];
  return ['', missingView(address, can.views[0], views[can.views[0]].label)];
}

// shell shows the page to who is logged in, and returns what takes it away.
function shell(self, login) {
  const can = may(self);
  const links = can.views.map((name) => h('a', { href: '#/' + name, 'data-view': name }, views[name].label));
  const live = h('p', { class: 'live', role: 'status' });
  const main = h('main', { id: 'main', tabindex: '-1' });
  const away = h('p', { class: 'away', role: 'alert', hidden: true });
  const who = self.guarded
    ? h('div', { class: 'who' },
      h('span', { title: self.who }, h('b', null, self.name || self.who), h('small', null, self.role)),
      button('Log out', { class: 'plain' }, async () => {
        await call('DELETE', '/v1/login');
        login();
      }))
    : h('div', { class: 'who' }, h('span', null, 'open access'));
  document.body.replaceChildren(
    h('button', { class: 'skip', type: 'button', onclick: () => main.focus() }, 'Skip to content'),
    h('header', null,
      h('a', { class: 'brand', href: '#/' + can.views[0] }, h('img', { src: icon(), alt: '', width: 20, height: 20 }), 'greenroom'),
      h('nav', { 'aria-label': 'Views' }, links),
      h('div', { class: 'foot' }, live, h('a', { href: at('/').href }, 'Users’ page'), who)),
    h('div', { class: 'page' }, away, main),
    h('div', { id: 'told', role: 'status', 'aria-live': 'polite' }));

  let view, unfollow = () => {}, followed = '', tick, again, reading = false, stale = false;

  const setLive = (on) => {
    const words = on ? 'Live' : can.follow ? 'Not live: reconnecting…' : 'Read every few seconds';
    if (live.textContent !== words) {
      live.className = 'live ' + (on ? 'on' : 'off');
      live.textContent = words;
    }
    clearInterval(tick);
    tick = setInterval(() => document.hidden || refresh(), on ? tickLive : tickBlind);
  };
  const refresh = async () => {
    if (reading) {
      stale = true;
      return;
    }
    reading = true;
    const shown = view;
    try {
      await shown.refresh();
      away.hidden = true;
    } catch (problem) {
      if (problem.status !== 401 && shown === view) {
        away.textContent = `What is shown may be old: ${problem.message}.`;
        away.hidden = false;
      }
    } finally {
      reading = false;
      if (stale) {
        stale = false;
        soon();
      }
    }
  };
  const soon = () => {
    clearTimeout(again);
    again = setTimeout(refresh, settle);
  };
  // Views that follow all events share one stream.
  const listen = () => {
    if (followed === 'all' && !view.since && !document.hidden) return;
    unfollow();
    followed = '';
    if (!can.follow || document.hidden) return setLive(false);
    followed = view.since ? 'some' : 'all';
    if (!live.textContent) setLive(false);
    unfollow = follow({
      types: view.types ?? [], since: view.since?.() ?? '',
      onEvent: (e) => {
        // A view that shows one session says which events are not about it.
        const about = view.event?.(e);
        if (e.type !== 'gap' && about !== false) soon();
      },
      onLive: (on) => {
        setLive(on);
        // Read what happened before the stream was connected.
        if (on) soon();
      },
    });
  };
  const route = () => {
    if (location.hash.replace(/^#\/?/, '') === '') {
      location.replace('#/' + can.views[0]);
      return;
    }
    let name;
    [name, view] = viewAt(can, location.hash);
    view.changed = soon;
    for (const link of links) link.toggleAttribute('aria-current', link.dataset.view === name);
    for (const link of links) if (link.dataset.view === name) link.setAttribute('aria-current', 'page');
    document.title = `${view.title} – greenroom`;
    const focused = document.activeElement?.id;
    main.replaceChildren(view.node);
    // The focus stays in the filter that was changed.
    if (focused) document.getElementById(focused)?.focus();
    refresh();
    listen();
  };
  window.addEventListener('hashchange', route);
  // A hidden page holds no connection.
  document.addEventListener('visibilitychange', listen);
  route();
  return () => {
    window.removeEventListener('hashchange', route);
    document.removeEventListener('visibilitychange', listen);
    clearInterval(tick);
    clearTimeout(again);
    unfollow();
  };
}

// The login leads back to the view that is open.
enter(shell, () => (location.hash.startsWith('#/') ? { view: location.hash.slice(1) } : {}));
