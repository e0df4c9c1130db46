// The way into a session: it is launched, or found, followed until it is up, and opened in this tab.

import { call } from './api.js';
import { button, fill, h } from './dom.js';
import { homeAt, isOf, isReady, launchAt, launchables, ownSessions } from './home_calls.js';
import { forgetLaunch, launchKey, takeAnother } from './home_key.js';
import { healthy, placing, starting, stepList, yours } from './home_steps.js';
import { tile } from './home_tile.js';
import { asCaller } from './home_user.js';
import { attempt } from './launch.js';
import { over } from './session_parts.js';

// How often a session that is not up is read, and how often a launch is repeated whose answer was
// lost or that another tab makes: ms.
const pause = 700, repeatPause = 1000;
const repeats = 10;
// So much of a URL is shown.
const shownURL = 200;
// What stands in a session's link for its token.
const tokenPlace = '%7Btoken%7D';

const wait = (ms) => new Promise((done) => setTimeout(done, ms));

// looked waits until this page is looked at: a browser that loads it ahead, or in the background,
// launches nothing.
const looked = () => new Promise((done) => {
  const look = () => {
    if (document.hidden || document.prerendering) return;
    for (const event of ['visibilitychange', 'prerenderingchange']) document.removeEventListener(event, look);
    done();
  };
  for (const event of ['visibilitychange', 'prerenderingchange']) document.addEventListener(event, look);
  look();
});

// Stop is thrown where the way ends without a session, with where to go on. It is missing where
// there never was a way.
class Stop extends Error {
  constructor(text, next, missing) {
    super(text);
    Object.assign(this, { next, missing });
  }
}

const missing = (text, next) => new Stop(text, [next], true);

// launchView gives the user a session of an image, the one that the user has or a new one, and
// opens it. params are those of the page's address: url, and zone.
export function launchView(user, image, params) {
  const url = params.get('url') ?? '', zone = params.get('zone') ?? '';
  // It counts for this view alone, also where the way is tried again.
  const another = takeAnother();
  return way(user, image, url && `It opens ${url.length > shownURL ? url.slice(0, shownURL) + '…' : url}`, async (steps, going) => {
    const [own, offers] = await Promise.all([ownSessions(user), launchables(user)]);
    const offer = offers.find((o) => o.image === image);
    if (!offer) throw missing(`There is no image ${image}, or you may not have it.`, linkHome('See what you may launch'));
    const had = another ? undefined : own.find((s) => s.image === image);
    // The session that the user has is shown the URL by a launch.
    if (had && !(url && offer.opens_urls && had.state === 'assigned')) return { session: had };
    const body = {
      image, zone: zone || (offer.zones.find((z) => z.ready) ?? offer.zones[0]).zone, ...(url && { url }), ...asCaller(user),
    };
    steps.at(placing, isReady(offer, body.zone) ? '' : 'None is ready, so one is made for you.');
    const session = await launched(body, another, going);
    return { session, answer: session };
  });
}

// openView opens a session that the user has.
export function openView(user, id) {
  return way(user, '', '', async () => {
    let session;
    try {
      session = await call('GET', '/v1/sessions/' + encodeURIComponent(id));
    } catch (problem) {
      if (problem.status !== 404) throw problem;
    }
    if (!session || !isOf(session, user)) throw missing(`You have no session ${id}, or it ended a while ago.`, linkHome('See your sessions'));
    return { session };
  });
}

const linkHome = (text) => h('a', { class: 'button primary', href: homeAt() }, text);
const toSessions = () => h('a', { class: 'button', href: homeAt() }, 'Your sessions');
const launchAgain = (image) => h('a', { class: 'button primary', href: launchAt(image) }, `Launch ${image} again`);

// sentence makes a message of the API one.
const sentence = (text) => text.charAt(0).toUpperCase() + text.slice(1).replace(/\.?$/, '.');

// why says why a call failed, at the field that it is about if there is one.
const why = (problem) => sentence(problem.errors?.[0] ? `the ${problem.errors[0].field} ${problem.errors[0].message}` : problem.message);

// tried lists the steps of a launch that did not serve.
const tried = (attempts) => attempts.length > 0 &&
  h('details', null, h('summary', null, 'What was tried'), h('ul', null, attempts.map((a) => h('li', null, attempt(a)))));

// launched launches, and repeats that until there is an answer.
async function launched(body, another, going) {
  if (another) forgetLaunch();
  const key = launchKey(body);
  let patience = '0s';
  for (let n = 1; ; n++) {
    try {
      return await call('POST', `/v1/sessions?wait=${patience}`, body, { 'Idempotency-Key': key });
    } catch (problem) {
      // It waits for its turn then; this page gives up on a call after 30 seconds.
      const crowded = problem.code === 'overloaded';
      if (crowded) patience = '20s';
      const mayCome = problem.status === 0 || problem.code === 'idempotency_key_in_flight' || crowded;
      if (mayCome && n < repeats && going()) {
        await wait(repeatPause);
        continue;
      }
      forgetLaunch();
      throw problem;
    }
  }
}

