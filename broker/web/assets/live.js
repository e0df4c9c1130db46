// Follows GET /v1/events. It uses fetch instead of EventSource, which never retries after an
// answer that is not a success, and cannot start at a chosen event.

import { at, problemOf, signedOut } from './api.js';

// After this long without data the connection counts as dead: the broker sends a comment
// every 15 seconds.
const silence = 40000;
const firstPause = 500, longestPause = 10000;

// follow reads events until it is stopped, and resumes where it was after a lost connection.
// options: types to request; since, the id to continue after; onEvent(event); and
// onLive(whether the stream is connected).
export function follow({ types = [], since = '', onEvent, onLive }) {
  const stopped = new AbortController();
  read({ types, since, onEvent, onLive, stopped: stopped.signal });
  return () => stopped.abort();
}

async function read({ types, since, onEvent, onLive, stopped }) {
  let last = since, pause = firstPause;
  while (!stopped.aborted) {
    const dead = new AbortController();
    let timer;
    const heard = () => {
      clearTimeout(timer);
      timer = setTimeout(() => dead.abort(), silence);
    };
    try {
      heard();
      const url = at('/v1/events');
      if (types.length) url.searchParams.set('type', types.join(','));
      const response = await fetch(url, {
        cache: 'no-store', headers: last ? { 'Last-Event-ID': last } : {}, signal: AbortSignal.any([stopped, dead.signal]),
      });
      if (!response.ok) {
        const problem = await problemOf(response);
        if (problem.status === 401) window.dispatchEvent(new Event(signedOut));
        throw problem;
      }
      onLive(true);
      pause = firstPause;
      for await (const message of messages(response.body, heard)) {
        if (message.id) last = message.id;
        if (message.data && !stopped.aborted) onEvent(JSON.parse(message.data));
      }
    } catch {
      // Whatever the error is, the stream is retried; until then the page shows that it is not live.
    } finally {
      clearTimeout(timer);
      dead.abort();
    }
    if (stopped.aborted) return;
    onLive(false);
    const wait = pause * (0.5 + Math.random());
    await new Promise((done) => setTimeout(done, wait));
    pause = Math.min(2 * pause, longestPause);
  }
}

// messages parses server-sent events.
async function* messages(body, heard) {
  const reader = body.pipeThrough(new TextDecoderStream()).getReader();
  let text = '', message = { id: '', data: '' };
  for (;;) {
    const { value, done } = await reader.read();
    if (done) return;
    heard();
    text += value;
    const lines = text.split('\n');
    text = lines.pop();
    for (const line of lines) {
      if (line === '') {
        yield message;
        message = { id: '', data: '' };
      } else if (line.startsWith('id: ')) {
        message.id = line.slice(4);
      } else if (line.startsWith('data: ')) {
        message.data += line.slice(6);
      }
    }
  }
}
