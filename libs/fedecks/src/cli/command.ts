import { parseArgs } from 'node:util';
import { type ExitStatus, exitHelp, UsageError } from './exit.js';

/** An option of a command. */
export interface Option {
  /** The name of its value in the help. An option without a value is a switch. */
  readonly value?: string;
  readonly short?: string;
  readonly isRepeated?: boolean;
  readonly help: string;
}

/** A command of the program. */
export interface Command {
  readonly name: string;
  /** Its arguments, for the help: `URL --id ID`. */
  readonly usage: string;
  readonly about: string;
  /** The minimum and maximum number of arguments that are not options. */
  readonly operands: readonly [number, number];
  readonly options: Readonly<Record<string, Option>>;
  readonly examples: readonly string[];
  /** The end of the help. */
  readonly notes?: string;
  /**
   * @param signal is aborted by Ctrl-C.
   * @throws {CommandError} (rejects) if it fails.
   */
  readonly run: (args: Args, signal: AbortSignal) => Promise<ExitStatus>;
}

const HELP: Option = { short: 'h', help: 'show this help' };

/** The arguments and options of a command. */
export class Args {
  constructor(
    readonly operands: readonly string[],
    private readonly values: Readonly<Record<string, unknown>>,
  ) {}

  has(option: string): boolean {
    return this.values[option] === true;
  }

  text(option: string): string | undefined {
    const value = this.values[option];
    return typeof value === 'string' ? value : undefined;
  }

  /** The values of an option that may be repeated. */
  texts(option: string): readonly string[] {
    const value = this.values[option];
    return Array.isArray(value) ? (value as readonly string[]) : [];
  }

  /** @throws {UsageError} if the value is not one of the choices. */
  oneOf<T extends string>(option: string, choices: readonly T[], otherwise: T): T {
    const value = this.text(option) ?? otherwise;
    const choice = choices.find((each) => each === value);
    if (choice === undefined) throw new UsageError(`--${option} must be one of ${choices.join(', ')}.`);
    return choice;
  }

  /** @throws {UsageError} if the value is not a number within these bounds. */
  number(option: string, { min, max }: { readonly min: number; readonly max: number }): number | undefined {
    const value = this.text(option);
    if (value === undefined) return undefined;
    const number = /^\d+(\.\d+)?$/.test(value) ? Number(value) : NaN;
    if (!(number >= min && number <= max))
      throw new UsageError(`--${option} must be a number from ${min} to ${max}.`);
    return number;
  }

  /** @throws {UsageError} if the value is not a whole number within these bounds. */
  integer(option: string, bounds: { readonly min: number; readonly max: number }): number | undefined {
    const number = this.number(option, bounds);
    if (number !== undefined && !Number.isInteger(number))
      throw new UsageError(`--${option} must be a whole number.`);
    return number;
  }
}

/** Returns undefined for `--help`. @throws {UsageError} */
export function parse(command: Command, argv: readonly string[]): Args | undefined {
  const options = Object.fromEntries(
    Object.entries({ ...command.options, help: HELP }).map(([name, { value, short, isRepeated = false }]) => [
      name,
      {
        type: value === undefined ? ('boolean' as const) : ('string' as const),
        multiple: isRepeated,
        ...(short !== undefined && { short }),
      },
    ]),
  );
  let parsed;
  try {
    parsed = parseArgs({ args: [...argv], options, allowPositionals: true, strict: true });
  } catch (error) {
    throw new UsageError((error as Error).message);
  }
  if (parsed.values['help'] === true) return undefined;
  const [min, max] = command.operands;
  const { length } = parsed.positionals;
  if (length < min || length > max) {
    throw new UsageError(`${length < min ? 'Missing argument' : 'Too many arguments'}: ${usageOf(command)}`);
  }
  return new Args(parsed.positionals, parsed.values);
}

export function usageOf({ name, usage }: Command): string {
  return `fedecks ${name} ${usage}`.trim();
}

/** What `COMMAND --help` prints. */
export function helpOf(command: Command): string {
  const options = Object.entries({ ...command.options, help: HELP }).map(
    ([name, { value, short, help }]): readonly [string, string] => [
      `${short === undefined ? '    ' : `-${short}, `}--${name}${value === undefined ? '' : ` ${value}`}`,
      help,
    ],
  );
  const width = Math.max(...options.map(([left]) => left.length)) + 2;
  return [
    `Usage: ${usageOf(command)}`,
    command.about,
    ['Options:', ...options.map(([left, help]) => `  ${left.padEnd(width)}${help}`)].join('\n'),
    ['Examples:', ...command.examples.map((line) => `  ${line}`)].join('\n'),
    ...(command.notes === undefined ? [] : [command.notes]),
    exitHelp(),
    '',
  ].join('\n\n');
}
