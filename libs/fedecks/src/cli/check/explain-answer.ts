import { explain } from '../../client/index.js';
import { DEFAULT_PATH, WEBSOCKET_SUFFIX } from '../../wire/internal.js';
import { EXIT } from '../exit.js';
import { plain } from '../printable.js';
import { StepFailure } from './steps.js';
import { type Answer } from './upgrade.js';

/** What was presented to the cloud. */
export type Presented = 'nothing' | 'token' | 'credentials';

const USUAL_PATH = `${DEFAULT_PATH}${WEBSOCKET_SUFFIX}`;

/**
 * What an answer to the upgrade says, if it is what a cloud answers.
 * @param isTls whether the port was seen to speak TLS, where the URL does not.
 * @throws {StepFailure} if it is not, or if the cloud refuses what was presented.
 */
export function explainAnswer(answer: Answer, url: URL, presented: Presented, isTls: boolean): string {
  if (answer.type === 'websocket') {
    if (presented !== 'nothing') return `the cloud accepts the ${presented}`;
    throw new StepFailure('upgrade', 'a websocket server answers that does not ask who connects', [
      `It is no fedecks endpoint: its path is usually ${USUAL_PATH}, and this is ${plain(url.pathname)}.`,
    ]);
  }
  if (answer.type === 'broken') {
    if (isTls) {
      throw new StepFailure('upgrade', 'the port speaks TLS', [
        'The URL must begin with wss:// instead of ws://.',
      ]);
    }
    throw new StepFailure('upgrade', `the answer is no HTTP, or none (${answer.reason})`, [
      'Does something else listen at this port?',
      'A firewall or a proxy on the way may cut websockets: with wss:// it cannot see them.',
    ]);
  }
  const { status, body, server } = answer;
  const isCloud = status === 403 && body === '';
  if (isCloud && presented === 'nothing') {
    return 'it answers like a fedecks cloud: 403 without a body to a stranger. To try credentials: --login --id ID';
  }
  const by = server === undefined ? '' : `, by '${plain(server, 60)}'`;
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
        'The cloud refuses the token: it has expired or was revoked. Log in again: fedecks login URL --id ID',
        'A token is worth nothing to another cloud or endpoint, or when its secret was replaced.',
      ]
    : [
        'The cloud refuses these credentials: are the names of the fields those its authenticator reads?',
        "Its log says why: 'authentication_failed' with this device id, or 'refused_by_guard'.",
      ];
}

function adviceFor(answer: Extract<Answer, { type: 'status' }>, url: URL): string[] {
  const { status, body, location, retryAfter } = answer;
  if (status >= 300 && status < 400) return adviceForRedirect(location, url);
  if (status === 400 && /plain HTTP request was sent to HTTPS port/i.test(body)) {
    return ['The port speaks TLS: the URL must begin with wss:// instead of ws://.'];
  }
  switch (status) {
    case 200:
      return [
        'A web page or an API answers, and no websocket: is this the host, the port and the path of the cloud?',
        `The path is usually ${USUAL_PATH}, and this is ${plain(url.pathname)}.`,
        'A captive portal, or a reverse proxy that sends unknown paths to a web page, answers so, too.',
      ];
    case 401:
    case 403:
    case 407:
    case 502:
    case 504:
      return [explain({ type: 'upgrade_failed', status, ...(body !== '' && { hasBody: true }) })];
    case 404:
      return [
        `There is no endpoint at ${plain(url.pathname)}: it is the option 'path' of FedecksModule.forRoot, and ` +
          `${WEBSOCKET_SUFFIX} behind it; usually ${USUAL_PATH}.`,
        'A reverse proxy may also change or not know the path.',
      ];
    case 426:
    case 400:
      return [
        'The request came without its upgrade: a reverse proxy has to pass it on. In nginx:',
        '  proxy_http_version 1.1; proxy_set_header Upgrade $http_upgrade; proxy_set_header Connection "upgrade";',
      ];
    case 429:
    case 503:
      return [
        `The cloud is overloaded, starting, or being shut down, or a limit of it is reached${
          retryAfter === undefined ? '' : `; come again in ${plain(retryAfter, 40)} s`
        }.`,
        'Are the addresses of a proxy before it given (trustedProxies)? If not, all devices count as one address.',
      ];
    default:
      return ['This is nothing a fedecks cloud answers: does something else listen there?'];
  }
}

function adviceForRedirect(location: string | undefined, url: URL): string[] {
  const base = url.href.replace(/^ws/, 'http');
  const target = location !== undefined && URL.canParse(location, base) ? new URL(location, base) : undefined;
  if (!target)
    return ['It redirects, and a device follows no redirects: what does a browser show at this URL?'];
  target.username = target.password = '';
  return [
    `It redirects, and a device follows no redirects. If that is the cloud, use: ${plain(target.href.replace(/^http/, 'ws'))}`,
    'If it is a login page, a captive portal or a gateway answers.',
  ];
}
