// The way into a page: who is logged in, the login where nobody is, and the broker that is away.

import { call, signedOut } from './api.js';
import { h } from './dom.js';
import { loginView, takeFailure } from './login.js';

// enter shows a page to who is logged in: shell(self, login) shows it and returns what takes it
// away; login shows the login in its place. way(failed) returns what the broker needs to lead the
// browser back after a login with the provider; failed says that one led here that failed.
export function enter(shell, way) {
  let leave = () => {};
  // Why the login that led here failed; '' if it did not.
  let failure = takeFailure();

  const stop = () => {
    window.removeEventListener(signedOut, login);
    leave();
    leave = () => {};
    for (const dialog of document.querySelectorAll('dialog')) dialog.close();
  };
  const start = async () => {
    stop();
    let self;
    try {
      self = await call('GET', '/v1/self');
    } catch (problem) {
      return problem.status === 401 ? login() : away(problem);
    }
    failure = '';
    window.addEventListener(signedOut, login);
    leave = shell(self, login);
  };
  const login = async () => {
    stop();
    document.title = 'Log in – greenroom';
    let provider;
    try {
      ({ provider } = await call('GET', '/v1/login'));
    } catch (problem) {
      return away(problem);
    }
    const failed = failure;
    failure = '';
    document.body.replaceChildren(loginView(start, provider, failed, () => way(Boolean(failed))));
    document.querySelector('main .primary').focus();
    if (!provider) document.querySelector('input').focus();
  };
  const away = (problem) => {
    document.body.replaceChildren(h('main', { class: 'alone' },
      h('h1', null, 'greenroom'), h('p', { class: 'wrong', role: 'alert' }, `${problem.message}; trying again.`)));
    setTimeout(start, 2000);
  };
  start();
}
