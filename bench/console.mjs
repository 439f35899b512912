// How fast the console of apps/cloud-api is in Chromium, with 10,000 devices in the database.
//   npm run build && DATABASE_URL=postgres://postgres@127.0.0.1:5432/bench node bench/console.mjs
// The database must be empty: the app makes its tables in it, and this script fills them. CHROMIUM names another browser.
import { chromium } from 'playwright-core';
import { API_KEY, DEVICES, fill, startCloudApi } from './cloud-api-process.mjs';

const VISITS = 20;
const SCROLL_MS = 5_000;
const LONG_MS = 50;
const PASSWORD = 'correct horse battery';

const { origin } = await startCloudApi();
await fill(DEVICES);
const browser = await chromium.launch({
  executablePath: process.env.CHROMIUM ?? '/usr/bin/chromium',
  args: ['--no-sandbox'],
});
const cookies = await logIn();

console.log('ms, median and worst of 20 new browsers       first paint     interactive       responds');
for (const [name, path, isLoggedIn, control] of [
  ['the login', '/', false, 'input[name=name]'],
  ['the overview, logged in', '/', true, 'details.menu > summary'],
  ['10,000 devices, logged in', '/devices', true, 'details.menu > summary'],
]) {
  const visits = [];
  // The first warms up the app.
  for (let visit = 0; visit <= VISITS; visit++) visits.push(await open(path, isLoggedIn, control));
  const shown = ['paint', 'interactive', 'responds'].map((what) => {
    const times = visits.slice(1).map((times) => times[what]);
    return medianAndWorst(times).padStart(16);
  });
  console.log(`${name.padEnd(40)} ${shown.join('')}`);
}

const frames = await scroll();
const long = frames.filter((ms) => ms > LONG_MS);
console.log(
  `\n10,000 devices, wheel for ${SCROLL_MS / 1_000} s: ${frames.length} frames, the longest ${Math.max(...frames).toFixed(1)} ms, ` +
    `${long.length} over ${LONG_MS} ms`,
);
await browser.close();
process.exit(0);

async function logIn() {
  const who = { name: 'ada', password: PASSWORD };
  await post('operators', { ...who, role: 'admin' }, { 'x-api-key': API_KEY });
  const [cookie] = (await post('login', who)).headers.getSetCookie();
  const [name, value] = cookie.split(';')[0].split('=');
  return [{ name, value, url: origin }];
}

async function post(path, body, headers = {}) {
  const response = await fetch(`${origin}/api/v1/${path}`, {
    method: 'POST',
    headers: { 'content-type': 'application/json', ...headers },
    body: JSON.stringify(body),
  });
  if (!response.ok) throw new Error(`${path}: ${response.status}`);
  return response;
}

/** Opens a page in a browser that knows nothing, clicks as soon as there is something to click, and says when that had an effect. */
async function open(path, isLoggedIn, control) {
  const context = await browser.newContext();
  if (isLoggedIn) await context.addCookies(cookies);
  const page = await context.newPage();
  await page.addInitScript(watchForControl, control);
  await page.goto(origin + path);
  const responds = await page.evaluate('globalThis.responds');
  const times = await page.evaluate(`({
    paint: performance.getEntriesByName('first-contentful-paint')[0].startTime,
    interactive: performance.getEntriesByType('navigation')[0].domInteractive,
  })`);
  await context.close();
  return { ...times, responds };
}

/** In the page: resolves with the time, since the navigation began, at which a frame has shown the effect of the first click. */
function watchForControl(selector) {
  globalThis.responds = new Promise((resolve) => {
    const look = () => {
      const control = globalThis.document.querySelector(selector);
      if (!control) return globalThis.requestAnimationFrame(look);
      control.click();
      control.focus();
      globalThis.requestAnimationFrame(() => setTimeout(() => resolve(performance.now())));
    };
    look();
  });
}

/** Turns the wheel over the list, down to its end and up again, and returns how long each frame took. */
async function scroll() {
  const page = await (await browser.newContext({ viewport: { width: 1280, height: 800 } })).newPage();
  await page.context().addCookies(cookies);
  await page.goto(`${origin}/devices`);
  const list = page.getByRole('list', { name: 'Devices' });
  for (let loaded = 500; loaded <= 10_000; loaded += 500) {
    await list.locator(`[aria-setsize="${loaded}"]`).first().waitFor();
    await list.press('End');
  }
  await list.press('Home');
  await list.hover();
  await page.evaluate(`{
    globalThis.frames = [];
    let last = performance.now();
    const look = (now) => { globalThis.frames.push(now - last); last = now; requestAnimationFrame(look); };
    requestAnimationFrame(look);
  }`);
  const end = performance.now() + SCROLL_MS;
  for (let turn = 0; performance.now() < end; turn++) await page.mouse.wheel(0, turn % 100 < 50 ? 900 : -700);
  return page.evaluate('globalThis.frames');
}

function medianAndWorst(times) {
  const sorted = times.toSorted((a, b) => a - b);
  return `${sorted[Math.floor(sorted.length / 2)].toFixed(0)}, ${sorted.at(-1).toFixed(0)}`;
}
