import { Injectable } from '@nestjs/common';
import { AbortSignal as Signal, OnMessage, stop } from '@fedecks/nest';
import { concat, NEVER, of } from 'rxjs';
import { type ChildApp } from './support/child-app.js';
import { type Cloud, PASSWORD, startCloud } from './support/cloud.js';
import { FedecksCli } from './support/fedecks-cli.js';
import { Inbox } from './support/inbox.js';

@Injectable()
class Readings {
  readonly happened = new Inbox<string>('call of a handler');

  @OnMessage('readings')
  *readings() {
    yield { celsius: 1 };
    yield { celsius: 2 };
  }

  @OnMessage('follow')
  follow(@Signal() signal: AbortSignal) {
    signal.addEventListener('abort', () => this.happened.put('aborted'));
    return concat(of(1), NEVER);
  }

  @OnMessage('hang')
  hang(@Signal() signal: AbortSignal) {
    this.happened.put('begun');
    return new Promise<void>((resolve) => {
      signal.addEventListener('abort', () => {
        this.happened.put('aborted');
        resolve();
      });
    });
  }

  @OnMessage('close')
  close() {
    return stop();
  }
}

let cli: FedecksCli;
let cloud: Cloud;
let happened: Inbox<string>;
let running: ChildApp | undefined;

beforeAll(async () => {
  cli = await FedecksCli.compile();
  cloud = await startCloud({}, [Readings]);
  ({ happened } = cloud.get(Readings));
  const url = `ws://127.0.0.1:${cloud.port}/fedecks/websocket`;
  await cli.run(['login', url, '--id', 'poke-1'], { input: JSON.stringify({ password: PASSWORD }) });
}, 60_000);

afterAll(async () => {
  await cloud.close();
  cli.remove();
});

afterEach(() => {
  running?.dispose();
  running = undefined;
});

describe('fedecks request', () => {
  it('prints the answer as a line of JSON', async () => {
    const answer = { code: 0, stdout: '{"$tuple":[{"$atom":"ok"},[1,2.5]]}\n', stderr: '' };
    const json = '{"$tuple":[{"$atom":"ok"},[1,2.5]]}';
    expect(await cli.run(['request', 'echo', json])).toEqual(answer);
    expect(await cli.run(['request', 'echo', '-', '--timeout', '20'], { input: json })).toEqual(answer);
    expect(await cli.run(['request', 'echo'])).toMatchObject({ code: 0, stdout: 'null\n' });
    expect(await cli.run(['request', 'readings'])).toMatchObject({ stdout: '{"celsius":2}\n' });
  });

  it('prints each value with --stream, and ends with the last one', async () => {
    const values = await cli.run(['request', 'readings', '--stream']);
    expect(values).toEqual({ code: 0, stdout: '{"celsius":1}\n{"celsius":2}\n', stderr: '' });
  });

  it('exits with 9 when the cloud answers with an error', async () => {
    const { code, stdout, stderr } = await cli.run(['request', 'boom']);
    expect(stderr).toBe('fedecks: The request failed (failed): internal error\n');
    expect({ code, stdout }).toEqual({ code: 9, stdout: '' });
    expect(await cli.run(['request', 'boom', '--stream'])).toMatchObject({ code: 9, stdout: '' });
  });

  it('exits with 10 when no answer comes', async () => {
    const late = await cli.run(['request', 'hang', '--timeout', '0.2']);
    expect(late.stderr).toContain('No answer came within 200 ms.');
    expect(late.code).toBe(10);
    expect([await happened.next(), await happened.next()]).toEqual(['begun', 'aborted']);
    const lost = await cli.run(['request', 'close']);
    expect(lost.stderr).toContain('The connection ended before the answer came.');
    expect(lost.code).toBe(10);
  });

  it('cancels the request at Ctrl-C, and exits with 130', async () => {
    running = cli.start(['request', 'hang']);
    expect(await happened.next()).toBe('begun');
    running.kill('SIGINT');
    expect(await running.exited(10_000)).toMatchObject({ code: 130 });
    expect(await happened.next()).toBe('aborted');
  });

  it('cancels a stream at Ctrl-C, and exits with 0', async () => {
    running = cli.start(['request', 'follow', '--stream']);
    expect(await running.line()).toBe('1');
    running.kill('SIGINT');
    expect(await running.exited(10_000)).toMatchObject({ code: 0 });
    expect(await happened.next()).toBe('aborted');
  });

  it.each([
    ['a stream with a timeout', ['readings', '--stream', '--timeout', '1'], 'Remove --timeout or --stream'],
    ['a timeout beyond the maximum', ['echo', '--timeout', '601'], 'from 0.001 to 600'],
  ])('exits with 2 for %s', async (_what, args, message) => {
    const { code, stderr } = await cli.run(['request', ...args]);
    expect(stderr).toContain(message);
    expect(code).toBe(2);
  });

  it('exits with 1 when nothing was sent', async () => {
    const { code, stderr } = await cli.run(['request', 'echo', '--id', 'poke-9']);
    expect(stderr).toContain('No token for poke-9');
    expect(code).toBe(1);
  });
});
