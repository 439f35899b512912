import { setTimeout as pause } from 'node:timers/promises';
import { Injectable, type OnApplicationShutdown } from '@nestjs/common';

/** What Node has its threads do: reading and writing files, and looking up names. */
const KINDS = ['FSReqPromise', 'FSReqCallback', 'GetAddrInfoReqWrap'];
/** What takes longer hangs. */
const WAIT_MS = 1_000;
const LOOK_EVERY_MS = 10;

/**
 * A process waits for its threads at exit, even after `process.exit`: for ever if a sensor or disk hangs,
 * for half a minute where a name server does not answer. So what is under way is given a second, and no more.
 */
@Injectable()
export class ThreadWork implements OnApplicationShutdown {
  async onApplicationShutdown(): Promise<void> {
    for (const deadline = Date.now() + WAIT_MS; isUnderWay() && Date.now() < deadline;)
      await pause(LOOK_EVERY_MS);
  }

  /** Call last. Kills the process by a signal, which a service manager treats as a failure. */
  killIfThreadsHang(): void {
    if (isUnderWay()) process.kill(process.pid, 'SIGKILL');
  }
}

function isUnderWay(): boolean {
  return process.getActiveResourcesInfo().some((kind) => KINDS.includes(kind));
}
