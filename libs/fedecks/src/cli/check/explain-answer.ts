import { explain } from '../../client/index.js';
import { DEFAULT_PATH, WEBSOCKET_SUFFIX } from '../../wire/internal.js';
import { EXIT } from '../exit.js';
import { sanitize } from '../printable.js';
import { StepFailure } from './steps.js';
import { type Answer } from './upgrade.js';

/** What the auth header contained. */
export type Presented = 'nothing' | 'token' | 'credentials';

const USUAL_PATH = `${DEFAULT_PATH}${WEBSOCKET_SUFFIX}`;

/**
 * Explains the answer to the upgrade, if a fedecks cloud sent it.
 * @param isTls whether the port speaks TLS although the URL does not.
 * @throws {StepFailure} if it is not a cloud, or if the cloud rejects the credentials or the token.
 */
export function explainAnswer(answer: Answer, url: URL, presented: Presented, isTls: boolean): string {
  if (answer.type === 'websocket') {
    if (presented !== 'nothing') return `the cloud accepts the ${presented}`;
    throw new StepFailure('upgrade', 'the server accepts a websocket without credentials', [
      `${sanitize(url.pathname)} is not a fedecks endpoint: check the path, which is usually ${USUAL_PATH}.`,
    ]);
  }
  if (answer.type === 'broken') {
    if (isTls) {
      throw new StepFailure('upgrade', 'the port speaks TLS', [
        'Start the URL with wss:// instead of ws://.',
      ]);
    }
    throw new StepFailure('upgrade', `the server does not answer in HTTP (${answer.reason})`, [
      'Check whether another program listens on this port.',
      'A firewall or a proxy may block websockets: use wss://, which hides them.',
    ]);
  }
  const { status, body, server } = answer;
  const isCloud = status === 403 && body === '';
  if (isCloud && presented === 'nothing') {
    return 'a fedecks cloud answers: it rejects a request without credentials. To use credentials: --login --id ID';
  }
  const by = server === undefined ? '' : `, by '${sanitize(server, 60)}'`;
  throw new StepFailure(
    'upgrade',
    `HTTP status ${status}${body === '' ? ' without a body' : ''}${by}`,
    isCloud ? refusal(presented) : adviceFor(answer, url),
    isCloud ? EXIT.refused : EXIT.upgrade,
  );
}

function refusal(presented: Presented): string[] {
  return presented === 'token'
    ? [
        'The cloud rejects the token: it has expired or was revoked. Log in again: fedecks login URL --id ID',
        'It may also belong to another cloud or endpoint, or the cloud has a new secret.',
      ]
    : [
        'The cloud rejects the credentials: check them, and whether the field names are those that the authenticator reads.',
        "The log of the cloud gives the reason: 'authentication_failed' with this device id, or 'refused_by_guard'.",
      ];
}

function adviceFor(answer: Extract<Answer, { type: 'status' }>, url: URL): string[] {
  const { status, body, location, retryAfter } = answer;
  if (status >= 300 && status < 400) return adviceForRedirect(location, url);
  if (status === 400 && /plain HTTP request was sent to HTTPS port/i.test(body)) {
    return ['The port speaks TLS: start the URL with wss:// instead of ws://.'];
  }
  switch (status) {
    case 200:
      return [
        'A web page or an API answers instead of a websocket: check the host, the port and the path.',
        `The path is usually ${USUAL_PATH}; this URL has ${sanitize(url.pathname)}.`,
        'A captive portal, or a reverse proxy that answers unknown paths with a web page, may also be the cause.',
      ];
    case 401:
    case 403:
    case 407:
    case 502:
    case 504:
      return [explain({ type: 'upgrade_failed', status, ...(body !== '' && { hasBody: true }) })];
    case 404:
      return [
        `The server has no endpoint at ${sanitize(url.pathname)}: use the 'path' of FedecksModule followed by ` +
          `${WEBSOCKET_SUFFIX}, usually ${USUAL_PATH}.`,
        'A reverse proxy may also change the path, or not forward it.',
      ];
    case 426:
    case 400:
      return [
        'The upgrade headers did not reach the cloud: configure the reverse proxy to forward them. In nginx:',
        '  proxy_http_version 1.1; proxy_set_header Upgrade $http_upgrade; proxy_set_header Connection "upgrade";',
      ];
    case 429:
    case 503:
      return [
        `The cloud is overloaded, starting or shutting down, or has reached a limit${
          retryAfter === undefined ? '' : `; try again in ${sanitize(retryAfter, 40)} s`
        }.`,
        'Behind a proxy, set trustedProxies: otherwise all devices count as one address.',
      ];
    default:
      return ['A fedecks cloud never sends this answer: check whether another program listens there.'];
  }
}

function adviceForRedirect(location: string | undefined, url: URL): string[] {
  const base = url.href.replace(/^ws/, 'http');
  const target = location !== undefined && URL.canParse(location, base) ? new URL(location, base) : undefined;
  if (!target)
    return [
      'The server redirects, and devices do not follow redirects: open this URL in a browser to see where it leads.',
    ];
  target.username = target.password = '';
  return [
    `The server redirects, and devices do not follow redirects. If the target is the cloud, use: ${sanitize(target.href.replace(/^http/, 'ws'))}`,
    'If the target is a login page, a captive portal or a gateway answers.',
  ];
}
