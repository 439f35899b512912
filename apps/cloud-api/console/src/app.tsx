import { useEffect, useState } from 'preact/hooks';
import { Route, Switch, useLocation } from 'wouter-preact';
import { api, type Me, me } from './api.js';
import { useTitle } from './hooks/use-title.js';
import { AuditPage } from './pages/audit.js';
import { DevicePage } from './pages/device.js';
import { DevicesPage } from './pages/devices.js';
import { EnrolPage } from './pages/enrol.js';
import { LoginPage } from './pages/login.js';
import { MyPasswordPage } from './pages/my-password.js';
import { ApiKeysPage } from './pages/api-keys.js';
import { OperatorsPage } from './pages/operators.js';
import { OverviewPage } from './pages/overview.js';
import { SetupPage } from './pages/setup.js';
import { Empty } from './ui/empty.js';
import { Frame } from './ui/frame.js';
import { Problem } from './ui/problem.js';

/** How long, in milliseconds, until a cloud that did not answer is asked again. */
const RETRY_MS = 3_000;

/** The console: the login until somebody is logged in, then the page that the address names. */
export function App() {
  const [location] = useLocation();
  const { error, askAgain } = useMe();
  if (location === '/setup') return <SetupPage />;
  if (me.value === undefined) return error ? <Unknown error={error} onRetry={askAgain} /> : <Asking />;
  if (me.value === null) return <LoginPage />;
  return (
    <Frame>
      <Switch>
        <Route path="/" component={OverviewPage} />
        <Route path="/devices" component={DevicesPage} />
        <Route path="/devices/:id">{() => <DevicePage key={deviceInPath()} id={deviceInPath()} />}</Route>
        <Route path="/enrol" component={EnrolPage} />
        <Route path="/operators" component={OperatorsPage} />
        <Route path="/api-keys" component={ApiKeysPage} />
        <Route path="/audit" component={AuditPage} />
        <Route path="/password" component={MyPasswordPage} />
        <Route component={NoPage} />
      </Switch>
    </Frame>
  );
}

function NoPage() {
  useTitle('No such page');
  return <Empty title="There is no such page">The address is wrong, or the page has moved.</Empty>;
}

function Asking() {
  return <p class="quiet centred">Asking the cloud who you are…</p>;
}

function Unknown({ error, onRetry }: { readonly error: Error; readonly onRetry: () => void }) {
  return (
    <main class="card">
      <h1>Waiting for the cloud</h1>
      <Problem error={error} onRetry={onRetry} />
      <p class="quiet">This page asks again every few seconds.</p>
    </main>
  );
}

/** The router decodes less than was encoded: an id may have a `=` or a `%`. */
function deviceInPath(): string {
  const encoded = window.location.pathname.slice('/devices/'.length);
  try {
    return decodeURIComponent(encoded);
  } catch {
    return encoded;
  }
}

/** Asks who is logged in, again and again until the cloud knows. */
function useMe(): { readonly error: Error | undefined; readonly askAgain: () => void } {
  const [error, setError] = useState<Error>();
  const [attempt, setAttempt] = useState(0);
  const askAgain = (): void => setAttempt((count) => count + 1);
  useEffect(() => {
    if (me.value !== undefined) return undefined;
    const ending = new AbortController();
    let timer: ReturnType<typeof setTimeout> | undefined;
    api<{ actor: Me | null }>('GET', 'session', undefined, ending.signal).then(
      ({ actor }) => (me.value = actor),
      (failure: unknown) => {
        if (ending.signal.aborted) return;
        setError(failure as Error);
        timer = setTimeout(askAgain, RETRY_MS);
      },
    );
    return () => {
      ending.abort();
      clearTimeout(timer);
    };
  }, [attempt]);
  return { error, askAgain };
}
