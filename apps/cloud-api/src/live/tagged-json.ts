import { atom, float, type Term, tuple } from '@fedecks/nest/wire';
import { type Json } from './term-json.js';

/** A tag has something else than it takes. The message is for people. */
export class TaggedJsonError extends Error {}

/** Deeper than what the library sends. */
const MAX_DEPTH = 100;
const MAX_DIGITS = 1_000;

type Tag = (content: Json, room: number) => Term;

/** What JSON cannot say, each as an object with one of these fields only. */
const TAGS: Readonly<Record<string, Tag>> = {
  $atom: (content) => atom(textOf('$atom', content)),
  $tuple: (content, room) => tuple(...listOf('$tuple', content).map((each) => read(each, room))),
  $bytes: (content) => bytesOf(textOf('$bytes', content)),
  $integer: (content) => integerOf(textOf('$integer', content)),
  $float: (content) => {
    if (typeof content !== 'number') throw new TaggedJsonError('$float must be a number.');
    return float(content);
  },
  $date: (content) => dateOf(textOf('$date', content)),
  $map: (content, room) => new Map(listOf('$map', content).map((entry) => entryOf(entry, room))),
};

/**
 * A term from JSON in which `{ "$tuple": [...] }`, `{ "$atom": "ok" }`, `{ "$bytes": "<Base64>" }`,
 * `{ "$integer": "<digits>" }`, `{ "$float": 1 }`, `{ "$date": "<ISO 8601>" }` and `{ "$map": [[key, value], ...] }` stand for
 * what JSON cannot say. Everything else is itself; a map with such a field only is said by `$map`.
 * @throws {TaggedJsonError}
 */
export function termOf(json: Json): Term {
  return read(json, MAX_DEPTH);
}

function read(json: Json, room: number): Term {
  if (typeof json !== 'object' || json === null) return json;
  if (room === 0) throw new TaggedJsonError(`The message is nested more than ${MAX_DEPTH} times.`);
  if (isList(json)) return json.map((each) => read(each, room - 1));
  const names = Object.keys(json);
  const [name = ''] = names;
  const tag = names.length === 1 && Object.hasOwn(TAGS, name) ? TAGS[name] : undefined;
  if (tag) return tag(json[name] ?? null, room - 1);
  return Object.fromEntries(names.map((each) => [each, read(json[each] ?? null, room - 1)]));
}

function isList(json: Json): json is readonly Json[] {
  return Array.isArray(json);
}

function textOf(name: string, content: Json): string {
  if (typeof content !== 'string') throw new TaggedJsonError(`${name} must be text.`);
  return content;
}

function listOf(name: string, content: Json): readonly Json[] {
  if (!isList(content)) throw new TaggedJsonError(`${name} must be an array.`);
  return content;
}

function entryOf(entry: Json, room: number): [Term, Term] {
  const [key, value, ...more] = listOf('An entry of $map', entry);
  if (key === undefined || value === undefined || more.length > 0)
    throw new TaggedJsonError('An entry of $map must be an array of a key and a value.');
  return [read(key, room), read(value, room)];
}

function bytesOf(text: string): Uint8Array {
  if (!/^[A-Za-z0-9+/]*={0,2}$/.test(text) || text.length % 4 !== 0)
    throw new TaggedJsonError('$bytes must be Base64.');
  return Buffer.from(text, 'base64');
}

function integerOf(text: string): bigint {
  if (!/^-?\d+$/.test(text) || text.length > MAX_DIGITS)
    throw new TaggedJsonError(`$integer must be text of 1 to ${MAX_DIGITS} digits.`);
  return BigInt(text);
}

function dateOf(text: string): Date {
  const date = new Date(text);
  if (!/^\d{4}-\d\d-\d\dT/.test(text) || Number.isNaN(date.getTime()))
    throw new TaggedJsonError('$date must be a time as 2026-01-31T12:00:00Z.');
  return date;
}
