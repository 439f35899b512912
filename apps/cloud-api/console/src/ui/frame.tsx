import { type ComponentChildren } from 'preact';
import { Link, useLocation } from 'wouter-preact';
import { api, ApiError, me, type Role } from '../api.js';
import { mayDo } from '../roles.js';
import { LiveState } from '../live/live-state.js';
import { forgetStored } from '../hooks/use-stored.js';
import { title } from '../hooks/use-title.js';
import { Notices, tellError } from './notices.js';

const PAGES: readonly { readonly path: string; readonly title: string; readonly role: Role }[] = [
  { path: '/', title: 'Overview', role: 'viewer' },
  { path: '/devices', title: 'Devices', role: 'viewer' },
  { path: '/enrol', title: 'Enrol', role: 'operator' },
  { path: '/operators', title: 'Operators', role: 'admin' },
  { path: '/api-keys', title: 'API keys', role: 'admin' },
  { path: '/audit', title: 'Audit', role: 'operator' },
];

/**
 * What is around each page: where one can go, who one is, and whether the page is live. Screen readers say where one has gone:
 * the page is not loaded anew.
 */
export function Frame({ children }: { readonly children: ComponentChildren }) {
  const [location] = useLocation();
  const isHere = (path: string): boolean =>
    location === path || (path !== '/' && location.startsWith(`${path}/`));
  return (
    <>
      <a class="skip" href="#content">
        Skip to the content
      </a>
      <header class="frame">
        <strong class="brand">Fedecks</strong>
        <nav aria-label="Pages">
          {PAGES.filter(({ role }) => mayDo(role)).map(({ path, title }) => (
            <Link key={path} href={path} aria-current={isHere(path) ? 'page' : undefined}>
              {title}
            </Link>
          ))}
        </nav>
        <LiveState />
        <details
          class="menu"
          // Closed again at another page.
          key={location}
          onKeyDown={({ key, currentTarget }) => {
            if (key === 'Escape') currentTarget.open = false;
          }}
        >
          <summary>{me.value?.name}</summary>
          <div class="menu-content">
            <span class="quiet">{me.value?.role}</span>
            <Link href="/password">My password</Link>
            <button type="button" onClick={() => void logOut()}>
              Log out
            </button>
          </div>
        </details>
      </header>
      <main id="content" tabIndex={-1}>
        {children}
      </main>
      <Notices />
      <p class="hidden" role="status">
        {title}
      </p>
    </>
  );
}

async function logOut(): Promise<void> {
  try {
    await api('POST', 'logout');
  } catch (error) {
    const hasEnded = error instanceof ApiError && error.status === 401;
    if (!hasEnded) {
      tellError(error);
      return;
    }
  }
  forgetStored();
  me.value = null;
}
