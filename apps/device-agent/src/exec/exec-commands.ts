import { BadRequestException } from '@nestjs/common';
import { isPlainObject, problemsOf } from '../commands/fields.js';
import { type AllowedCommand, type AllowedCommands, placeholderIn } from './exec-file.js';

/** A program and its arguments, as they are run. No shell reads them. */
export interface CommandLine {
  /** The name in the configuration. */
  readonly name: string;
  readonly program: string;
  readonly args: readonly string[];
}

const FIELDS = {
  name: { isValid: (value: unknown) => typeof value === 'string', must: 'the name of a command' },
  arguments: { isValid: isPlainObject, must: 'an object' },
};

/** The commands that the configuration of the device lets the cloud run. */
export class ExecCommands {
  /** @param allowed undefined if the cloud may run nothing. */
  constructor(private readonly allowed: AllowedCommands | undefined) {}

  get names(): readonly string[] {
    return [...(this.allowed?.keys() ?? [])];
  }

  /**
   * What runs if the cloud asks for `{ name, arguments }`. Nothing in it is a text of the cloud: names and arguments are
   * those of the configuration that equal it.
   * @throws {BadRequestException} naming everything that is wrong.
   */
  find(asked: unknown): CommandLine {
    if (!this.allowed)
      throw new BadRequestException('exec is off on this device: FEDECKS_EXEC_FILE is not set');
    const problems = problemsOf(asked, FIELDS);
    if (problems.length > 0) throw new BadRequestException(problems.join('; '));
    const { name, arguments: chosen = {} } = asked as { name?: string; arguments?: Record<string, unknown> };
    const entry = [...this.allowed].find(([each]) => each === name);
    if (!entry) throw new BadRequestException(`name must be one of ${this.names.join(', ')}`);
    return { name: entry[0], ...commandLine(entry[1], chosen) };
  }
}

function commandLine({ command, choices }: AllowedCommand, chosen: Readonly<Record<string, unknown>>) {
  const fields = Object.fromEntries(
    [...choices].map(([name, values]) => [
      name,
      {
        isValid: (value: unknown) => typeof value === 'string' && values.includes(value),
        must: `one of ${values.join(', ')}`,
      },
    ]),
  );
  const missing = [...choices.keys()].filter((name) => !Object.hasOwn(chosen, name));
  const problems = [...problemsOf(chosen, fields), ...missing.map((name) => `${name} is missing`)];
  if (problems.length > 0) throw new BadRequestException(`arguments: ${problems.join('; ')}`);
  const [program, ...args] = command;
  return {
    program,
    args: args.map((argument) => {
      const name = placeholderIn(argument);
      return name === undefined ? argument : (chosen[name] as string);
    }),
  };
}
