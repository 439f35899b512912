import { type IncomingMessage, request } from 'node:http';
import { CommandError, EXIT } from '../cli/exit.js';

export interface ControlRequest {
  readonly method: 'GET' | 'POST';
  readonly path: string;
  /** Sent as JSON. */
  readonly body?: unknown;
  /** Until the answer begins, in milliseconds. */
  readonly timeoutMs: number;
}

/**
 * Asks the agent that listens at a socket, and resolves with its answer if it is a yes.
 * @throws {CommandError} (rejects) with what the agent says instead, or that there is none.
 */
export async function ask(path: string, asked: ControlRequest): Promise<string> {
  return textOf(await listen(path, asked));
}

/** The same for an answer that goes on and on: resolves with its beginning. */
export async function listen(path: string, asked: ControlRequest): Promise<IncomingMessage> {
  const response = await responseTo(path, asked);
  if (response.statusCode === 200) return response;
  const { error } = JSON.parse(await textOf(response)) as { error: string };
  throw new CommandError(EXIT.failed, error);
}

/** @throws {CommandError} (rejects) if the agent ends before the answer does. */
async function textOf(response: IncomingMessage): Promise<string> {
  let text = '';
  try {
    for await (const chunk of response.setEncoding('utf8') as AsyncIterable<string>) text += chunk;
  } catch {
    throw new CommandError(EXIT.notRunning, 'The agent has stopped.');
  }
  return text;
}

function responseTo(path: string, { method, path: route, body, timeoutMs }: ControlRequest) {
  return new Promise<IncomingMessage>((resolve, reject) => {
    // The agent leaves it to this side to close: Node writes once more behind a large body, and if nobody were there
    // any more for that, it would tell of a broken pipe, and not of the answer.
    const headers = { connection: 'keep-alive' };
    const asking = request({ socketPath: path, method, path: route, headers, agent: false });
    const timer = setTimeout(
      () => asking.destroy(Object.assign(new Error('no answer'), { code: 'ETIMEDOUT' })),
      timeoutMs,
    );
    asking.once('response', (response) => {
      clearTimeout(timer);
      const { socket } = response;
      response.once('end', () => socket.destroy());
      resolve(response);
    });
    asking.on('error', (error: NodeJS.ErrnoException) => {
      clearTimeout(timer);
      reject(explained(error, path, timeoutMs));
    });
    asking.end(body === undefined ? undefined : JSON.stringify(body));
  });
}

function explained({ code, message }: NodeJS.ErrnoException, path: string, timeoutMs: number): CommandError {
  switch (code) {
    case 'ENOENT':
    case 'ECONNREFUSED':
    case 'ENOTDIR':
      return new CommandError(
        EXIT.notRunning,
        `No agent is running: nothing listens at ${path}. ` +
          'FEDECKS_STATE_DIR must be the same as for `device-agent run`.',
      );
    case 'ETIMEDOUT':
      return new CommandError(
        EXIT.notRunning,
        `The agent at ${path} did not answer within ${timeoutMs / 1000} s.`,
      );
    case 'ECONNRESET':
    case 'EPIPE':
      return new CommandError(
        EXIT.notRunning,
        'The agent closed the connection before it answered: it has stopped, or serves too many commands at once.',
      );
    case 'EACCES':
    case 'EPERM':
      return new CommandError(
        EXIT.failed,
        `Not allowed to talk to the agent at ${path}: use the user the agent runs as, or root.`,
      );
    default:
      return new CommandError(EXIT.failed, `The request to the agent at ${path} failed: ${message}`);
  }
}
