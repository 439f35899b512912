import { types } from 'node:util';

// A thrown value need not be an Error, and its properties may be getters that throw.

const MAX_NAME_CHARS = 128;
const MAX_TEXT_CHARS = 16_384;

/** The name of what was thrown, or its type where it has none. Never throws. */
export function nameOf(error: unknown): string {
  const name = read(error, 'name', MAX_NAME_CHARS);
  if (name) return name;
  return error === null ? 'null' : typeof error;
}

/** The message of an Error; empty for anything else. Never throws. */
export function messageOf(error: unknown): string {
  return read(error, 'message', MAX_TEXT_CHARS) ?? '';
}

/** The stack of an Error, or at least its name and message; a string as it is; undefined for anything else. Never throws. */
export function stackOf(error: unknown): string | undefined {
  if (typeof error === 'string') return error.slice(0, MAX_TEXT_CHARS);
  return (
    read(error, 'stack', MAX_TEXT_CHARS) ??
    (isError(error) ? `${nameOf(error)}: ${messageOf(error)}` : undefined)
  );
}

function read(error: unknown, key: 'name' | 'message' | 'stack', maxChars: number): string | undefined {
  try {
    if (!isError(error)) return undefined;
    const value: unknown = error[key];
    return typeof value === 'string' ? value.slice(0, maxChars) : undefined;
  } catch {
    return undefined;
  }
}

/** Also one of another realm, as those of Node are to a test runner. */
function isError(error: unknown): error is Error {
  try {
    return error instanceof Error || error instanceof DOMException || types.isNativeError(error);
  } catch {
    // Asking a revoked Proxy for its prototype throws.
    return false;
  }
}
