import { JsonLogger } from './json-logger.js';
import { LogFields } from './log-fields.js';

describe('JsonLogger', () => {
  const lines: string[] = [];
  const logger = new JsonLogger({ write: (line) => lines.push(line) });
  beforeEach(() => lines.splice(0));

  function written(): Record<string, unknown> {
    expect(lines).toHaveLength(1);
    expect(lines[0]!.endsWith('\n')).toBe(true);
    return JSON.parse(lines[0]!) as Record<string, unknown>;
  }

  it('writes a line of JSON with level, time, context and message', () => {
    logger.log('Listening', 'CloudApi');
    const { time, ...rest } = written();
    expect(rest).toEqual({ level: 'info', context: 'CloudApi', msg: 'Listening' });
    expect(new Date(time as string).toISOString()).toBe(time);
  });

  it('writes the device and the connection that Nest is given as fields', () => {
    logger.log('"a" connected', new LogFields('a', 7), 'Devices');
    expect(written()).toMatchObject({ deviceId: 'a', connection: 7, context: 'Devices' });
  });

  it.each([
    ['device "a\\"b": undelivered: offline', { deviceId: 'a"b', connection: undefined }],
    ['device "a", connection 12: closed with 1000', { deviceId: 'a', connection: 12 }],
    ['device "a\\u{9b}": undelivered', {}],
    ['a device: authentication_failed', {}],
  ])('writes the device of a line of the library as a field: %s', (line, expected) => {
    logger.warn(line, 'Fedecks /fedecks');
    const { level, msg, deviceId, connection } = written();
    expect([level, msg]).toEqual(['warn', line]);
    expect({ deviceId, connection }).toEqual(expected);
  });

  it('writes the stack of an error, in the same line', () => {
    const error = new Error('on fire');
    logger.error('It failed', error.stack, 'Here');
    expect(written()).toMatchObject({
      level: 'error',
      msg: 'It failed',
      context: 'Here',
      stack: error.stack,
    });
    lines.splice(0);
    logger.fatal(error);
    expect(written()).toMatchObject({ level: 'fatal', msg: 'on fire', stack: error.stack });
  });

  it('cannot be made to write a second line', () => {
    logger.warn('one\n{"level":"fatal"}\u2028two', 'Here');
    expect(lines[0]!.trimEnd()).not.toContain('\n');
  });
});
