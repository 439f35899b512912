import { signal } from '@preact/signals';

/** Who is logged in; undefined: not known yet; null: nobody. */
export const me = signal<Me | null | undefined>(undefined);

export type Role = 'viewer' | 'operator' | 'admin';

export interface Me {
  readonly name: string;
  readonly role: Role;
}

/** The cloud refused, or did not answer. */
export class ApiError extends Error {
  /** @param status 0: there was no answer. */
  constructor(
    readonly status: number,
    message: string,
    readonly body: unknown,
  ) {
    super(message);
  }
}

/** How long, in milliseconds, an answer may take: a request to a device may take a minute. */
const TIMEOUT_MS = 70_000;

/** A part of a list, and the cursor of the next one. */
export interface Page<Item> {
  readonly items: readonly Item[];
  readonly next: string | null;
  /** How many there are on all pages, where that was asked. */
  readonly total?: number;
}

/**
 * Asks the API.
 * @param path below `/api/v1`.
 * @throws {ApiError} (rejects) with what the cloud said. After 401 `me` is null.
 */
export async function api<Answer>(
  method: 'GET' | 'POST' | 'PUT' | 'PATCH' | 'DELETE',
  path: string,
  body?: unknown,
  signal?: AbortSignal,
): Promise<Answer> {
  const response = await ask(method, path, body, signal);
  const text = await response.text();
  const answer = parsed(text);
  if (response.ok) return answer as Answer;
  if (response.status === 401 && path !== 'login') me.value = null;
  throw new ApiError(response.status, messageOf(response, answer), answer);
}

async function ask(method: string, path: string, body: unknown, signal?: AbortSignal): Promise<Response> {
  const timeout = AbortSignal.timeout(TIMEOUT_MS);
  try {
    return await fetch(`/api/v1/${path}`, {
      method,
      signal: signal ? AbortSignal.any([signal, timeout]) : timeout,
      ...(body !== undefined && {
        headers: { 'content-type': 'application/json' },
        body: JSON.stringify(body),
      }),
    });
  } catch (error) {
    if (signal?.aborted) throw error;
    const problem = timeout.aborted
      ? 'The cloud has not answered in time: look whether it was done before you try again.'
      : 'The cloud does not answer. Is this device online?';
    throw new ApiError(0, problem, undefined);
  }
}

/** Asks whether the session goes on: without one, `me` is null. Never rejects. */
export async function checkSession(): Promise<void> {
  const session = await api<{ actor: Me | null }>('GET', 'session').catch(() => undefined);
  if (session?.actor === null) me.value = null;
}

/** A path with its parts percent-encoded: `` path`devices/${id}/messages` ``. */
export function path(parts: TemplateStringsArray, ...values: readonly string[]): string {
  return parts.reduce(
    (before, part, index) => `${before}${encodeURIComponent(values[index - 1] ?? '')}${part}`,
  );
}

/** Query parameters, without those that are undefined or empty. */
export function query(
  parameters: Readonly<Record<string, string | number | readonly string[] | undefined>>,
): string {
  const given = new URLSearchParams();
  for (const [name, value] of Object.entries(parameters)) {
    if (typeof value === 'object') for (const each of value) given.append(name, each);
    else if (value !== undefined && value !== '') given.set(name, String(value));
  }
  const text = given.toString();
  return text === '' ? '' : `?${text}`;
}

function parsed(text: string): unknown {
  try {
    return text === '' ? undefined : JSON.parse(text);
  } catch {
    return undefined;
  }
}

/** Nest answers with a message or several; the outcome of a request to a device has a text. */
function messageOf({ status, headers }: Response, answer: unknown): string {
  if (status === 429) {
    const seconds = headers.get('retry-after') ?? 'some';
    return `Too many requests come from your address: try again in ${seconds} seconds.`;
  }
  const { message, text } = (answer ?? {}) as { message?: unknown; text?: unknown };
  if (Array.isArray(message)) return message.join('. ');
  if (typeof message === 'string') return message;
  if (typeof text === 'string') return text;
  return `The cloud answered with status ${status}. Its log says more.`;
}
