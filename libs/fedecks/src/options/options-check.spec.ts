import { InvalidOptionsError, OptionsCheck } from './options-check.js';

interface Heating {
  readonly room?: string;
  readonly targetMs?: number;
  readonly mode?: 'day' | 'night';
}
const KNOWN = ['room', 'targetMs', 'mode'] as const;

function problemsOf(
  given: unknown,
  run: (check: OptionsCheck<Heating>) => void = () => undefined,
): readonly string[] {
  try {
    const check = new OptionsCheck<Heating>('Heating.forRoot', given, KNOWN);
    run(check);
    check.done();
  } catch (error) {
    if (error instanceof InvalidOptionsError) return error.problems;
    throw error;
  }
  return [];
}

describe('OptionsCheck', () => {
  it('accepts valid and omitted options', () => {
    expect(
      problemsOf({ targetMs: 10, mode: 'day' }, (check) => {
        check.whole('targetMs', 'milliseconds', 1, 100);
        check.oneOf('mode', ['day', 'night']);
      }),
    ).toEqual([]);
    expect(problemsOf({}, (check) => check.whole('targetMs', 'milliseconds', 1))).toEqual([]);
  });

  it('suggests the nearest option for an unknown one, or lists all', () => {
    expect(problemsOf({ targetMS: 1 })).toEqual([
      "Option 'targetMS' does not exist: did you mean 'targetMs'?",
    ]);
    expect(problemsOf({ colour: 1 })).toEqual([
      "Option 'colour' does not exist (have: room, targetMs, mode).",
    ]);
  });

  it.each([0, 101, 1.5, NaN, '10', null])(
    'rejects %p as a whole number from 1 to 100, with its unit',
    (targetMs) => {
      const [problem] = problemsOf({ targetMs }, (check) => check.whole('targetMs', 'milliseconds', 1, 100));
      expect(problem).toMatch(/^'targetMs' must be a whole number of milliseconds from 1 to 100, not /);
    },
  );

  it('shows only the length of a string, which may be a misplaced secret', () => {
    const [problem] = problemsOf({ mode: 'hunter2' }, (check) => check.oneOf('mode', ['day', 'night']));
    expect(problem).toBe("'mode' must be 'day' or 'night', not a string of 7 characters.");
  });

  it('reports all problems at once, with the owner of the options', () => {
    const check = new OptionsCheck<Heating>('Heating.forRoot', { targetMs: 0, colour: 1 }, KNOWN);
    check.whole('targetMs', 'milliseconds', 1);
    expect(() => check.done()).toThrow(/^Heating\.forRoot: .*colour.*targetMs/);
  });

  it('rejects a value that is not an object', () => {
    expect(problemsOf(undefined)).toEqual(['The options must be an object.']);
  });
});
