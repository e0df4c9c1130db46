// The first view of the users' page: the user's sessions, and the images to launch.

import { h } from './dom.js';
import { launchables, ownSessions } from './home_calls.js';
import { imageCards } from './home_images.js';
import { endingSoon, sessionCards, warnings } from './home_sessions.js';
import { endOf, left } from './home_time.js';

// How often the view is read again, while it is looked at and while it is not: ms.
const tick = 4000, tickHidden = 30000;

// overview shows what the user has and may have.
export function overview(user) {
  const soon = () => refresh();
  const alerts = warnings(soon), sessions = sessionCards(soon), images = imageCards();
  const away = h('p', { class: 'away', role: 'alert', hidden: true });
  const mine = h('section', { 'aria-label': 'Your sessions', hidden: true }, h('h2', null, 'Your sessions'), sessions.node);
  const none = h('p', { class: 'empty', hidden: true }, 'There is nothing that you may launch. Ask an administrator for access to an image.');
  const offers = h('section', { 'aria-label': 'Launch' }, h('h2', null, 'Launch'), images.node, none);
  const body = h('div', { hidden: true }, mine, offers);
  const node = h('div', null, h('h1', { class: 'unseen' }, 'Your sessions and images'), away, alerts.node, body);
  let reading = false, stale = false, timer, stopped = false;

  const show = (own, offered) => {
    const ending = endingSoon(own);
    alerts.show(ending);
    sessions.show(own);
    mine.hidden = own.length === 0;
    images.show(offered.map((offer) => ({ offer, has: own.some((s) => s.image === offer.image) })));
    none.hidden = offered.length > 0;
    body.hidden = false;
    document.title = (ending.length ? `${ending[0].image}: ${left(endOf(ending[0]).at)} left – ` : '') + 'greenroom';
  };
  const refresh = async () => {
    if (reading) {
      stale = true;
      return;
    }
    reading = true;
    clearTimeout(timer);
    try {
      const [own, offered] = await Promise.all([ownSessions(user), launchables(user)]);
      if (stopped) return;
      show(own, offered);
      away.hidden = true;
    } catch (problem) {
      if (stopped || problem.status === 401) return;
      away.textContent = problem.status === 403 ? `${problem.message}.` : `What is shown may be old: ${problem.message}.`;
      away.hidden = false;
    } finally {
      reading = false;
      if (!stopped) timer = setTimeout(refresh, stale ? 0 : document.hidden ? tickHidden : tick);
      stale = false;
    }
  };
  return {
    title: '', node,
    start: () => {
      // Who comes back from a session sees at once what has become of it.
      document.addEventListener('visibilitychange', refresh);
      refresh();
    },
    stop: () => {
      stopped = true;
      clearTimeout(timer);
      document.removeEventListener('visibilitychange', refresh);
    },
  };
}
