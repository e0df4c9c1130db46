// Launching a session for a user, as an administrator. The answer is shown at the session's
// own address, since it alone has the session's token.

import { all, call } from './api.js';
import { edit } from './form.js';
import { sessionAt } from './session_parts.js';

// answer is that of the latest launch.
let answer;

// launchedAs returns the answer to the launch of a session, if it was the latest of this page.
export const launchedAs = (id) => (answer?.id === id ? answer : undefined);

const ways = { existing: 'the session that the user had', staged: 'a staged session', on_demand: 'a session on demand' };
// attempt says how a step of a launch went.
export const attempt = (a) => `${ways[a.step] ?? a.step} in zone ${a.zone}: ${a.outcome.replace('_', ' ')}${a.reason ? ', ' + a.reason : ''}`;

// served says how a launch was served.
export const served = (a) => `Launched in ${Math.round(a.timings_ms.total)} ms: ${a.attempts.map(attempt).join('; ')}.`;

// launch opens the form of a launch.
export async function launch() {
  const [images, zones, groups] = await Promise.all([all('/v1/images'), all('/v1/zones'), all('/v1/groups')]);
  const names = (items) => items.map((i) => [i.name]);
  edit({
    title: 'Launch a session as a user',
    submit: 'Launch',
    value: { image: images[0]?.name, zone: zones[0]?.name },
    sections: [{
      fields: [
        { name: 'image', label: 'Image', kind: 'select', options: names(images) },
        { name: 'selector', label: 'Selector', kind: 'text', placeholder: 'tier in (gold, silver), !gpu', hint: 'By labels, instead of the image.' },
        { name: 'zone', label: 'Zone', kind: 'select', options: names(zones) },
        { name: 'user.id', label: 'User id', kind: 'text', placeholder: 'u-1' },
        { name: 'user.name', label: 'User name', kind: 'text', placeholder: 'alice' },
        { name: 'groups', label: 'Groups', kind: 'words', placeholder: names(groups).slice(0, 2).join(', ') || 'none', hint: 'Of the user; empty for the default group.' },
        { name: 'skip_staged', label: 'Skip staged', kind: 'no', hint: 'Make a fresh session on demand.' },
        { name: 'wait_for_room', label: 'Wait for room', kind: 'duration', placeholder: '2m', hint: 'How long it may wait, queued in Nomad, if no node can take it; empty for what the image or the groups say.' },
        { name: 'url', label: 'URL', kind: 'text', placeholder: 'https://example.org', hint: 'What the image\'s hooks show the user.' },
      ],
    }],
    save: async (asked) => {
      try {
        // Not the broker's whole wait: this page gives up on a call after 30 seconds.
        answer = await call('POST', '/v1/sessions?wait=20s', asked.selector ? { ...asked, image: undefined } : asked);
      } catch (problem) {
        const tried = (problem.attempts ?? []).map((a) => '• ' + attempt(a));
        problem.message = [problem.message, ...tried].join('\n');
        throw problem;
      }
      location.hash = sessionAt(answer.id);
    },
  });
}
