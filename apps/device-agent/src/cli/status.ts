import { ask } from '../control/control-client.js';
import { type AgentStatus } from '../control/status.js';
import { settingsText } from '../settings/settings-text.js';
import { durationOf } from '../text/duration.js';
import { RELEASED } from '../version.js';
import { EXIT, type ExitStatus } from './exit.js';

const TIMEOUT_MS = 5_000;

/** Shows how the agent is. @throws {CommandError} (rejects) if there is none. */
export async function status(socketPath: string, { json }: { readonly json?: boolean }): Promise<ExitStatus> {
  const answer = await ask(socketPath, { method: 'GET', path: '/status', timeoutMs: TIMEOUT_MS });
  const agent = JSON.parse(answer) as AgentStatus;
  process.stdout.write(json ? `${JSON.stringify(agent, null, 2)}\n` : table(agent, new Date()));
  return agent.state === 'connected' ? EXIT.ok : EXIT.notConnected;
}

/** As a person reads it: every line a name and what it is. */
export function table(agent: AgentStatus, now: Date): string {
  const rows = [
    ['State', agent.state.replace('_', ' ')],
    ['Since', moment(agent.since, now)],
    ['Device id', agent.deviceId],
    ['URL', agent.url],
    ['Last error', agent.lastError ?? 'none'],
    ...(agent.clone ? [['Clone', cloneOf(agent.clone, now)]] : []),
    ...(agent.lastLoss && agent.lastLoss.unconfirmed > 0
      ? [['Perhaps lost', unconfirmedOf(agent.lastLoss, now)]]
      : []),
    ['Next attempt', agent.nextAttemptAt === null ? 'none scheduled' : moment(agent.nextAttemptAt, now)],
    ['Token', token(agent, now)],
    ...(agent.fileLogin ? [['Login', loginOf(agent.fileLogin, now)]] : []),
    ...(agent.outbox ? outboxRows(agent.outbox) : []),
    ['Settings', settingsText(agent.settings)],
    ['Agent', `${agent.version}, process ${agent.pid}, started ${moment(agent.startedAt, now)}`],
  ];
  return rows.map(([name = '', value = '']) => `${name.padEnd(14)}${value}\n`).join('');
}

function outboxRows({ size, bytes, state, losses }: NonNullable<AgentStatus['outbox']>): string[][] {
  const lost = Object.entries(losses).filter(([, count]) => count > 0);
  const messages = size === 1 ? '1 message' : `${size} messages`;
  return [
    ['Outbox', `${messages}, ${bytes} bytes, ${state.replace('_', ' ')}`],
    ...(lost.length > 0
      ? [['Not handled', lost.map(([cause, count]) => `${count} ${cause}`).join(', ')]]
      : []),
  ];
}

function token({ tokenHeld, tokenRefused, tokenExpiresAt, fileLogin }: AgentStatus, now: Date): string {
  const remedy = fileLogin ? '' : ': device-agent login';
  if (!tokenHeld) return `none${remedy}`;
  if (tokenRefused) return `held, but the cloud rejects it (expired or revoked)${remedy}`;
  if (tokenExpiresAt === null) return 'held';
  // The expiry was set by the cloud's clock.
  if (now < RELEASED) return `held, expires ${dateOf(tokenExpiresAt)}`;
  const isExpired = Date.parse(tokenExpiresAt) <= now.getTime();
  return `held, ${isExpired ? 'expired' : 'expires'} ${moment(tokenExpiresAt, now)}`;
}

function loginOf({ file, nextTryAt, lastError }: NonNullable<AgentStatus['fileLogin']>, now: Date): string {
  const attempt = nextTryAt === null ? 'being tried' : `tried again ${moment(nextTryAt, now)}`;
  return `with ${file}, ${attempt}${lastError === null ? '' : `. ${lastError}`}`;
}

function cloneOf({ since, at }: NonNullable<AgentStatus['clone']>, now: Date): string {
  const last = at === since ? '' : `, last noticed ${moment(at, now)}`;
  return `another machine uses this device id, since ${moment(since, now)}${last}: give each an id and a login of its own`;
}

function unconfirmedOf({ at, unconfirmed }: NonNullable<AgentStatus['lastLoss']>, now: Date): string {
  const messages = unconfirmed === 1 ? '1 message' : `${unconfirmed} messages`;
  return `up to ${messages}, with the connection that ended ${moment(at, now)}`;
}

/** `2026-05-04T10:00:00Z (3 min ago)`; without the date where the clock cannot be right. */
function moment(iso: string, now: Date): string {
  const distanceMs = Date.parse(iso) - now.getTime();
  const distance = distanceMs > 0 ? `in ${durationOf(distanceMs)}` : `${durationOf(-distanceMs)} ago`;
  return now < RELEASED ? distance : `${dateOf(iso)} (${distance})`;
}

function dateOf(iso: string): string {
  return iso.replace(/\.\d+Z$/, 'Z');
}
