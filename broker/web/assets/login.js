// Logging in: with the identity provider, or with a token, which is sent once. From then on a
// cookie that scripts cannot read replaces it.

import { at, call } from './api.js';
import { h } from './dom.js';

// failures are what the page's URL says of a login with the provider that failed, see
// access.LoginFailure. Each says what to do.
const failures = {
  over: () => 'That login took more than 10 minutes, was begun again in another window, or was finished already. Log in again.',
  denied: (provider) => `${provider} did not let you in. Ask its administrator for access to greenroom.`,
  broken: (provider) => `${provider} could not log you in. Log in again, and tell an administrator if that does not help.`,
  refused: (provider) => `${provider} did not confirm this login. Log in again.`,
  client: (provider) => `${provider} does not accept greenroom as an application. An administrator must correct the client of the broker: its log says how.`,
  claims: (provider) => `What ${provider} says of you does not let you in here. Tell an administrator: the log of the broker has the reason.`,
  locked: () => 'You are locked out of greenroom. Ask an administrator to unlock you.',
  long: (provider) => `${provider} sends more groups of yours than a login holds. Ask an administrator to have it send fewer to greenroom.`,
  unavailable: (provider) => `${provider}, or a server of greenroom, does not answer now. Log in again in a moment.`,
  many: () => 'Too many logins failed from your address. Wait a minute, and log in again.',
};

// icon returns where the icon of greenroom is.
export const icon = () => at('/ui/icon.svg').href;

// takeFailure returns why a login with the provider failed, '' if none did, and takes it out of
// the page's URL. What remains is the view that was asked for.
export function takeFailure() {
  const [, why, view = ''] = location.hash.match(/^#login-failed=([a-z]+)(\/.*)?$/) ?? [];
  if (!why) return '';
  history.replaceState(null, '', location.pathname + (view && '#' + view));
  return why;
}

// loginView asks for a login, and calls then once the broker accepts a token. provider is
// where else to log in, if anywhere; why is why such a login failed. leave is called before the
// browser goes to the provider, and returns what the broker needs to lead it back.
export function loginView(then, provider, why, leave) {
  const failed = Object.hasOwn(failures, why) &&
    h('p', { class: 'wrong', role: 'alert' }, failures[why](provider?.name ?? 'The identity provider'));
  return h('main', { class: 'alone' },
    h('img', { src: icon(), alt: '', width: 40, height: 40 }),
    h('h1', null, 'greenroom'),
    failed,
    provider
      ? [h('a', {
        class: 'button primary', href: provider.url,
        // The view in the page's URL may have changed meanwhile.
        onclick: (e) => { e.currentTarget.href = beginAt(provider, leave()); },
      }, `Log in with ${provider.name}`),
        h('details', null, h('summary', null, 'Log in with a token'), tokenForm(then))]
      : tokenForm(then));
}

// beginAt returns the URL at which a login with the provider begins.
function beginAt(provider, way) {
  const url = new URL(provider.url, location.href);
  for (const [name, value] of Object.entries(way)) url.searchParams.set(name, value);
  return url.href;
}

function tokenForm(then) {
  const token = h('input', { id: 'token', type: 'password', autocomplete: 'current-password', spellcheck: 'false', 'aria-describedby': 'token-wrong' });
  const wrong = h('p', { class: 'wrong', id: 'token-wrong', role: 'alert', hidden: true });
  const send = h('button', { type: 'submit', class: 'primary' }, 'Log in');
  return h('form', {
    novalidate: true,
    onsubmit: async (e) => {
      e.preventDefault();
      send.disabled = true;
      try {
        await call('POST', '/v1/login', { token: token.value.trim() });
        token.value = '';
        await then();
      } catch (problem) {
        wrong.textContent = problem.errors[0]?.message ?? problem.message;
        wrong.hidden = false;
        token.setAttribute('aria-invalid', 'true');
        token.focus();
      } finally {
        send.disabled = false;
      }
    },
  },
  h('label', { for: 'token' }, 'Token'), token, wrong, send,
  h('p', { class: 'hint' }, 'An administrator makes one: greenroom token create. The login lasts 12 hours.'));
}
