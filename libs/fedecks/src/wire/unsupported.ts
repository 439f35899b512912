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

/** What an object inherits from without being one, where it is a Proxy of one: what it holds is not to be had. */
const INHERITED: readonly (readonly [{ readonly prototype: object }, string])[] = [
  [Date, 'Date'],
  [RegExp, 'RegExp'],
  [Error, 'Error'],
  [Uint8Array, 'Uint8Array'],
];

/** What is to be said of an object that is no term, and would be an empty map without a word. */
export function whyNoTerm(value: object): string | undefined {
  if (ArrayBuffer.isView(value))
    return `is ${withArticle(tagOf(value))}, which is not a term: send a Uint8Array`;
  const [, name] = CHECKS.find(([check]) => check(value)) ?? [];
  if (name !== undefined) return `is ${withArticle(name)}, which is not a term`;
  const [, parent] =
    INHERITED.find(([type]) => Object.prototype.isPrototypeOf.call(type.prototype, value)) ?? [];
  if (parent !== undefined) return `is ${withArticle(parent)} in a Proxy, which is not a term`;
  if (typeof (value as { readonly then?: unknown }).then === 'function')
    return 'has a method then() like a Promise, which is not a term: await it';
  if (Object.keys(value).length > 0) return undefined;
  // URL, Headers, Blob, FormData, generators, iterators and their like have a tag, and no properties of their own.
  const tag = tagOf(value);
  if (tag !== undefined) return `is ${withArticle(tag)}, which is not a term and has no properties`;
  return Symbol.iterator in value || Symbol.asyncIterator in value
    ? 'is an iterable without properties, which is not a term: send an array of its values'
    : undefined;
}

function withArticle(name = 'view'): string {
  return /^[AEIO]/.test(name) ? `an ${name}` : `a ${name}`;
}

function tagOf(value: object): string | undefined {
  const tag = (value as { readonly [Symbol.toStringTag]?: unknown })[Symbol.toStringTag];
  return typeof tag === 'string' ? tag : undefined;
}