// way shows the steps, and goes them: find returns the session, and the answer to its launch if
// it was launched just now. what says more than the image does.
function way(user, image, what, find) {
  const steps = stepList();
  const title = h('h1', { tabindex: '-1' });
  const picture = h('div', { class: 'picture' });
  const wrong = h('div', { role: 'alert' });
  const next = h('div', { class: 'buttons' });
  // What the broker may refuse is not said before it is accepted.
  const facts = h('p', { class: 'facts', hidden: true }, h('span', null, what));
  const node = h('div', { class: 'way' }, h('div', { class: 'of' }, picture, h('div', { class: 'about' }, title, facts)), steps.node, wrong, next);
  let stopped = false;
  const going = () => !stopped;

  const entitle = (of, text) => {
    fill(picture, of ? tile(of) : null);
    title.textContent = text;
    if (!stopped) document.title = `${text} – greenroom`;
  };
  const stopAt = (text, more, ...buttons) => {
    steps.failed();
    fill(wrong, h('p', { class: 'wrong' }, text), more);
    fill(next, buttons);
    next.querySelector('a, button').focus();
  };
  // follow returns the session once it is up.
  const follow = async (session) => {
    const path = '/v1/sessions/' + encodeURIComponent(session.id);
    let checked = false;
    for (let s = session; going(); s = await read(path)) {
      if (over(s)) {
        forgetLaunch();
        throw new Stop(`The session ended before it was up${s.reason ? ': ' + s.reason : ''}.`, [launchAgain(s.image), toSessions()]);
      }
      if (s.state === 'assigned') return s;
      if (s.state === 'pending') steps.at(placing, s.waits_for_room_until && sentence(s.reason));
      else if (s.failing_check || checked) steps.at(healthy, s.failing_check ? 'Not all of its checks pass yet.' : '');
      else steps.at(starting);
      // Its checks may pass a moment before it is the user's.
      checked ||= Boolean(s.failing_check);
      await wait(pause);
    }
  };
  const go = async () => {
    fill(wrong);
    fill(next);
    steps.node.hidden = false;
    steps.at(placing);
    entitle(image, image ? `Launching ${image}` : 'Opening your session');
    try {
      await looked();
      const { session, answer } = await find(steps, going);
      facts.hidden = !what;
      entitle(session.image, `${answer ? 'Launching' : 'Opening'} ${session.image}`);
      if (over(session)) throw new Stop(`This session has ended${session.reason ? ': ' + session.reason : ''}.`, [launchAgain(session.image), toSessions()]);
      if (session.state !== 'assigned') fill(next, toSessions());
      const up = await follow(session);
      if (!going()) return;
      fill(next);
      steps.at(yours);
      await open(up, answer);
    } catch (problem) {
      if (stopped || problem.status === 401) return;
      if (problem.missing) entitle('', 'Not found');
      // A launch that was not valid never was on its way.
      if (problem.missing || problem.errors?.length) steps.node.hidden = true;
      if (problem instanceof Stop) stopAt(problem.message, null, problem.next);
      else stopAt(why(problem), tried(problem.attempts ?? []), button('Try again', { class: 'primary' }, go), toSessions());
    }
  };
  // open leads this tab to the session. The address of the launch is not kept in its history, so
  // that to go back launches nothing.
  const open = async (session, answer) => {
    let link;
    try {
      link = await call('POST', `/v1/sessions/${encodeURIComponent(session.id)}/link`);
    } catch (problem) {
      if (problem.code !== 'no_gateway') throw problem;
      const now = await call('GET', '/v1/sessions/' + encodeURIComponent(session.id));
      entitle(now.image, `${now.image} is yours`);
      steps.done();
      fill(wrong, withoutGateway(now, answer));
      fill(next, toSessions());
      return;
    }
    if (!going()) return;
    const to = new URL(link.url);
    if (!/^https?:$/.test(to.protocol)) throw new Stop(`The link to the session leads to ${to.protocol}, which this page does not open.`, [toSessions()]);
    location.replace(to);
  };
  return { title: '', node, start: () => { title.focus(); go(); }, stop: () => { stopped = true; } };
}

// read reads a session, and once more where the broker did not answer.
async function read(path) {
  try {
    return await call('GET', path);
  } catch (problem) {
    if (problem.status !== 0 && problem.status < 500) throw problem;
    await wait(repeatPause);
    return call('GET', path);
  }
}

// withoutGateway says how a session is opened where no gateway leads there: by the image's own
// link, if it has one.
function withoutGateway(s, answer) {
  const asks = s.link?.includes(tokenPlace);
  const link = answer ? s.link?.replaceAll(tokenPlace, encodeURIComponent(answer.token)) : s.link;
  const opens = (!asks || answer) && /^https?:/.test(link ?? '');
  const ports = Object.entries(s.ports ?? {}).map(([label, port]) => `${label} ${port}`).join(', ');
  return h('div', { class: 'boxed' },
    opens && h('p', null, h('a', { class: 'button primary', href: link, rel: 'noreferrer' }, `Open ${s.image}`)),
    s.link ? h('p', null, 'Its image has it open at ', h('code', null, s.link.replaceAll(tokenPlace, 'TOKEN')), asks && !answer ? '. Its launch alone had the TOKEN: end it, and launch another.' : '.')
      : h('p', null, 'It runs at ', h('code', null, s.address), ports && ` (ports: ${ports})`, ', and its image has no link for browsers.'),
    h('p', { class: 'hint' }, 'No gateway leads browsers to sessions here. For an operator: run the brokers with ', h('code', null, '--gateway'),
      ', or a ', h('code', null, 'greenroom gateway'), ' beside them, and set its address for the brokers with ', h('code', null, '--gateway-url'), ' or ',
      h('code', null, '--gateway-domain'), '.'));
}
