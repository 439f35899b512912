import { setTimeout as pause } from 'node:timers/promises';
import { Injectable, type OnApplicationShutdown } from '@nestjs/common';

/** What Node has its threads do: reading and writing files, and looking up names. */
const KINDS = ['FSReqPromise', 'FSReqCallback', 'GetAddrInfoReqWrap'];
/** What takes longer hangs. */
const WAIT_MS = 1_000;
const LOOK_EVERY_MS = 10;

/**
 * A process waits at its very end for its threads, also after `process.exit`: for ever where a sensor or a disk hangs,
 * for half a minute where a name server does not answer. So what is under way is given a second, and no more.
 */
@Injectable()
export class ThreadWork implements OnApplicationShutdown {
  async onApplicationShutdown(): Promise<void> {
    for (const deadline = Date.now() + WAIT_MS; isUnderWay() && Date.now() < deadline;)
      await pause(LOOK_EVERY_MS);
  }

  /** To be called last. There is no status then; whatever starts the agent again takes a signal for one. */
  endInSpiteOfIt(): void {
    if (isUnderWay()) process.kill(process.pid, 'SIGKILL');
  }
}

function isUnderWay(): boolean {
  return process.getActiveResourcesInfo().some((kind) => KINDS.includes(kind));
}
