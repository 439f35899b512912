import { BadRequestException, Injectable, type PipeTransform } from '@nestjs/common';
import { type CommandLine, ExecCommands } from '../exec/exec-commands.js';
import { type LogQuery } from '../log/log-streams.js';
import { MAX_LINES } from '../log/recent-log.js';
import { problemsOfChange, type SettingsChange } from '../settings/settings.js';
import { type Field, problemsOf, wholeNumber } from './fields.js';

/** What comes with `settings`. */
export class SettingsPipe implements PipeTransform<unknown, SettingsChange> {
  transform(payload: unknown): SettingsChange {
    const change = payload ?? {};
    refuse(problemsOfChange(change));
    return change;
  }
}

const LOG_FIELDS: Readonly<Record<keyof LogQuery, Field>> = {
  lines: wholeNumber(0, MAX_LINES),
  follow: { isValid: (value) => typeof value === 'boolean', must: 'true or false' },
};

/** What comes with `logs`. */
export class LogsPipe implements PipeTransform<unknown, LogQuery> {
  transform(payload: unknown): LogQuery {
    const query = payload ?? {};
    refuse(problemsOf(query, LOG_FIELDS));
    return { lines: 50, follow: false, ...(query as Partial<LogQuery>) };
  }
}

/** What comes with `exec`. */
@Injectable()
export class ExecPipe implements PipeTransform<unknown, CommandLine> {
  constructor(private readonly commands: ExecCommands) {}

  transform(payload: unknown): CommandLine {
    return this.commands.find(payload);
  }
}

function refuse(problems: readonly string[]): void {
  if (problems.length > 0) throw new BadRequestException(problems.join('; '));
}
