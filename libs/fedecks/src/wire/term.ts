/**
 * The values that cross the wire, and the classes for what JavaScript has no value of its own for
 * (PROTOCOL.md §4).
 */

/**
 * What a class of this file is, in the copy of this package that another library has installed, too: `instanceof`
 * asks for it, so that an atom of one copy is an atom to the other.
 */
const KIND = Symbol.for('fedecks.term');

/** The classes for what JavaScript has no value of its own for. */
export type Kind = 'tuple' | 'atom' | 'float' | 'bit-string' | 'improper-list' | 'pid' | 'reference';

/** Which of the classes of this file a value is of, in whatever copy of this package. */
export function kindOf(value: unknown): Kind | undefined {
  return typeof value === 'object' && value !== null
    ? (value as { readonly [KIND]?: Kind })[KIND]
    : undefined;
}

function brand(type: { readonly prototype: object }, kind: Kind): void {
  Object.defineProperty(type.prototype, KIND, { value: kind });
}

/** An Erlang tuple. An array in every respect but that it goes to the wire as a tuple, and comes back as one. */
export class Tuple extends Array<Term> {
  /** `map`, `filter` and the like give plain arrays. */
  static override get [Symbol.species](): ArrayConstructor {
    return Array;
  }

  /** Also one of another copy of this package. */
  static override [Symbol.hasInstance](value: unknown): boolean {
    return kindOf(value) === 'tuple';
  }
}
brand(Tuple, 'tuple');

declare const elementTypes: unique symbol;

/** A tuple of which the compiler knows the elements, for a contract to be checked against. It is a {@link Tuple}. */
export type TupleOf<Elements extends readonly unknown[]> = Tuple & {
  /** For the compiler alone. */
  readonly [elementTypes]: Elements;
};

/** Makes a tuple: `tuple('hello', 'matey')` is Elixir's `{"hello", "matey"}`. */
export function tuple<Elements extends readonly unknown[]>(
  ...elements: { [Index in keyof Elements]: Sendable<Elements[Index]> }
): TupleOf<Elements> {
  return tupleFrom(elements as unknown as Term[]) as TupleOf<Elements>;
}

/** Makes an array that nobody else has a tuple: a third of the time the constructor takes, and half of the memory. */
export function tupleFrom(elements: Term[]): Tuple {
  return Object.setPrototypeOf(elements, Tuple.prototype) as Tuple;
}

const atoms = new Map<string, WeakRef<Atom>>();
/** Forgets the names nobody holds an atom of, so that a peer cannot fill the table as it could Erlang's. */
const forgotten = new FinalizationRegistry<string>((name) => {
  if (atoms.get(name)?.deref() === undefined) atoms.delete(name);
});

/** An Erlang atom. There is one object for each name: `atom('ok') === atom('ok')`. Made by {@link atom}. */
export class Atom {
  /** Use {@link atom}: atoms made by this are not equal to others of their name. */
  constructor(readonly name: string) {}

  /** Also one of another copy of this package. */
  static [Symbol.hasInstance](value: unknown): boolean {
    return kindOf(value) === 'atom';
  }

  /** Its name. */
  toString(): string {
    return this.name;
  }

  /** Its name: JSON has no atoms. */
  toJSON(): string {
    return this.name;
  }
}
brand(Atom, 'atom');

/** The atom of that name. `true`, `false` and `nil` are JavaScript's `true`, `false` and `null` on the wire. */
export function atom(name: string): Atom {
  const known = knownAtom(name);
  if (known) return known;
  const made = new Atom(name);
  atoms.set(name, new WeakRef(made));
  forgotten.register(made, name);
  return made;
}

/** The atom of that name, if there is one already. */
export function knownAtom(name: string): Atom | undefined {
  return atoms.get(name)?.deref();
}

/**
 * A float, also where it is a whole number: `float(1)` is Erlang's `1.0`, which a bare `1` is not. Reading gives
 * it for whole-number floats where they would be lost otherwise: as keys of maps, and in lossless reading.
 */
export class Float {
  constructor(readonly value: number) {}

  /** Also one of another copy of this package. */
  static [Symbol.hasInstance](value: unknown): boolean {
    return kindOf(value) === 'float';
  }

  /** The number, so that one can calculate with it. */
  valueOf(): number {
    return this.value;
  }
}
brand(Float, 'float');

