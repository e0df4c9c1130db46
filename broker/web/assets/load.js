// Sees to it that the page's modules load. A browser drops requests when its network changes, as in
// a train, or beside a Docker that starts containers, and asks for no module again that failed once.
// So the page begins anew, a few times, and then says what to do. This is no module, so that it
// runs where one is missing; it comes before them, so that it misses no failure.
{
  const pauses = [100, 500, 2000, 5000]; // ms
  const key = 'greenroom.loads';
  const store = (count) => {
    try {
      if (count === undefined) return Number(sessionStorage.getItem(key) ?? 0);
      sessionStorage.setItem(key, count);
      return count;
    } catch {
      // Where the browser stores nothing, nothing would end the tries.
      return pauses.length;
    }
  };
  const isModule = (e) => e.target instanceof HTMLScriptElement && e.target.type === 'module';
  const say = () => {
    const again = document.createElement('button');
    again.type = 'button';
    again.textContent = 'Load it again';
    again.addEventListener('click', () => location.reload());
    const words = document.createElement('p');
    words.setAttribute('role', 'alert');
    words.textContent = 'A part of this page could not be loaded: the network or the server dropped it. Load the page again; if that does not help, tell an administrator.';
    document.getElementById('loading').replaceChildren(words, again);
  };
  // These events do not bubble, and that of a load never gets to the window.
  document.addEventListener('load', (e) => { if (isModule(e)) store(0); }, true);
  document.addEventListener('error', (e) => {
    if (!isModule(e)) return;
    const tried = store();
    if (tried < pauses.length && store(tried + 1) === tried + 1) {
      setTimeout(() => location.reload(), pauses[tried]);
      return;
    }
    store(0);
    if (document.readyState === 'loading') document.addEventListener('DOMContentLoaded', say);
    else say();
  }, true);
}
