// The users' page around its views: who the user is, and which view the address names.

import { at, call } from './api.js';
import { button, fill, h } from './dom.js';
import { enter } from './enter.js';
import { homeAt } from './home_calls.js';
import { launchView, openView } from './home_launch.js';
import { overview } from './home_overview.js';
import { forgetName, nameView, userOf } from './home_user.js';
import { icon } from './login.js';

// For so long a login with the provider may take: ms.
const loginLife = 10 * 60 * 1000;
// The tab's own store has where a login is to lead back to: an address may be longer than what
// the broker keeps of it.
const wayBack = 'greenroom.way-back';

// stored returns where a login is to lead back to, if one was begun in this tab lately.
function stored() {
  try {
    const last = JSON.parse(sessionStorage.getItem(wayBack));
    return last && Date.now() - last.at < loginLife ? last : undefined;
  } catch {
    return undefined;
  }
}

// leave notes where this page is. One to which a login that failed led is not what was asked for.
function leave(failed) {
  const to = (failed && stored()?.to) || location.pathname + location.search + location.hash;
  try {
    sessionStorage.setItem(wayBack, JSON.stringify({ to, at: Date.now() }));
  } catch {
    // Where the browser stores nothing, the login leads to the first view.
  }
  return { page: 'users' };
}

// back returns where to go on after a login; '' for here. It counts once.
function back() {
  const last = stored();
  if (!last) return '';
  sessionStorage.removeItem(wayBack);
  // It is a path of this page: before it stands this host, whatever the path says.
  const there = new URL(at('/').origin + last.to);
  return location.pathname === at('/').pathname && there.href !== location.href ? there.href : '';
}

// viewAt returns the view at this page's address.
function viewAt(user) {
  const base = at('/').pathname;
  const [kind, item, ...more] = location.pathname.slice(base.length).split('/');
  if (location.pathname.startsWith(base) && more.length === 0) {
    if (kind === '' && item === undefined) return overview(user);
    const name = decoded(item);
    if (kind === 'launch' && name) return launchView(user, name, new URLSearchParams(location.search));
    if (kind === 'open' && name) return openView(user, name);
  }
  return {
    title: 'Not found',
    node: h('div', { class: 'way' }, h('h1', null, 'Not found'),
      h('p', null, `There is nothing at ${location.pathname}.`),
      h('div', { class: 'buttons' }, h('a', { class: 'button primary', href: homeAt() }, 'Go to your sessions'))),
  };
}

function decoded(text) {
  try {
    return decodeURIComponent(text ?? '');
  } catch {
    return ''; // an address that was cut in the middle of a character is that of nothing
  }
}

function shell(self, login) {
  const to = back();
  if (to) {
    location.replace(to);
    return () => {};
  }
  const main = h('main', { id: 'main', tabindex: '-1' });
  const who = h('div', { class: 'who' });
  document.body.replaceChildren(
    h('button', { class: 'skip', type: 'button', onclick: () => main.focus() }, 'Skip to content'),
    h('header', null,
      h('a', { class: 'brand', href: homeAt() }, h('img', { src: icon(), alt: '', width: 24, height: 24 }), 'greenroom'),
      who),
    main,
    h('div', { id: 'told', role: 'status', 'aria-live': 'polite' }));
  let view;
  const show = () => {
    view?.stop?.();
    const user = userOf(self);
    fill(who,
      self.role === 'user' ? null : h('a', { href: at('/ui/').href }, 'Operators’ page'),
      user?.name ? h('b', null, user.name) : null,
      user?.asked ? button('Change name', { class: 'plain' }, () => {
        forgetName();
        show();
      }) : null,
      self.guarded ? button('Log out', { class: 'plain' }, async () => {
        await call('DELETE', '/v1/login');
        login();
      }) : null);
    view = user ? viewAt(user) : nameView(self, show);
    document.title = (view.title ? view.title + ' – ' : '') + 'greenroom';
    main.replaceChildren(view.node);
    view.start?.();
  };
  show();
  return () => view.stop?.();
}

enter(shell, leave);
