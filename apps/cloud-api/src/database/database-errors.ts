/** Codes of Node for a server that cannot be reached. */
const NODE_CODES = new Set([
  'ECONNREFUSED',
  'ECONNRESET',
  'EPIPE',
  'ETIMEDOUT',
  'EHOSTUNREACH',
  'ENETUNREACH',
  'ENOTFOUND',
  'EAI_AGAIN',
  'ENOENT',
]);
const STATEMENT_TIMEOUT = '57014';
/** Of Postgres: connection exceptions, shutting down or starting, too many connections, and a statement that took too long. */
const POSTGRES_CODES = new RegExp(`^(08...|57P0[123]|${STATEMENT_TIMEOUT}|53300)$`);
/** What `pg` says without a code. */
const TEXTS =
  /connection terminated|timeout exceeded when trying to connect|query read timeout|not queryable|connection ended/i;

/** Whether the database ended a statement that took too long. Others may go on. */
export function hasTimedOut(error: unknown): boolean {
  return (error as { code?: unknown } | null)?.code === STATEMENT_TIMEOUT;
}

/** Whether a query failed because the database does not answer, and not because of what was asked. */
export function isUnreachable(error: unknown): boolean {
  if (typeof error !== 'object' || error === null) return false;
  const { code, message, errors } = error as { code?: unknown; message?: unknown; errors?: unknown };
  if (typeof code === 'string' && (NODE_CODES.has(code) || POSTGRES_CODES.test(code))) return true;
  // Of an AggregateError, as `connect` throws for a host with several addresses.
  if (Array.isArray(errors)) return errors.some(isUnreachable);
  return typeof message === 'string' && TEXTS.test(message);
}
