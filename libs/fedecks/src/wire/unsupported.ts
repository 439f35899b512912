import { types } from 'node:util';

/** Objects of the engine that hold what they hold elsewhere than in properties, and whose class may be of another realm. */
const CHECKS: readonly (readonly [(value: unknown) => boolean, string])[] = [
  [types.isSet, 'Set'],
  [types.isWeakMap, 'WeakMap'],
  [types.isWeakSet, 'WeakSet'],
  [types.isPromise, 'Promise'],
  [types.isRegExp, 'RegExp'],
  [types.isNativeError, 'Error'],
  [types.isArrayBuffer, 'ArrayBuffer'],
  [types.isSharedArrayBuffer, 'SharedArrayBuffer'],
  [types.isNumberObject, 'Number'],
  [types.isStringObject, 'String'],
  [types.isBooleanObject, 'Boolean'],
];

/** What is to be said of an object that is no term, and would be an empty map without a word. */
export function whyNoTerm(value: object): string | undefined {
  if (ArrayBuffer.isView(value)) return `is a ${tagOf(value)}: of the views only Uint8Array is a term`;
  const [, name] = CHECKS.find(([check]) => check(value)) ?? [];
  if (name !== undefined) return `is a ${name}, which is no term`;
  // URL, Headers, Blob, FormData, generators, iterators and their like have a tag, and no properties of their own.
  const tag = tagOf(value);
  return tag !== undefined && Object.keys(value).length === 0
    ? `is a ${tag}, which is no term and has no properties`
    : undefined;
}

function tagOf(value: object): string | undefined {
  const tag = (value as { readonly [Symbol.toStringTag]?: unknown })[Symbol.toStringTag];
  return typeof tag === 'string' ? tag : undefined;
}