/** Makes a {@link Float}. */
export function float(value: number): Float {
  return new Float(value);
}

/** A binary whose last byte is not whole: its first `bits` bits count. */
export class BitString {
  /** @param bits of the last byte, from 1 to 7. */
  constructor(
    readonly bytes: Uint8Array,
    readonly bits: number,
  ) {}

  /** Also one of another copy of this package. */
  static [Symbol.hasInstance](value: unknown): boolean {
    return kindOf(value) === 'bit-string';
  }
}
brand(BitString, 'bit-string');

/** A list whose tail is no list: `[1 | 2]`. */
export class ImproperList {
  constructor(
    readonly elements: readonly Term[],
    readonly tail: Term,
  ) {}

  /** Also one of another copy of this package. */
  static [Symbol.hasInstance](value: unknown): boolean {
    return kindOf(value) === 'improper-list';
  }
}
brand(ImproperList, 'improper-list');

/** Something of an Erlang node that means nothing here, kept as it was written so that it can be sent back. */
export abstract class Opaque {
  constructor(
    /** The bytes of the term, tag included, without the version byte. */
    readonly bytes: Uint8Array,
  ) {}
}

/** A process id. */
export class Pid extends Opaque {
  declare private readonly kind: 'pid';

  /** Also one of another copy of this package. */
  static override [Symbol.hasInstance](value: unknown): boolean {
    return kindOf(value) === 'pid';
  }
}
brand(Pid, 'pid');

/** A reference. */
export class Reference extends Opaque {
  declare private readonly kind: 'reference';

  /** Also one of another copy of this package. */
  static override [Symbol.hasInstance](value: unknown): boolean {
    return kindOf(value) === 'reference';
  }
}
brand(Reference, 'reference');

/** The values that cross the wire: what is read is of these types. {@link Sendable} is what may be sent beside them. */
export type Term =
  | null
  | boolean
  | number
  | bigint
  | string
  | Uint8Array
  | Date
  | Atom
  | Float
  | BitString
  | ImproperList
  | Pid
  | Reference
  | readonly Term[]
  | ReadonlyMap<Term, Term>
  | { readonly [key: string]: Term | undefined };

/**
 * What may be sent of a value of the type `T`: `T` itself where all of it can be, and where something in it cannot, a
 * type that says why at that place. Beside terms, these are interfaces and instances of classes, of which the
 * properties are sent, and `unknown`, which is looked at when it is sent.
 *
 * A class or an interface may have methods: on a prototype they are not sent. So a property of one that holds a
 * function is refused only when it is sent; one of an object literal is refused here.
 */
export type Sendable<T> = unknown extends T
  ? T
  : T extends Term | undefined
    ? T
    : T extends AnyFunction
      ? CannotBeSent<'a function'>
      : T extends symbol
        ? CannotBeSent<'a symbol: send its description'>
        : T extends PromiseLike<unknown>
          ? CannotBeSent<'a Promise: await it'>
          : T extends ReadonlyMap<infer Key, infer Value>
            ? ReadonlyMap<Sendable<Key>, Sendable<Value>>
            : T extends ReadonlySet<unknown>
              ? CannotBeSent<'a Set: send [...set]'>
              : T extends ArrayBufferLike | ArrayBufferView
                ? CannotBeSent<'bytes other than a Uint8Array: send new Uint8Array(...)'>
                : T extends readonly unknown[]
                  ? { [Index in keyof T]: Sendable<T[Index]> }
                  : T extends Readonly<Record<string, unknown>>
                    ? { [Key in keyof T]: Sendable<T[Key]> }
                    : { [Key in keyof T]: Required<T>[Key] extends AnyFunction ? T[Key] : Sendable<T[Key]> };

/** `T` where all of it can be sent, and else what {@link Sendable} makes of it. */
export type Sent<T> = [T] extends [Sendable<T>] ? T : Sendable<T>;

declare const because: unique symbol;

/** Why a value is refused, for the message of the compiler. There are no values of it. */
export interface CannotBeSent<Because extends string> {
  /** A sentence about the value. */
  readonly [because]: Because;
}

// There is no other type of all that is a function, classes among them. Nothing calls one.
// eslint-disable-next-line @typescript-eslint/no-unsafe-function-type
type AnyFunction = Function;
